"""Archives of failures in memory, and runs to put into them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.capabilities import Failure, FailureArchive, Failures, Health, RunArchive, Runs
from testlab_tools.errors import LabError, NotFound
from testlab_tools.models.lab import FailedRun, Outcome, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.triage.collect import MAX_PASSED_RUNS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Bench:
    """Makes runs and failures at some hours before `now`."""

    now: datetime = NOW
    made: int = 0

    def run(self, hours: float, outcome: Outcome = "pass", test: str = "FCT", station: str = "S1", **more: Any) -> Run:
        self.made += 1
        at = self.now - timedelta(hours=hours)
        service = more.pop("service", "factory")
        return Run(run_id=f"{service}:{self.made}", outcome=outcome, test=test, station=station, started_at=at, **more)

    def failure(self, hours: float, reason: str = "rail_5v 5.2 V is above 5.1 V", **more: Any) -> Failure:
        case, retried = more.pop("case", "rails"), more.pop("retried", 0)
        told = reason if more.pop("in_rows", True) else ""
        run = self.run(hours, more.pop("outcome", "fail"), reason=told, **more)
        return Failure(run, case, reason, run.revision, retried)


@dataclass
class Held:
    """What an archive holds and how it behaves."""

    failures: list[Failure] = field(default_factory=lambda: list[Failure]())
    passes: list[Run] = field(default_factory=lambda: list[Run]())
    error: LabError | None = None
    error_before: LabError | None = None
    hangs: bool = False
    compares: bool = True
    unread: int = 0


class Ledger(FailureArchive):
    """Holds failures and passes in memory; notes what it is asked."""

    kind = "ledger"

    def __init__(self, name: str, held: Held) -> None:
        super().__init__(name)
        self.held = held
        self.asked: list[RunQuery] = []
        self.compared: list[RunQuery] = []
        self.looked_up: list[RunQuery] = []

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise NotFound(self.name)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return []

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        (self.compared if limit == MAX_PASSED_RUNS else self.looked_up).append(query)
        if not self.held.compares:
            await asyncio.Event().wait()
        runs = [*self.held.passes, *([] if query.outcome else [f.run for f in self.held.failures])]
        found = [run for run in runs if run.test == query.test and _within(run, query)]
        found = [run for run in found if query.station in ("", run.station)]
        found.sort(key=lambda run: run.started_at, reverse=not query.oldest_first)
        return Runs(found[:limit], more=len(found) > limit)

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        self.asked.append(query)
        if self.held.hangs:
            await asyncio.Event().wait()
        if self.held.error:
            raise self.held.error
        found = [f for f in self.held.failures if _within(f.run, query)]
        if self.held.error_before and query.until is not None and not found:
            raise self.held.error_before
        found.sort(key=lambda f: f.run.started_at, reverse=True)
        kept = list(dict.fromkeys(f.run.run_id for f in found))[:limit]
        more = len({f.run.run_id for f in found}) > limit
        return Failures([f for f in found if f.run.run_id in kept], len(kept), more, self.held.unread)


class Mute(RunArchive):
    """Holds runs, and lists no failures."""

    kind = "mute"
    probe = Ledger.probe
    get_run = Ledger.get_run
    get_failures = Ledger.get_failures

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        raise AssertionError("not asked by triage")


def _within(run: Run, query: RunQuery) -> bool:
    return (query.since is None or run.started_at >= query.since) and (
        query.until is None or run.started_at < query.until
    )


@pytest.fixture
def bench() -> Bench:
    """Runs before a fixed moment."""
    return Bench()


@pytest.fixture
def lately() -> Bench:
    """Runs before now."""
    return Bench(datetime.now(UTC))


@pytest.fixture
def ledger() -> Callable[..., Ledger]:
    """Make an archive of failures: `ledger("portal", failures=…, passes=…)`."""
    return lambda name="factory", **held: Ledger(name, Held(**held))


@pytest.fixture
def mute() -> Callable[[str], Mute]:
    """Make an archive that cannot list failures."""
    return lambda name: Mute(name)
