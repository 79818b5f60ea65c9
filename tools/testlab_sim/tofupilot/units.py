"""v2 units: create, list, get, update, delete, their sub-units and files."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Unit
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.intake import make_unit
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.runs import merged
from testlab_sim.tofupilot.service import Refusal, body_of, invalid, operation, reply, text_in
from testlab_sim.tofupilot.unit_filters import UNIT_QUERY, UNIT_SORTS, matching_units
from testlab_sim.tofupilot.unit_shapes import unit_row, unit_whole
from testlab_sim.world import World

_UNIT = "/api/v2/units/{serial_number}"


@operation("POST", "/api/v2/units", fails=(400, 409))
async def create_unit(request: Request, world: World) -> Response:
    """Create a unit; its part and revision are made where they are new."""
    from testlab_sim.tofupilot.bodies import UnitBody, parse

    body = parse(UnitBody, await body_of(request))
    history = world.production
    if history.find_unit(body.serial_number):
        raise Refusal(409, f"Unit with serial number {body.serial_number} already exists")
    now = world.clock.now()
    unit = make_unit(history, body.serial_number, body.part_number, body.revision_number, now)
    unit.sample, unit.metadata = body.sample, dict(body.metadata)
    return reply({"id": unit.id})


@operation("GET", "/api/v2/units", query=UNIT_QUERY, fails=(400,))
async def list_units(request: Request, world: World) -> Response:
    """List and filter units."""
    query = Query(request.query_params)
    units = matching_units(world.production, query)
    by = query.one_of("sort_by", ("created_at", *(name for name in UNIT_SORTS if name != "created_at")))
    units.sort(key=UNIT_SORTS[by], reverse=query.one_of("sort_order", ("desc", "asc")) == "desc")
    metadata = query.flag("include_metadata")
    return page(query, units, lambda unit: unit_row(unit) | ({"metadata": unit.metadata or {}} if metadata else {}))


@operation("DELETE", "/api/v2/units", query=("serial_numbers",), fails=(400, 404))
async def delete_units(request: Request, world: World) -> Response:
    """Delete units with all their runs, for good."""
    serials = request.query_params.getlist("serial_numbers")
    if not serials:
        raise invalid("serial_numbers", "at least one is required")
    units = [find_unit(world.production, serial) for serial in dict.fromkeys(serials)]
    for unit in units:
        world.production.delete_unit(unit)
    return reply({"id": [unit.id for unit in units]})


@operation("GET", _UNIT, fails=(404,))
async def get_unit(request: Request, world: World) -> Response:
    """Get a unit with its parent, sub-units and files."""
    unit = _unit(request, world)
    return reply(unit_whole(world.production, unit, files.downloads(world)))


@operation("PATCH", _UNIT, fails=(400, 404, 409))
async def update_unit(request: Request, world: World) -> Response:
    """Change what the body names, and nothing else; a null batch or sample is taken away."""
    from testlab_sim.tofupilot.bodies import UnitChange, parse

    unit, history, now = _unit(request, world), world.production, world.clock.now()
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
        unit.metadata = merged(unit.metadata or {}, dict(change.metadata))
    unit.attachments = [*(unit.attachments or ()), *received]
    return reply({"id": unit.id})


def _rename(history: History, unit: Unit, serial: str) -> None:
    taken = history.find_unit(serial)
    if taken is not None and taken is not unit:
        raise Refusal(409, f"Unit with serial number {serial} already exists")
    del history.units[unit.serial.upper()]
    unit.serial = serial
    history.units[serial.upper()] = unit


@operation("PUT", _UNIT + "/children", fails=(400, 404))
async def add_child(request: Request, world: World) -> Response:
    """Make a unit a sub-unit of this one."""
    unit = _unit(request, world)
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


@operation("DELETE", _UNIT + "/children", query=("child_serial_number",), fails=(400, 404))
async def remove_child(request: Request, world: World) -> Response:
    """Take a sub-unit out of this unit."""
    unit = _unit(request, world)
    serial = request.query_params.get("child_serial_number", "")
    if not serial:
        raise invalid("child_serial_number", "Required")
    child = find_unit(world.production, serial)
    if child.parent is not unit:
        raise Refusal(400, f"Unit {child.serial} is not a sub-unit of {unit.serial}")
    world.production.detach(child)
    return reply({"id": unit.id})


@operation("POST", _UNIT + "/attachments", fails=(400, 404))
async def create_unit_attachment(request: Request, world: World) -> Response:
    """Announce a file for a unit; answers with the URL to PUT it to."""
    unit = _unit(request, world)
    return files.announce(world, text_in(await body_of(request), "name"), unit)


@operation("DELETE", _UNIT + "/attachments", query=("ids",), fails=(400, 404))
async def delete_unit_attachments(request: Request, world: World) -> Response:
    """Delete files of a unit."""
    unit = _unit(request, world)
    ids = Query(request.query_params).many("ids")
    gone = [file for file in unit.attachments or () if file.id in ids]
    if not ids or len(gone) != len(ids):
        raise Refusal(404, "Attachment not found")
    unit.attachments = [file for file in unit.attachments or () if file.id not in ids]
    world.production.uploads.drop(gone)
    return reply({"ids": [file.id for file in gone]})


def find_unit(history: History, serial: str) -> Unit:
    unit = history.find_unit(serial)
    if unit is None:
        raise Refusal(404, f"Unit with serial number {serial} not found")
    return unit


def _unit(request: Request, world: World) -> Unit:
    return find_unit(world.production, request.path_params["serial_number"])
