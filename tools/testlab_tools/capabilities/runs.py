"""Services that hold runs: list and explain them, list failures of many, export and delete them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import FailedRun, Outcome, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail

DETAILED_FAILURES = 20
"""How many failed runs of a job are read one by one, to bound the requests of one call."""


class FilterKeys(NamedTuple):
    """Of a filter that nothing matched: keys that none of `read` runs carries (`lacking`), and keys that they do."""

    read: int
    lacking: list[str]
    carried: list[str]


class Runs(NamedTuple):
    """A stretch of runs. `total` is None where the service does not say; `more` tells whether others follow.

    `by_outcome` counts the runs of `total`, None where that would take more requests. `note`, in our own words, says
    of an empty list whether the service has runs of such a test at all. `cut`: others match that the service cannot be
    asked for in this order, so that the last of these is not the last there is.
    """

    runs: list[Run]
    more: bool
    total: int | None = None
    at_least: bool = False
    keys: FilterKeys | None = None
    by_outcome: Mapping[Outcome, int] | None = None
    note: str = ""
    cut: bool = False


class RunArchive(Service):
    """Holds runs: lists them, describes one, and says what failed in it.

    `count_page`: how many runs are read at a time where they are only counted; what one such read fails at, the ones
    before it have counted.
    """

    count_page = 500

    @abstractmethod
    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        """Return up to `limit` runs that match, in the query's order, after the run whose `position` is `after`."""

    @abstractmethod
    async def get_failures(self, run_id: str) -> list[FailedRun]:
        """Return the run with its failed cases (none when it passed); for a job's id, its runs that did not pass,
        oldest first, of which DETAILED_FAILURES with traceback and artifacts."""

    @abstractmethod
    async def get_run(self, run_id: str) -> RunDetail:
        """Return all that the service knows of one run."""

    def owns_run(self, run_id: str) -> bool:
        """Whether a bare id has the shape of this service's run ids."""
        return bool(run_id)


class UnitArchive(RunArchive):
    """Finds the runs of a unit: its `list_runs` goes by serial number (`RunQuery.unit`)."""


class Failure(NamedTuple):
    """A case that did not pass in a run that did not: what causes are counted from.

    `case` is empty where the service says only that the run did not pass. `revision` is the git SHA of a test pack or
    the version of a procedure; `retried` counts earlier attempts within the run.
    """

    run: Run
    case: str
    reason: str
    revision: str = ""
    retried: int = 0


class Failures(NamedTuple):
    """Failures, newest run first, of `runs` runs that did not pass.

    `more`: there were more runs than were asked for. `unread` of the runs come without their cases, to bound the
    requests of one call.
    """

    failures: list[Failure]
    runs: int
    more: bool = False
    unread: int = 0


class FailureArchive(RunArchive):
    """Lists the failed cases of many runs in few requests."""

    @abstractmethod
    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """Return the failed cases of the newest `limit` runs that match and did not pass: fail, error, or stopped
        where the service counts those among them.

        `query.outcome` is empty, or one of these.
        """


class Export(NamedTuple):
    """What was written: `runs` in the report, of `listed` that the service lists, asked for in `pages`; a table's
    `columns`."""

    runs: int
    listed: int
    pages: int
    columns: Sequence[str] = ()


class RunExport(Service):
    """Writes reports of many runs."""

    @abstractmethod
    async def export_runs(
        self, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
    ) -> Export:
        """Write all runs that match, newest first, none twice: a CSV table, with the columns of list_runs as far as it
        has them, or one JUnit XML document.

        Raises Unsupported for what the service's runs do not carry.
        """


class RunContents(NamedTuple):
    """A run and what goes with it when it is deleted; `attachments` is None where the service does not say."""

    run: Run
    phases: int
    measurements: int
    attachments: int | None = None


class RunEraser(Service):
    """Deletes runs, for good."""

    @abstractmethod
    async def get_run_contents(self, run_id: str) -> RunContents:
        """Return what deleting the run would take with it, as it stands now."""

    @abstractmethod
    async def delete_run(self, run_id: str) -> None:
        """Delete a run with its phases, measurements and attachments."""
