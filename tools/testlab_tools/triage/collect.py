"""What triage asks of the services: failures of all at once, then the passes that a few causes are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from testlab_tools.capabilities import Failure, FailureArchive, Failures, RunArchive
from testlab_tools.deadline import Deadline
from testlab_tools.errors import LabError
from testlab_tools.fanout import ask_all, gather_all
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery

MAX_FAILED_RUNS = 1_000
"""How many failed runs are read of one service in one window."""

MAX_PASSED_RUNS = 200
"""How many passes of a test its failures are compared with: the newest."""

MIN_COMPARED = timedelta(days=7)
"""Passes and failures are compared from at least so long before the window on: a nightly run is one a day."""

_EVER = datetime.min.replace(tzinfo=UTC)


class Window(NamedTuple):
    """The time asked about, from `since` to `until`; `compared_since` is how far back runs are compared with it."""

    since: datetime
    until: datetime
    compared_since: datetime

    @classmethod
    def of(cls, query: RunQuery) -> Window:
        """The window of a query; without an end, it ends now."""
        now = datetime.now(UTC)
        since, until = query.since or now, query.until or now
        return cls(since, until, _earlier(since, max(until - since, MIN_COMPARED)))

    @property
    def before(self) -> datetime:
        """When the window before this one, and as long, begins."""
        return _earlier(self.since, self.until - self.since)


@dataclass
class Collected:
    """What one service answered about the window that begins at `since`, and about the time before it."""

    service: str
    now: Failures | LabError
    before: Failures | LabError
    since: datetime
    words: Sequence[str] = ()
    """What a failure's message must hold to count, in lower case."""

    @property
    def failures(self) -> list[Failure]:
        """Failures in the window, of production units."""
        return _of_production(self._matching(self.now))

    @property
    def earlier(self) -> list[Failure]:
        """Failures before the window, of production units."""
        return _of_production(self._matching(self.before))

    @property
    def samples(self) -> int:
        """Failures of golden, failing and ignored units in the window."""
        return sum(bool(f.run.sample) for f in self._matching(self.now) if f.run.outcome != "stopped")

    @property
    def stopped(self) -> int:
        """Runs in the window that somebody stopped: no verdict, and no failure."""
        return len({f.run.run_id for f in self._matching(self.now) if f.run.outcome == "stopped"})

    def _matching(self, answer: Failures | LabError) -> list[Failure]:
        failures = answer.failures if isinstance(answer, Failures) else []
        return [f for f in failures if all(word in f.reason.casefold() for word in self.words)]

    @property
    def complete_since(self) -> datetime | None:
        """Since when all failures were read; None where none was left out."""
        if isinstance(self.now, Failures) and self.now.more:
            return _oldest(self.now, self.since)
        if isinstance(self.before, LabError):
            return self.since
        return _oldest(self.before, self.since) if self.before.more else None

    def is_complete(self, since: datetime) -> bool:
        """Whether all failures from `since` up to the window were read, so that one not read did not happen."""
        if isinstance(self.before, LabError) or self.before.unread:
            return False
        return self.complete_since is None or self.complete_since <= since


class Passes(NamedTuple):
    """Passes of one test, newest first; `cut` where there are more."""

    runs: list[Run]
    cut: bool


async def collect_failures(
    archives: Sequence[FailureArchive], query: RunQuery, reason: str, window: Window, deadline: Deadline
) -> list[Collected]:
    """Failures of every service in the window and in the time before it, all asked at once; of those that are read,
    only those with all words of `reason` in their message count.

    Raises:
        LabError: no service listed those in the window; the most telling error.
    """
    earlier = replace(query, since=window.compared_since, until=query.since)
    seconds = deadline.long_step()
    late, next_step = "did not tell its failures", "Narrow since, test or station."
    now, before = await gather_all(
        *(
            ask_all(archives, lambda a, q=q: a.list_failures(q, MAX_FAILED_RUNS), seconds, late, next_step)
            for q in (query, earlier)
        )
    )
    now.require_any()
    words = reason.casefold().split()
    return [Collected(a.name, now.of(a.name), before.of(a.name), window.since, words) for a in archives]


async def collect_passes(
    archives: Sequence[RunArchive],
    query: RunQuery,
    window: Window,
    wanted: Iterable[tuple[str, str]],
    deadline: Deadline,
) -> dict[tuple[str, str], Passes | None]:
    """Passes by service and test, all asked at once; None for those not had in time."""
    services = {archive.name: archive for archive in archives}
    query = replace(query, outcome="pass", since=window.compared_since)
    tests = list(dict.fromkeys(wanted))
    seconds = deadline.long_step()
    answers = await gather_all(*(_passes(services[name], replace(query, test=test), seconds) for name, test in tests))
    return dict(zip(tests, answers, strict=True))


async def _passes(archive: RunArchive, query: RunQuery, seconds: float) -> Passes | None:
    answers = await ask_all([archive], lambda a: a.list_runs(query, MAX_PASSED_RUNS), seconds)
    page = answers.given.get(archive.name)
    if page is None:
        return None
    return Passes([run for run in page.runs if run.test == query.test and not run.sample], page.more)


def _of_production(failures: Sequence[Failure]) -> list[Failure]:
    return [f for f in failures if not f.run.sample and f.run.outcome != "stopped"]


def _oldest(answer: Failures, otherwise: datetime) -> datetime:
    return min((f.run.started_at for f in answer.failures), default=otherwise)


def _earlier(moment: datetime, span: timedelta) -> datetime:
    """So much before a moment, or as far back as time goes."""
    return moment - min(span, moment - _EVER)
