"""v2 units: create, list, get, update, delete, their sub-units and files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Unit
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.runs import merge_metadata
from testlab_sim.tofupilot.service import Refusal, body_of, invalid, operation, reply, text_in
from testlab_sim.tofupilot.unit_filters import UNIT_SORTS, filter_units
from testlab_sim.tofupilot.unit_shapes import unit_row, unit_whole
from testlab_sim.world import World

_UNIT = "/api/v2/units/{serial_number}"


@operation("GET", "/api/v2/units")
async def list_units(request: Request, world: World) -> Response:
    """List and filter units."""
    query = Query(request.query_params)
    units = filter_units(world.production, query)
    by = query.one_of("sort_by", ("created_at", *(name for name in UNIT_SORTS if name != "created_at")))
    units.sort(key=UNIT_SORTS[by], reverse=query.one_of("sort_order", ("desc", "asc")) == "desc")
    metadata = query.flag("include_metadata")
    return page(query, units, lambda unit: unit_row(unit) | ({"metadata": unit.metadata or {}} if metadata else {}))


@operation("DELETE", "/api/v2/units")
async def delete_units(request: Request, world: World) -> Response:
    """Delete units with all their runs, for good."""
    serials = request.query_params.getlist("serial_numbers")
    if not serials:
        raise invalid("serial_numbers", "at least one is required")
    units = [find_unit(world.production, serial) for serial in dict.fromkeys(serials)]
    for unit in units:
        world.production.delete_unit(unit)
    return reply({"id": [unit.id for unit in units]})


@operation("GET", _UNIT)
async def get_unit(request: Request, world: World) -> Response:
    """Get a unit with its parent, sub-units and files."""
    unit = _find_by_path(request, world)
    return reply(unit_whole(world.production, unit, files.downloads(world)))


@operation("PATCH", _UNIT)
async def update_unit(request: Request, world: World) -> Response:
    """Change what the body names, and nothing else; a null batch or sample is taken away."""
    from testlab_sim.tofupilot.bodies import UnitChange, parse

    unit, history, now = _find_by_path(request, world), world.production, world.clock.now()
    change = parse(UnitChange, await body_of(request))
    received = [files.received(world, uuid) for uuid in change.attachments]
    if change.new_serial_number:
        _rename(history, unit, change.new_serial_number)
    if change.part_number or change.revision_number:
        unit.part = history.part_of(change.part_number, now) if change.part_number else unit.part
        unit.revision = history.revision_of(unit.part, change.revision_number or "", now)
    if "batch_number" in change.model_fields_set:
        unit.batch = history.batch_of(change.batch_number, now) if change.batch_number else None
    if "sample" in change.model_fields_set:
        unit.sample = change.sample
    if change.metadata:
        unit.metadata = merge_metadata(unit.metadata or {}, dict(change.metadata))
    unit.attachments = [*(unit.attachments or ()), *received]
    return reply({"id": unit.id})


def _rename(history: History, unit: Unit, serial: str) -> None:
    taken = history.find_unit(serial)
    if taken is not None and taken is not unit:
        raise Refusal(409, f"Unit with serial number {serial} already exists")
    del history.units[unit.serial.upper()]
    unit.serial = serial
    history.units[serial.upper()] = unit


@operation("PUT", _UNIT + "/children")
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
    return reply({"id": unit.id})


@operation("DELETE", _UNIT + "/children")
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
    return reply({"id": unit.id})


def find_unit(history: History, serial: str) -> Unit:
    unit = history.find_unit(serial)
    if unit is None:
        raise Refusal(404, f"Unit with serial number {serial} not found")
    return unit


def _find_by_path(request: Request, world: World) -> Unit:
    return find_unit(world.production, request.path_params["serial_number"])
