"""v2 parts and their revisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Part, Revision
from testlab_sim.tofupilot.intake import check_identifier
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.runs import merged
from testlab_sim.tofupilot.service import Refusal, body_of, metadata_in, operation, reply, text_in
from testlab_sim.tofupilot.shapes import stamp
from testlab_sim.world import World

_PARTS, _PART = "/api/v2/parts", "/api/v2/parts/{number}"
_REVISIONS = "/api/v2/parts/{number}/revisions"
_REVISION = _REVISIONS + "/{revision_number}"
_NOBODY: dict[str, Any] = {"created_by_user": None, "created_by_station": None}
_SORTS: dict[str, Callable[[Part], Any]] = {
    "created_at": lambda part: part.created,
    "name": lambda part: part.name,
    "number": lambda part: part.part_number,
}
_PART_QUERY = (
    *("limit", "cursor", "search_query", "procedure_ids", "sort_by", "sort_order", "metadata", "include_metadata"),
)


@operation("GET", _PARTS, query=_PART_QUERY, fails=(400,))
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


@operation("POST", _PARTS, fails=(400, 409))
async def create_part(request: Request, world: World) -> Response:
    """Create a part with its first revision."""
    body, history, now = await body_of(request), world.production, world.clock.now()
    number = text_in(body, "number")
    check_identifier(number, "number")
    if number.upper() in history.parts:
        raise Refusal(409, f"Part {number} already exists")
    part = history.part_of(number, now, str(body.get("name") or ""))
    part.metadata = merged({}, metadata_in(body))
    history.revision_of(part, str(body.get("revision_number") or ""), now)
    return reply({"id": part.id})


@operation("GET", _PART, fails=(404,))
async def get_part(request: Request, world: World) -> Response:
    """Get a part."""
    part = _find_part(request, world)
    return reply(_part(part) | _NOBODY | {"metadata": part.metadata})


@operation("PATCH", _PART, fails=(400, 404, 409))
async def update_part(request: Request, world: World) -> Response:
    """Change a part's number, name or metadata."""
    part, history, body = _find_part(request, world), world.production, await body_of(request)
    if body.get("new_number"):
        number = text_in(body, "new_number")
        check_identifier(number, "new_number")
        if history.parts.get(number.upper(), part) is not part:
            raise Refusal(409, f"Part {number} already exists")
        del history.parts[part.part_number.upper()]
        part.part_number = number
        history.parts[number.upper()] = part
    part.name = str(body.get("name") or part.name)
    part.metadata = merged(part.metadata, metadata_in(body))
    updated = stamp(world.clock.now())
    return reply({"id": part.id, "number": part.part_number, "name": part.name, "updated_at": updated})


@operation("DELETE", _PART, fails=(404,))
async def delete_part(request: Request, world: World) -> Response:
    """Delete a part with its revisions, its units and their runs, for good."""
    part, history = _find_part(request, world), world.production
    for unit in [unit for unit in history.units.values() if unit.part is part]:
        history.delete_unit(unit)
    del history.parts[part.part_number.upper()]
    return reply({"id": part.id, "deletedRevisionIds": [r.id for r in part.revisions.values()]})


@operation("POST", _REVISIONS, fails=(400, 404, 409))
async def create_revision(request: Request, world: World) -> Response:
    """Create a revision of a part."""
    part, body = _find_part(request, world), await body_of(request)
    number = text_in(body, "number")
    check_identifier(number, "number")
    if number.upper() in part.revisions:
        raise Refusal(409, f"Revision {number} of part {part.part_number} already exists")
    revision = world.production.revision_of(part, number, world.clock.now())
    revision.metadata = merged({}, metadata_in(body))
    return reply({"id": revision.id})


@operation("GET", _REVISION, fails=(404,))
async def get_revision(request: Request, world: World) -> Response:
    """Get a revision with its units."""
    part, revision = _find_revision(request, world)
    units = [unit for unit in world.production.units.values() if unit.revision is revision]
    return reply(
        {
            "id": revision.id,
            "number": revision.name,
            "created_at": stamp(revision.created),
            "part": {"id": part.id, "number": part.part_number, "name": part.name},
            "units": [{"id": unit.id, "serial_number": unit.serial} for unit in units],
            "metadata": revision.metadata,
        }
        | _NOBODY
    )


@operation("PATCH", _REVISION, fails=(400, 404, 409))
async def update_revision(request: Request, world: World) -> Response:
    """Change a revision's number or metadata."""
    (part, revision), body = _find_revision(request, world), await body_of(request)
    if body.get("number"):
        number = text_in(body, "number")
        check_identifier(number, "number")
        if part.revisions.get(number.upper(), revision) is not revision:
            raise Refusal(409, f"Revision {number} of part {part.part_number} already exists")
        del part.revisions[revision.name.upper()]
        revision.name = number
        part.revisions[number.upper()] = revision
    revision.metadata = merged(revision.metadata, metadata_in(body))
    return reply({"id": revision.id})


@operation("DELETE", _REVISION, fails=(404,))
async def delete_revision(request: Request, world: World) -> Response:
    """Delete a revision with its units and their runs, for good."""
    part, revision = _find_revision(request, world)
    _delete_units(world.production, revision)
    del part.revisions[revision.name.upper()]
    return reply({"id": revision.id})


def _delete_units(history: History, revision: Revision) -> None:
    for unit in [unit for unit in history.units.values() if unit.revision is revision]:
        history.delete_unit(unit)


def _find_part(request: Request, world: World) -> Part:
    number = request.path_params["number"]
    part = world.production.parts.get(number.upper())
    if part is None:
        raise Refusal(404, f"Part {number} not found")
    return part


def _find_revision(request: Request, world: World) -> tuple[Part, Revision]:
    part, name = _find_part(request, world), request.path_params["revision_number"]
    if name.upper() not in part.revisions:
        raise Refusal(404, f"Revision {name} of part {part.part_number} not found")
    return part, part.revisions[name.upper()]
