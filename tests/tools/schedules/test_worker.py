"""What a schedule starts while its clock is wrong, and after it is set right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.campaigns.orders import MAX_SOAKED, CampaignOrder
from testlab_tools.capabilities import Health, TestPack
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.engine import Clock
from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import NotFound
from testlab_tools.long_services import LaunchServices
from testlab_tools.schedules import worker as worker_module
from testlab_tools.schedules.store import Schedule, ScheduleStore
from testlab_tools.schedules.worker import ScheduleWorker, campaign_of

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

GIVEN = "2026-11-20T12:00"
ID = "s0000000000"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Started:
    """Campaigns by their ids: the same id again is the same campaign."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def start_as(self, campaign_id: str, order: CampaignOrder, names: list[str]) -> None:
        if campaign_id not in self.ids:
            self.ids.append(campaign_id)

    async def find(self, campaign_id: str) -> str:
        if campaign_id not in self.ids:
            raise NotFound("There is no such campaign", "", "")
        return campaign_id


class Pack(TestPack):
    """Lists more test cases than a soak takes."""

    async def probe(self) -> Health:
        return Health("")

    async def list_test_cases(self, revision: str) -> list[str]:
        return [f"t{number}" for number in range(MAX_SOAKED + 1)]


class Services:
    def __init__(self, **services: object) -> None:
        self._services = services

    def open(self) -> dict[str, Any]:
        return self._services


class Night(Clock):
    """A schedule for 02:00 that was given on 20 November at noon, and the clock that its worker looks at."""

    def __init__(self, store: ScheduleStore) -> None:
        self._store = store
        self._now = at(GIVEN)
        self._looked = asyncio.Event()
        self._campaigns = Started()
        self._task: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        self._looked.set()
        return self._now

    async def come(self, *moments: str) -> None:
        """The clock shows each of these moments, and the worker acts on it."""
        for moment in moments:
            self._now = at(moment)
            for _ in range(3):
                self._looked.clear()
                await asyncio.wait_for(self._looked.wait(), 20)

    def set(self, moment: str) -> None:
        """The clock shows another moment, and nobody looks."""
        self._now = at(moment)

    async def restart(self) -> None:
        """A worker takes over from the one before."""
        await self.end()
        services, campaigns = cast(LaunchServices, Services(portal=Pack("portal"))), cast(Campaigns, self._campaigns)
        worker = ScheduleWorker(self._store, services, campaigns, self)
        self._task = asyncio.create_task(worker.run(cast("WorkflowRun", None), ID, 0))

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def started(self) -> list[str]:
        """The days of November whose start was made, in the order of the starts."""
        days = {campaign_of(ID, at(f"2026-11-{day}T02:00")): f"{day}" for day in range(10, 31)}
        return [days[campaign_id] for campaign_id in self._campaigns.ids]

    @property
    def told(self) -> str:
        found = self._store.read(ID)
        assert found is not None
        return found.note


@pytest.fixture
def given() -> dict[str, Any]:
    """What the schedule starts."""
    return {"names": ["t"], "order": CampaignOrder(service="portal", test_pack_revision="main", node_ids=("a",))}


@pytest.fixture
async def night(given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Night]:
    monkeypatch.setattr(worker_module, "LONGEST_S", 0.01)
    workflows = Workflows(SqliteDatabase(tmp_path / "d.sqlite"))
    store = ScheduleStore(workflows)
    whose = {"schedule_id": ID, "caller": "local", "service": "portal", "timetable": "02:00", "zone": "UTC"}
    times = {"generation": 0, "ended": False, "last_at": at(GIVEN).timestamp()}
    store.begin(Schedule.model_validate({**whose, **given, **times}))
    made = Night(store)
    await made.restart()
    yield made
    await made.end()
    workflows.close()


SOAK = CampaignOrder(service="portal", test_pack_revision="main", node_ids=("a",), repeat=0)


@pytest.mark.parametrize("given", [{"names": [], "order": SOAK}])
async def test_a_soak_of_all_tests_starts_nothing_where_there_are_more_than_a_soak_takes(night: Night) -> None:
    await night.come("2026-11-21T02:00", "2026-11-21T02:01")
    assert night.started == []
    assert "waits: 101 tests are to be soaked" in night.told


@pytest.mark.parametrize("ahead", ["2026-11-21T03:30", "2026-11-22T12:00", "2031-01-01T12:00"])
async def test_a_start_that_a_clock_ahead_has_passed_is_made_once_the_right_clock_comes_to_it(
    night: Night, ahead: str
) -> None:
    await night.come("2026-11-21T00:00", ahead)
    assert "was skipped: it was more than an hour late" in night.told
    assert night.told.count("was skipped") == 1, "said once, however often it is looked at"
    await night.come("2026-11-21T00:30")
    assert night.started == []
    await night.come("2026-11-21T02:00", "2026-11-21T02:01", "2026-11-22T02:00")
    assert night.started == ["21", "22"]


async def test_a_start_is_made_though_the_clock_is_set_right_only_after_it(night: Night) -> None:
    await night.come("2026-11-21T01:50", "2026-11-21T05:00", "2026-11-21T02:05")
    assert night.started == ["21"]


@pytest.mark.parametrize("ahead", ["22", "29"])
async def test_a_clock_that_is_days_ahead_just_when_it_starts_something_holds_nothing_up(
    night: Night, ahead: str
) -> None:
    await night.come(f"2026-11-{ahead}T02:00")
    assert night.started == [ahead]
    await night.come("2026-11-21T00:00", "2026-11-21T02:00")
    assert night.started == [ahead, "21"], "a night that the right clock comes to, whatever was started for another"


@pytest.mark.parametrize("down_at", ["2026-11-21T01:30", None])
async def test_a_start_that_came_while_no_process_ran_is_made_late_though_one_ahead_of_it_was_made(
    night: Night, down_at: str | None
) -> None:
    await night.come("2026-11-22T02:00", *filter(None, [down_at]))
    await night.end()
    night.set("2026-11-21T02:10")
    await night.restart()
    await night.come("2026-11-21T02:11")
    assert night.started == ["22", "21"]


async def test_a_clock_that_is_set_back_starts_nothing_twice_and_nothing_of_before(night: Night) -> None:
    await night.come("2026-11-21T02:00", "2026-11-21T01:30", "2026-11-21T02:00", "2026-11-21T10:00")
    assert night.started == ["21"]
    await night.come("2026-11-19T02:30")
    await night.restart()
    await night.come("2026-11-19T02:40", "2026-11-21T10:00")
    assert night.started == ["21"]
    assert "was skipped" not in night.told, "nor is told what is not so"
    await night.come("2026-11-22T02:00")
    assert night.started == ["21", "22"]


async def test_a_night_that_was_started_is_not_called_skipped_after_the_clock_was_days_behind(night: Night) -> None:
    await night.come("2026-11-21T02:00", "2026-11-18T12:00", "2026-11-19T02:00", "2026-11-21T10:00")
    assert night.started == ["21", "19"], "a night by the clock"
    assert "of 2026-11-21T02:00" in night.told
    assert "was started" in night.told
