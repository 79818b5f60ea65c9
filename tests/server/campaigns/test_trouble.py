"""Campaigns whose service is in trouble, or refuses their orders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from testlab_tools.campaigns.batch_run import BatchEnd, BatchRuns
from testlab_tools.campaigns.pace import Pace
from testlab_tools.campaigns.records import Campaign
from testlab_tools.campaigns.sharing import Work
from testlab_tools.campaigns.store import CampaignStore
from testlab_tools.http.policy import Backoff
from tests.fixture_types import Connect, ToolCaller
from tests.server.campaigns.conftest import QUICK, Farm, finish
from tests.server.campaigns.test_campaigns import SLOW, with_campaigns

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


async def test_a_cancelled_campaign_ends_although_its_token_is_taken_back(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.campaigns.campaigns.Pace", lambda: Pace(end_s=4.0, again=Backoff(0.2, 0.5)))
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [SLOW], "node_ids": NODES[:1]}
        campaign_id = (await ask(client, "start_campaign", **order))["campaign_id"]
        while not farm.jobs_of(campaign_id):
            await ask(client, "get_campaign", campaign_id=campaign_id, wait_seconds=1)
        farm.fault(path_prefix="/api/v2", status=401, times=0)
        cancelling = asyncio.create_task(ask(client, "cancel_campaign", campaign_id=campaign_id))
        notes, now = list[str](), dict[str, Any]()
        while now.get("state") != "cancelled" and len(notes) < 30:
            now = await ask(client, "get_campaign", campaign_id=campaign_id, wait_seconds=1)
            notes.append(now.get("note", ""))
        farm.calm()
        await cancelling
        ended = await finish(client, ask, campaign_id)
    assert now["state"] == "cancelled", notes
    assert "is not known" in ended["note"]
    assert any("being cancelled" in note and "goes on by itself" in note for note in notes), notes


async def test_jobs_run_the_commit_of_the_first_also_before_the_campaign_is_read_with_it(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, start = CampaignStore.read, BatchRuns.start
    revisions = list[str]()

    def read_too_early(self: CampaignStore, campaign_id: str) -> Campaign | None:
        found = read(self, campaign_id)
        return found and found.model_copy(update={"pinned": ""})

    async def start_and_note(
        self: BatchRuns, epoch: int, number: int, node: str, works: Sequence[Work], names: Sequence[str], revision: str
    ) -> BatchEnd:
        revisions.append(revision)
        return await start(self, epoch, number, node, works, names, revision)

    monkeypatch.setattr(CampaignStore, "read", read_too_early)
    monkeypatch.setattr(BatchRuns, "start", start_and_note)
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES[:1], "repeat": 3}
        await finish(client, ask, (await ask(client, "start_campaign", **order))["campaign_id"])
    assert [len(revision) for revision in revisions] == [len("main"), 40, 40]
