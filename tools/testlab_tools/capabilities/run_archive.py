"""Services that hold runs: list them, and explain one."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import FailedRun, Run
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
    """A stretch of runs. `total` is None where the service does not say; `more` tells whether others follow."""

    runs: list[Run]
    more: bool
    total: int | None = None
    at_least: bool = False
    keys: FilterKeys | None = None


class RunArchive(Service):
    """Holds runs: lists them, describes one, and says what failed in it."""

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
