"""Tools about what production goes by: which procedures, parts, batches and stations there are."""

from __future__ import annotations

from hashlib import blake2s
from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import ProductionCatalog
from testlab_tools.definitions import DefinitionKind, Definitions
from testlab_tools.errors import BadInput
from testlab_tools.registry import LOOK, Call, tool

_NEXT: dict[DefinitionKind, str] = {
    "procedures": "create_run takes the id.",
    "parts": "create_run takes number and revision.",
    "batches": "get_unit shows a unit by serial number.",
    "stations": "list_runs(station=…) takes id or name.",
}


@tool(toolset="production", access="observe", needs=ProductionCatalog, hints=LOOK)
async def list_catalog(
    call: Call,
    kind: DefinitionKind = "procedures",
    search: str = "",
    service: str = "",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: str = "",
) -> Definitions:
    """List procedures for create_run, parts with revisions, batches or stations; no runs: list_runs does."""
    catalog = call.lab.one(ProductionCatalog, service)
    mark = blake2s("\n".join((catalog.name, kind, search, str(limit))).encode(), digest_size=6).hexdigest()
    page = await catalog.list_definitions(kind, search, limit, _place(cursor, mark))
    more = "More follow: pass cursor, with the same arguments. How many in all is not said." if page.after else ""
    return Definitions(
        found=page.found,
        cursor=f"{mark}-{page.after}" if page.after else "",
        note=" ".join(part for part in (page.note, more) if part),
        next=_NEXT[kind] if page.found else "",
    )


def _place(cursor: str, mark: str) -> str:
    """Where the service goes on, from a cursor of these arguments."""
    made_for, _, place = cursor.partition("-")
    if cursor and (made_for != mark or not place):
        raise BadInput("The cursor belongs to other arguments, or is not one this tool gave", "", "Leave it out.")
    return place
