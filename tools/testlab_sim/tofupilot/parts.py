"""v2 parts and their revisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.records import Part
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import Refusal, operation, reply
from testlab_sim.tofupilot.shapes import stamp
from testlab_sim.world import World

_PARTS, _PART = "/api/v2/parts", "/api/v2/parts/{number}"
_NOBODY: dict[str, Any] = {"created_by_user": None, "created_by_station": None}
_SORTS: dict[str, Callable[[Part], Any]] = {
    "created_at": lambda part: part.created,
    "name": lambda part: part.name,
    "number": lambda part: part.part_number,
}


@operation("GET", _PARTS)
async def list_parts(request: Request, world: World) -> Response:
    """List parts with their revisions."""
    query, history = Query(request.query_params), world.production
    text, matches = query.text("search_query").casefold(), query.metadata()
    found = [p for p in history.parts.values() if text in p.name.casefold() or text in p.part_number.casefold()]
    if matches is not None:
        found = [p for p in found if matches(p.metadata)]
    if ids := query.many("procedure_ids"):
        tested = {run.unit.part.number for run in history.runs if run.procedure.id in ids}
        found = [p for p in found if p.number in tested]
    by = query.one_of("sort_by", tuple(_SORTS))
    found.sort(key=_SORTS[by], reverse=query.one_of("sort_order", ("desc", "asc")) == "desc")
    metadata = query.flag("include_metadata")
    return page(query, found, lambda part: _part(part) | ({"metadata": part.metadata} if metadata else {}))


def _part(part: Part) -> dict[str, Any]:
    return {
        "id": part.id,
        "number": part.part_number,
        "name": part.name,
        "created_at": stamp(part.created),
        "revisions": [{"id": r.id, "number": r.name, "created_at": stamp(r.created)} for r in part.revisions.values()],
    }


@operation("GET", _PART)
async def get_part(request: Request, world: World) -> Response:
    """Get a part."""
    part = _find_part(request, world)
    return reply(_part(part) | _NOBODY | {"metadata": part.metadata})


def _find_part(request: Request, world: World) -> Part:
    number = request.path_params["number"]
    part = world.production.parts.get(number.upper())
    if part is None:
        raise Refusal(404, f"Part {number} not found")
    return part
