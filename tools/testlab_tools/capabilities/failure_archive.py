"""Services that list the failures of many runs at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.run_archive import RunArchive
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery


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
