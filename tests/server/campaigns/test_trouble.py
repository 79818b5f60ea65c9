"""Campaigns whose service is in trouble, and those that a rule ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.stop_rule import Decision
from testlab_tools.models.lab import Outcome
from tests.fixture_types import Connect, ToolCaller
from tests.server.campaigns.conftest import QUICK, Farm, finish
from tests.server.campaigns.test_campaigns import with_campaigns

NODES = ["stb-tester-00044b80f101", "stb-tester-00044b80f102"]
TROUBLES: list[dict[str, object]] = [
    {"action": "status", "status": 429, "retry_after": "1", "times": 4},
    {"action": "status", "status": 503, "times": 8},
    {"action": "status", "status": 200, "body": "<html>Sign in</html>", "media_type": "text/html", "times": 4},
    {"action": "reset", "times": 8},
    {"action": "reset-after", "method": "POST", "times": 3},
    {"action": "status-after", "method": "POST", "status": 503, "times": 3},
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: f"{trouble['action']}-{trouble.get('status', '')}")
async def test_trouble_is_waited_out_and_never_becomes_a_result(
    trouble: dict[str, object], farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES, "repeat": 12}
        started = await ask(client, "start_campaign", **order)
        while not farm.jobs_of(started["campaign_id"]):
            await ask(client, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)
        farm.fault(**trouble)
        ended = await finish(client, ask, started["campaign_id"], seconds=120)
    assert (ended["state"], ended["by_outcome"], ended.get("reruns")) == ("finished", {"pass": 12}, None)
    assert farm.ran(started["campaign_id"]) == {QUICK: 12}
    assert {node["state"] for node in ended["nodes"]} == {"given back"}


async def test_an_order_that_the_service_refuses_ends_the_campaign_with_the_reason(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES, "category": "a/b"}
        ended = await finish(client, ask, (await ask(client, "start_campaign", **order))["campaign_id"])
    assert (ended["state"], ended["not_run"]) == ("failed", 1)
    assert "The category is not one Stb-tester takes" in ended["note"]
    assert farm.free("stb4k")


class AfterFive:
    """Runs each test once more after its first result, and ends after the fifth."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.counted = 0

    def count(self, test_case: str, outcome: Outcome) -> Decision:
        self.counted += 1
        return Decision("Five are enough.") if self.counted == 5 else Decision(more=(test_case,))


async def test_a_rule_asks_for_more_runs_and_ends_the_campaign(farm: Farm) -> None:
    lab = parse_config(farm.config).lab()
    assert lab.work is not None
    campaigns = lab.work.campaigns
    campaigns.rules = {"after five": AfterFive}
    order = CampaignOrder(
        service="portal", test_pack_revision="main", node_ids=(NODES[0],), stop_rule={"rule": "after five"}
    )
    try:
        started = await campaigns.start(order, [QUICK], "digest")
        ended = await campaigns.follow(started, 40, _nothing)
    finally:
        await lab.aclose()
    assert (ended.state, ended.why, ended.passed, ended.items) == ("finished", "Five are enough.", 5, 5)


async def _nothing(campaign: object) -> None:
    return
