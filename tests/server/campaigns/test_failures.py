"""Campaigns whose own runner fails in a way that nobody foresaw."""

from __future__ import annotations

from typing import Any

import pytest

from testlab_tools.campaigns import worker
from testlab_tools.campaigns.pace import Pace
from testlab_tools.campaigns.worker import CampaignWorker
from tests.fixture_types import Connect, ToolCaller
from tests.server.campaigns.conftest import QUICK, Farm, finish
from tests.server.campaigns.test_campaigns import SLOW, with_campaigns


def _break(*_: object) -> None:
    raise RuntimeError("nobody foresaw this")


async def test_a_campaign_that_is_given_up_stops_its_jobs_and_gives_its_nodes_back(
    farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_STARTS", 2)
    monkeypatch.setattr(worker, "AGAIN_S", 0.01)
    monkeypatch.setattr("testlab_tools.campaigns.runner.judge", _break)
    held, node = farm.held(), farm.free("stb4k")[0]
    async with connect(with_campaigns(farm.config)) as client:
        order = {"test_pack_revision": "main", "test_cases": [QUICK, SLOW], "node_ids": [node]}
        started = await ask(client, "start_campaign", **order)
        ended = await finish(client, ask, started["campaign_id"])
    assert (ended["state"], ended["nodes"][0]["state"]) == ("failed", "given back")
    assert "inside this server" in ended["note"]
    assert farm.held() == held
    assert node in farm.free(), "its job was stopped"


class _Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def seconds(self) -> float:
        return self.at


class _Services:
    def open(self) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(("ran_s", "given_up"), [(700.0, False), (1.0, True)])
async def test_only_starts_that_fail_soon_after_each_other_give_a_campaign_up(
    ran_s: float, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, starts, why = _Clock(), list[str](), list[str]()
    unused: Any = None
    services: Any = _Services()
    time: Any = clock

    async def run(_: CampaignWorker, campaign_id: str) -> bool:
        starts.append(campaign_id)
        clock.at += ran_s
        if len(starts) <= 2 * worker.MAX_STARTS:
            _break()
        return True

    async def fail(_: CampaignWorker, campaign_id: str, reason: str) -> bool:
        why.append(reason)
        return True

    async def announce(_: str) -> None:
        return

    monkeypatch.setattr(worker, "AGAIN_S", 0.0)
    monkeypatch.setattr(CampaignWorker, "_run", run)
    monkeypatch.setattr(CampaignWorker, "_fail", fail)
    await CampaignWorker(unused, services, unused, time, Pace(), announce).run(unused, "c1")
    assert bool(why) == given_up
    assert len(starts) == (worker.MAX_STARTS if given_up else 2 * worker.MAX_STARTS + 1)
