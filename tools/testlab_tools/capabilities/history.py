"""Services that tell their whole history: runs in pages, newest first or what is new, why runs failed, measurements.

Rows are those of the archive's tables (`testlab_tools.archive.schema`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.capabilities.runs import RunArchive
from testlab_tools.models import lab
from testlab_tools.times import EARLIEST

ENDLESS = datetime.max.replace(tzinfo=UTC)


class Stretch(NamedTuple):
    """A span of starts: `since` is in it, `until` is not."""

    since: datetime = EARLIEST
    until: datetime = ENDLESS


class HistoryPage(NamedTuple):
    """Some runs of a history.

    `whole` is a stretch of which these are all the runs there are: what is held of it besides has been deleted.
    `back_to`: all runs that began at this time or later have been given by now; None where that cannot be said.
    `mark` is from where on `read_new` goes after this page, `resume` where `read_back` does; empty: not known, and at
    the end. `source` is for `read_failures` alone. `running` have not ended, and come again when they have.
    """

    runs: Sequence[Run]
    whole: Stretch | None = None
    back_to: datetime | None = None
    mark: str = ""
    resume: str = ""
    source: Mapping[str, Any] = {}
    running: Sequence[lab.Run] = ()


class FailuresRead(NamedTuple):
    """Failed steps of some runs. Those `unread` are not known yet: ask again."""

    rows: Sequence[Failure]
    unread: int = 0


class MeasurementPage(NamedTuple):
    """Some measurements, some perhaps given before; all of runs that began at `back_to` or later have been given
    by now."""

    rows: Sequence[Measurement]
    back_to: datetime | None = None


class HistoryFeed(RunArchive):
    """Tells its history in pages, which are read one by one and never all kept.

    `cannot` says in our words what of it the service does not tell. `has_measurements`: `read_measurements` is
    there to be called. `failing` are the endings of runs that have failed steps. `left_out` says in our words which
    runs could not be read when it was last asked, and are in no figure. `has_units`: its runs are of units with
    serial numbers, so that a yield can be known.
    """

    cannot: Sequence[str] = ()
    has_measurements: bool = False
    has_units: bool = True
    left_out: str = ""
    failing: Sequence[str] = ("fail", "error", "timeout", "aborted")

    @abstractmethod
    async def identify(self) -> str:
        """Return what is the same for whoever sees the same runs: a hash of place and credentials, never a token."""

    @abstractmethod
    def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        """Give all runs, the newest first where the service can, from the place that a page's `resume` names."""

    @abstractmethod
    def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        """Give the runs that have come since a page's `mark`, and some before it: what came late is among them."""

    @abstractmethod
    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        """Return the failed steps of runs that ended as one of `failing`: at least of some, if any can be read."""

    async def count_runs(self) -> Mapping[str, int] | None:
        """Return how many runs the service has of each test; None where it does not say."""
        return None

    def read_measurements(
        self, test: str, name: str, until: datetime | None = None
    ) -> AsyncGenerator[MeasurementPage, None]:
        """Give the measurements of a test, or those of one name, of runs that began before `until`, newest first."""
        raise NotImplementedError

    def read_measurements_of(self, test: str, name: str, runs: Sequence[Run]) -> AsyncGenerator[MeasurementPage, None]:
        """Give the measurements of a few runs of a test."""
        raise NotImplementedError
