"""What triage asks of the services: failures of all at once, then the passes that a few causes are compared with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from testlab_tools.capabilities import Failure, FailureArchive, Failures, RunArchive
from testlab_tools.errors import LabError, ServiceDown
from testlab_tools.models import Run
from testlab_tools.questions import RunQuery

FAILED_RUNS = 1_000
"""How many failed runs are read of one service in one window."""

COMPARED_RUNS = 200
"""How many passes of a test its failures are compared with: the newest."""

FAILURES_S = 38.0
"""How long a service may take over its failures, whatever its own timeouts add up to."""


@dataclass
class Gathered:
    """What one service told of the window that begins at `since`, and of some time before it."""

    archive: FailureArchive
    now: Failures | LabError
    before: Failures | LabError
    since: datetime

    @property
    def failures(self) -> list[Failure]:
        """Failures in the window, of production units."""
        return _counted(self.now)

    @property
    def samples(self) -> int:
        """Failures of golden, failing and ignored units in the window."""
        return sum(bool(f.run.sample) for f in _told(self.now) if f.run.outcome != "stopped")

    @property
    def stopped(self) -> int:
        """Runs in the window that somebody stopped: no verdict, and no failure."""
        return len({f.run.run_id for f in _told(self.now) if f.run.outcome == "stopped"})

    @property
    def earlier(self) -> list[Failure]:
        """Failures before the window, of production units."""
        return _counted(self.before)

    @property
    def whole_since(self) -> datetime | None:
        """Since when all failures were read; None where none was left out."""
        if isinstance(self.now, Failures) and self.now.more:
            return _oldest(self.now, self.since)
        if isinstance(self.before, LabError):
            return self.since
        return _oldest(self.before, self.since) if self.before.more else None

    def told_whole(self, begin: datetime) -> bool:
        """Whether all from `begin` up to the window was read, so that what is not in it did not happen."""
        if isinstance(self.before, LabError) or self.before.unread:
            return False
        return self.whole_since is None or self.whole_since <= begin


class Passes(NamedTuple):
    """Passes of one test, newest first; `cut` where there are more."""

    runs: list[Run]
    cut: bool


async def gathered(archives: Sequence[FailureArchive], query: RunQuery, before: datetime) -> list[Gathered]:
    """Failures of every service in the query's window, which has a `since`, and from `before` up to it, all asked at
    once."""
    earlier = replace(query, since=before, until=query.since)
    answers = await asyncio.gather(*(_failures(a, q) for a in archives for q in (query, earlier)))
    pairs = zip(answers[::2], answers[1::2], strict=True)
    since = query.since or before
    return [Gathered(archive, now, then, since) for archive, (now, then) in zip(archives, pairs, strict=True)]


async def passes(
    asked: Sequence[tuple[RunArchive, str]], query: RunQuery, since: datetime, seconds: float
) -> dict[tuple[str, str], Passes | None]:
    """Passes of each (service, test) from `since` on, all asked at once; None for what cannot be had in time."""
    query = replace(query, outcome="pass", since=since)
    answers = await asyncio.gather(*(_passes(archive, replace(query, test=test), seconds) for archive, test in asked))
    found = zip(asked, answers, strict=True)
    return {(archive.name, test): answer for (archive, test), answer in found}


async def _failures(archive: FailureArchive, query: RunQuery) -> Failures | LabError:
    try:
        async with asyncio.timeout(FAILURES_S):
            return await archive.list_failures(query, FAILED_RUNS)
    except LabError as error:
        return error
    except TimeoutError:
        told = f"{archive.name} did not tell its failures within {FAILURES_S:.0f} s"
        return ServiceDown(archive.name, told, "", "Narrow since, test or station.")


async def _passes(archive: RunArchive, query: RunQuery, seconds: float) -> Passes | None:
    try:
        async with asyncio.timeout(seconds):
            page = await archive.list_runs(query, COMPARED_RUNS)
    except (LabError, TimeoutError):
        return None
    return Passes([run for run in page.runs if run.test == query.test and not run.sample], page.more)


def _counted(answer: Failures | LabError) -> list[Failure]:
    return [f for f in _told(answer) if not f.run.sample and f.run.outcome != "stopped"]


def _oldest(answer: Failures, otherwise: datetime) -> datetime:
    return min((f.run.started_at for f in answer.failures), default=otherwise)


def _told(answer: Failures | LabError) -> list[Failure]:
    return answer.failures if isinstance(answer, Failures) else []
