"""Reading a service's history: outcomes that change, runs that are stamped late, and cases that run twice in a run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.archive import measuring
from testlab_tools.archive.archive import HistoryArchive, key_of
from testlab_tools.archive.reading import Scope
from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.capabilities import (
    FailuresRead,
    Health,
    HistoryFeed,
    HistoryPage,
    MeasurementPage,
    Runs,
)
from testlab_tools.errors import NotFound
from testlab_tools.models.lab import FailedRun
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.times import EARLIEST
from tests.tools.archive.conftest import START, measurement, run

WANTED = [("PCB01", "voltage")]


class Feed(HistoryFeed):
    """Gives all its runs, then those that were created since two minutes before the mark, and their measurements."""

    kind = "ledger"
    has_measurements = True

    def __init__(self) -> None:
        super().__init__("factory")
        self.runs: list[Run] = []
        self.measured: list[Measurement] = []
        self.pages = 0

    async def identify(self) -> str:
        return "one"

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        yield HistoryPage(self.runs, back_to=EARLIEST, mark=self._mark())

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        since = datetime.fromisoformat(mark) - timedelta(minutes=2)
        yield HistoryPage([one for one in self.runs if (one.created_at or EARLIEST) > since], mark=self._mark())

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        return FailuresRead([Failure(one.service, one.run_id, one.test, one.started_at, "power") for one in runs])

    async def read_measurements(
        self, test: str, name: str, until: datetime | None = None
    ) -> AsyncGenerator[MeasurementPage, None]:
        for n in range(0, len(self.measured), 3):
            self.pages += 1
            some = self.measured[n : n + 3]
            yield MeasurementPage(some, some[-1].started_at if n + 3 < len(self.measured) else EARLIEST)

    async def read_measurements_of(
        self, test: str, name: str, runs: Sequence[Run]
    ) -> AsyncGenerator[MeasurementPage, None]:
        ids = {one.run_id for one in runs}
        yield MeasurementPage([one for one in self.measured if one.run_id in ids])

    def _mark(self) -> str:
        return max(one.created_at or EARLIEST for one in self.runs).isoformat()

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        return Runs([], more=False)

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise NotFound(self.name)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return []


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def archive(tmp_path: Path) -> HistoryArchive:
    return HistoryArchive(tmp_path / "archive")


async def rows(archive: HistoryArchive, feed: Feed, sql: str) -> list[tuple[Any, ...]]:
    return await archive.store.view([await key_of(feed)]).rows(sql)


def came(number: int, **told: Any) -> Run:
    """A run that was created when it began."""
    return run(number, **{"created_at": START + timedelta(days=number), **told})


async def test_a_run_that_is_judged_anew_as_failed_has_its_failed_case(feed: Feed, archive: HistoryArchive) -> None:
    feed.runs = [came(1), came(2)]
    await archive.sync(feed, Scope())
    assert await rows(archive, feed, "SELECT count(*) FROM failures") == [(0,)]
    feed.runs[1] = feed.runs[1]._replace(ended_as="fail")
    synced = await archive.sync(feed, Scope())
    assert (synced.state.unread, synced.error) == (0, None)
    assert await rows(archive, feed, "SELECT run_id, case_name FROM failures") == [("factory:2", "power")]


async def test_the_measurements_of_a_run_that_was_stamped_before_the_last_one_are_read(
    feed: Feed, archive: HistoryArchive
) -> None:
    feed.runs = [came(1), came(3)]
    feed.measured = [measurement(1), measurement(3)]
    await archive.sync(feed, Scope(measured=WANTED))
    late = START + timedelta(days=3, seconds=-30)
    feed.runs.append(came(2, created_at=late))
    feed.measured.append(measurement(2, 1.75))
    await archive.sync(feed, Scope(measured=WANTED))
    assert await rows(archive, feed, 'SELECT "value" FROM measurements ORDER BY started_at') == [
        (1.5,),
        (1.75,),
        (1.5,),
    ]


async def test_each_value_of_a_case_that_runs_twice_in_a_run_is_kept_once(feed: Feed, archive: HistoryArchive) -> None:
    feed.runs = [came(1)]
    feed.measured = [measurement(1, 1.5), measurement(1, 1.25), measurement(1, None, text="é" * 900)]
    for _ in range(3):
        await archive.sync(feed, Scope(measured=WANTED))
        found = await rows(archive, feed, 'SELECT "value" FROM measurements ORDER BY "value"')
        assert found == [(1.25,), (1.5,), (None,)]
        feed.runs = [came(1), came(2)]


async def test_measurements_are_read_back_little_further_than_a_question_needs(
    feed: Feed, archive: HistoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "FURTHER_SECONDS", 0.0)
    feed.runs = [came(n) for n in range(30)]
    feed.measured = [measurement(n) for n in reversed(range(30))]
    scope = Scope(measured=WANTED, needed_since=START + timedelta(days=23))
    held = await archive.refresh(feed, scope, 5)
    assert feed.pages == 3
    assert (held.measured_since, held.covers(scope.needed_since)) == (START + timedelta(days=21), True)
    assert not held.covers(START)
    whole = await archive.refresh(feed, Scope(measured=WANTED), 5)
    assert (whole.measured_since, whole.covers(None)) == (None, True)
    assert await rows(archive, feed, "SELECT count(*) FROM measurements") == [(30,)]
