"""Campaigns whose service is in trouble, or refuses their orders."""

from __future__ import annotations

import pytest

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
