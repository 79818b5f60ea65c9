"""Lists of API v2 that span many runs, read page by page within an allowance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from testlab_tools.tofupilot.entries import Entries, LogEntry, MeasurementEntry, PhaseEntry
from testlab_tools.tofupilot.v2_api import V2Api
from testlab_tools.wire import decode

FULL_PAGE = 100
LAST_ATTEMPTS = {"exclude_retries": "true"}
"""Sent with every list of phases and measurements: a phase retried within a run counts once, with its last attempt, as
in `get_failed_cases`; one that passed in the end is no failure. The vendor's client 2.26.1 sends it unasked; what a
server does without it is not documented."""
_OLDER = "Older servers do not list these; get_failed_cases explains runs one by one."

E = TypeVar("E", covariant=True)


class Started(Protocol):
    """A phase or measurement; some do not say when they began."""

    @property
    def started_at(self) -> datetime | None: ...


@dataclass
class Allowance:
    """How many more pages may be asked for."""

    pages: int

    def take(self) -> bool:
        """Whether there was one left."""
        self.pages -= 1
        return self.pages >= 0


class Listed(NamedTuple, Generic[E]):
    """What a list held, none twice; `cut`: there was more than the allowance let through."""

    entries: list[E]
    cut: bool


class V2Entries(V2Api):
    """`GET /v2/phases`, `/v2/measurements` and `/v2/logs`."""

    async def phases(self, params: dict[str, Any], left: Allowance) -> Listed[PhaseEntry]:
        """Last attempts of one procedure's phases, newest first."""
        listed = await self._listed("phases", params | LAST_ATTEMPTS | _NEWEST_FIRST, Entries[PhaseEntry], left)
        found = {entry.id: entry for entry in listed.entries if entry.is_final_attempt}
        return Listed(list(found.values()), listed.cut)

    async def measurements(self, params: dict[str, Any], left: Allowance) -> Listed[MeasurementEntry]:
        """Measurements of last attempts at one procedure's phases, newest first."""
        shape = Entries[MeasurementEntry]
        listed = await self._listed("measurements", params | LAST_ATTEMPTS | _NEWEST_FIRST, shape, left)
        found = {entry.id: entry for entry in listed.entries if entry.is_final_attempt}
        return Listed(list(found.values()), listed.cut)

    async def log_lines(self, params: dict[str, Any], left: Allowance) -> Listed[LogEntry]:
        """Lines of logs, oldest first, as they were written."""
        order = {"sort_by": "created_at", "sort_order": "asc"}
        return await self._listed("logs", params | order, Entries[LogEntry], left)

    async def _listed(self, noun: str, params: dict[str, Any], shape: type[Entries[E]], left: Allowance) -> Listed[E]:
        found: list[E] = []
        at: dict[str, Any] = {}
        while left.take():
            reply = await self.client.get(f"/api/v2/{noun}", {"limit": FULL_PAGE, **params, **at})
            page = decode(self.checked(reply, f"list of {noun}", _OLDER), shape)
            found += page.data
            if not page.meta.has_more or page.meta.next_cursor is None:
                return Listed(found, cut=False)
            at = {"cursor": page.meta.next_cursor}
        return Listed(found, cut=True)


_NEWEST_FIRST = {"sort_by": "started_at", "sort_order": "desc"}
