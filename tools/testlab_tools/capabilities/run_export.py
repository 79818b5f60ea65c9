"""Services that write reports of many runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.requests import RunQuery


class Export(NamedTuple):
    """What was written: `runs` in the report, of `listed` that the service lists, asked for in `pages`."""

    runs: int
    listed: int
    pages: int


class RunExport(Service):
    """Writes reports of many runs."""

    @abstractmethod
    async def export_runs(
        self, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
    ) -> Export:
        """Write all runs that match, newest first, none twice: a CSV table or one JUnit XML document."""
