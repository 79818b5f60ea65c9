"""What all of API v2 goes by: pages, and things found by id or name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from testlab_tools.errors import BadInput, NotFound
from testlab_tools.questions import NewRun
from testlab_tools.tofupilot.api import TofuPilotApi
from testlab_tools.tofupilot.models import Named, Procedures, RunRows
from testlab_tools.wire import decode

PAGE = 50
"""The documented default `limit`. Always the same, so that a cursor and an index into its page name a run for good."""


class V2Api(TofuPilotApi):
    """Shared by what v2 offers of runs and units."""

    async def run_page(self, params: dict[str, Any], cursor: str = "") -> RunRows:
        """A page of `GET /v2/runs`."""
        at = {"cursor": cursor} if cursor else {}
        reply = await self.client.get("/api/v2/runs", {"limit": PAGE, **params, **at})
        return decode(self.checked(reply, "list of runs"), RunRows)

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
        near = get_close_matches(wanted, names, n=3, cutoff=0.4)
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
            page = decode(self.checked(reply, f"list at {path}"), Procedures)
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
