"""v2 units: list, get, update, delete, and their sub-units."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Unit
from testlab_sim.tofupilot.query import Query, page
from testlab_sim.tofupilot.service import Refusal, api, body_of, found, invalid, text_in
from testlab_sim.tofupilot.shapes import unit_whole
from testlab_sim.world import World

_UNIT = "/api/v2/units/{serial_number}"


@api.route("GET", "/api/v2/units")
async def list_units(request: Request, world: World) -> Response:
    """List units, newest first."""
    query = Query(request)
    history, units = world.production, world.production.units_by_creation()
    if wanted := query.many("serial_numbers"):
        found_units = [unit for serial in wanted if (unit := history.find_unit(serial))]
        units = sorted(found_units, key=lambda unit: unit.created)
    return page(query, units[::-1] if query.descending("created_at") else units, unit_whole)


@api.route("DELETE", "/api/v2/units")
async def delete_units(request: Request, world: World) -> Response:
    """Delete units with all their runs, for good."""
    serials = request.query_params.getlist("serial_numbers")
    if not serials:
        raise invalid("serial_numbers", "at least one is required")
    units = [find_unit(world.production, serial) for serial in dict.fromkeys(serials)]
    for unit in units:
        world.production.delete_unit(unit)
    return JSONResponse({"id": [unit.id for unit in units]})


@api.route("GET", _UNIT)
async def get_unit(request: Request, world: World) -> Response:
    """Get a unit with its parent and sub-units."""
    return JSONResponse(unit_whole(_find_by_path(request, world)))


@api.route("PATCH", _UNIT)
async def update_unit(request: Request, world: World) -> Response:
    """Change what the body names, and nothing else; a null batch or sample is taken away."""
    from testlab_sim.tofupilot.run_body import UnitChange, parse

    unit, history = _find_by_path(request, world), world.production
    history.keep(unit)
    change = parse(UnitChange, await body_of(request))
    if "batch_number" in change.model_fields_set:
        unit.batch = history.batch_of(change.batch_number, world.clock.now()) if change.batch_number else None
    if "sample" in change.model_fields_set:
        unit.sample = change.sample
    return JSONResponse({"id": unit.id})


@api.route("PUT", _UNIT + "/children")
async def add_child(request: Request, world: World) -> Response:
    """Make a unit a sub-unit of this one."""
    unit = _find_by_path(request, world)
    child = find_unit(world.production, text_in(await body_of(request), "child_serial_number"))
    ancestor: Unit | None = unit
    while ancestor is not None:
        if ancestor is child:
            raise Refusal(400, f"Unit {child.serial} cannot be its own sub-unit")
        ancestor = ancestor.parent
    if child.parent not in (None, unit):
        raise Refusal(400, f"Unit {child.serial} is already a sub-unit of another unit")
    world.production.attach(unit, child)
    return JSONResponse({"id": unit.id})


@api.route("DELETE", _UNIT + "/children")
async def remove_child(request: Request, world: World) -> Response:
    """Take a sub-unit out of this unit."""
    unit = _find_by_path(request, world)
    serial = request.query_params.get("child_serial_number", "")
    if not serial:
        raise invalid("child_serial_number", "Required")
    child = find_unit(world.production, serial)
    if child.parent is not unit:
        raise Refusal(400, f"Unit {child.serial} is not a sub-unit of {unit.serial}")
    world.production.detach(child)
    return JSONResponse({"id": unit.id})


def find_unit(history: History, serial: str) -> Unit:
    return found(history.find_unit(serial), f"Unit with serial number {serial}")


def _find_by_path(request: Request, world: World) -> Unit:
    return find_unit(world.production, request.path_params["serial_number"])
