"""What all of API v2 goes by: pages, and things found by id or name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from testlab_tools.adapters.tofupilot.client import TofuPilotApi, unit_segment
from testlab_tools.adapters.tofupilot.models import Named, Procedures, RunRows, UnitWhole
from testlab_tools.errors import BadInput, NotFound, nearest
from testlab_tools.http import Reply
from testlab_tools.http.response import decode
from testlab_tools.models.requests import NewRun

PAGE = 50
"""The documented default `limit`. Always the same, so that a cursor and an index into its page name a run for good."""

UNKNOWN_UNIT = "list_runs(unit=…) shows a unit's runs; a serial number must be exact."
_CODES = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT", 422: "UNPROCESSABLE_CONTENT"}


class V2Api(TofuPilotApi):
    """Shared by what v2 offers of runs and units."""

    version = "v2"

    def is_own_error(self, reply: Reply) -> bool:
        """`{"message", "code", "issues"}` with the code that belongs to the status, as every error of v2 is documented;
        client 2.26.1 has no issues where there are none."""
        error = reply.members
        known = error.get("code") == _CODES.get(reply.status, reply.status)
        return known and isinstance(error.get("message"), str) and isinstance(error.get("issues") or [], list)

    async def unit_of(self, serial_number: str) -> UnitWhole:
        """`GET /v2/units/{serial_number}`."""
        reply = await self.client.get(f"/api/v2/units/{unit_segment(serial_number)}")
        return decode(self.check(reply, "unit", UNKNOWN_UNIT), UnitWhole)

    async def run_page(self, params: dict[str, Any], cursor: str = "") -> RunRows:
        """A page of `GET /v2/runs`."""
        at = {"cursor": cursor} if cursor else {}
        reply = await self.client.get("/api/v2/runs", {"limit": PAGE, **params, **at})
        return decode(self.check(reply, "list of runs", listing=True), RunRows)

    async def procedure(self, run: NewRun) -> Named:
        """The procedure of that id or name. Raises NotFound naming the nearest of those there are."""
        wanted = run.procedure_id
        found = await self.named("/api/v2/procedures", wanted)
        if not found and run.procedure_name:
            found = await self.named("/api/v2/procedures", run.procedure_name)
        if len(found) == 1:
            return found[0]
        if found:
            raise BadInput("Several procedures have that name", "", "Give the procedure's id.")
        every = [item async for item in self._every("/api/v2/procedures")]
        names = {p.name: p.id for p in every if p.name.isprintable() and len(p.name) < 80}
        near = nearest(wanted, names, 3, cutoff=0.4)
        raise NotFound(
            f"{self.name} has no such procedure",
            f"It has {len(every)}",
            f"Nearest ids: {', '.join(names[n] for n in near)}." if near else "",
        )

    async def named(self, path: str, wanted: str) -> list[Named]:
        """Those of a list (procedures, stations) with that id; else with that name, in any case."""
        every = [item async for item in self._every(path)]
        folded = wanted.casefold()
        return [item for item in every if item.id == wanted] or [i for i in every if i.name.casefold() == folded]

    async def _every(self, path: str) -> AsyncIterator[Named]:
        cursor: dict[str, Any] = {}
        while True:
            reply = await self.client.get(path, {"limit": PAGE, **cursor})
            page = decode(self.check(reply, f"list at {path}", listing=True), Procedures)
            for item in page.data:
                yield item
            if not page.meta.has_more or page.meta.next_cursor is None:
                return
            cursor = {"cursor": page.meta.next_cursor}


def is_uuid(text: str) -> bool:
    """Whether it has the shape of v2's ids."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
