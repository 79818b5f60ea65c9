"""REST v1: what OpenHTF uploads and older self-hosted servers still speak, over the same store as v2."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Procedure, Run
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.imports import import_report
from testlab_sim.tofupilot.intake import record
from testlab_sim.tofupilot.runs import find_run
from testlab_sim.tofupilot.service import ORGANIZATION, Refusal, body_of, caller, objects_in, operation, text_in
from testlab_sim.tofupilot.units import find_unit
from testlab_sim.tofupilot.v1_shapes import documented, draft_of, typed
from testlab_sim.world import World


@operation("POST", "/api/v1/runs")
async def create_run_v1(request: Request, world: World) -> Response:
    """Create a run (v1). A procedure is found by its short identifier, its id, or its name."""
    history, who, now = world.production, caller(request, world), world.clock.now()
    body = await body_of(request)
    draft = draft_of(body, _procedure(history, body, now), now)
    return _created(world, record(history, draft, who, now))


def _procedure(history: History, body: dict[str, Any], now: float) -> Procedure:
    key, name = str(body.get("procedure_id") or ""), str(body.get("procedure_name") or "")
    if not key and not name:
        raise Refusal(400, "Either procedure_id or procedure_name is required")
    known = history.find_procedure(key) if key else history.find_procedure(name)
    if known is None and not name:
        raise Refusal(404, f"Procedure with ID {key} not found")
    return known or history.procedure_named(name, key, now)


@operation("GET", "/api/v1/runs")
async def get_runs_v1(request: Request, world: World) -> Response:
    """Get the runs of a unit by its serial number (v1), all of them, newest first, as v1's document shows them (`data`)
    and as tofupilot 1.12.1 reads them (`result`)."""
    history = world.production
    serial = request.query_params.get("serial_number", "")
    if not serial:
        raise Refusal(400, "serial_number is required")
    runs = find_unit(history, serial).runs[::-1]
    return JSONResponse(
        {
            "message": "Runs fetched successfuly.",
            "data": [documented(history, run) for run in runs],
            "result": [typed(history, run) for run in runs],
        }
    )


@operation("DELETE", "/api/v1/runs/{id}")
async def delete_run_v1(request: Request, world: World) -> Response:
    """Delete a run (v1)."""
    uuid = request.path_params["id"]
    world.production.delete_run(find_run(world.production, uuid))
    return JSONResponse({"message": f"Run {uuid} deleted successfully."})


@operation("PATCH", "/api/v1/units/{serial_number}")
async def update_unit_v1(request: Request, world: World) -> Response:
    """Add sub-units to a unit (v1)."""
    history = world.production
    unit = find_unit(history, request.path_params["serial_number"])
    wanted = objects_in(await body_of(request), "sub_units")
    for child in [find_unit(history, text_in(item, "serial_number")) for item in wanted]:
        if child is unit:
            raise Refusal(400, "A unit cannot be its own sub-unit")
        if child.parent not in (None, unit):
            raise Refusal(409, f"Unit {child.serial} is already a sub-unit of another unit")
        history.attach(unit, child)
    return JSONResponse({"message": f"Unit {unit.serial} updated successfully."})


@operation("DELETE", "/api/v1/units/{serial_number}")
async def delete_unit_v1(request: Request, world: World) -> Response:
    """Delete a unit with its runs (v1)."""
    unit = find_unit(world.production, request.path_params["serial_number"])
    world.production.delete_unit(unit)
    return JSONResponse({"message": f"Unit {unit.serial} deleted successfully."})


@operation("POST", "/api/v1/uploads/initialize")
async def initialize_upload_v1(request: Request, world: World) -> Response:
    """Announce a file (v1); `sizeBytes` (tofupilot 2.26.1) binds the URL to exactly that size."""
    body = await body_of(request)
    size = body.get("sizeBytes", 0)
    if not isinstance(size, int) or size < 0 or size > files.MAX_BYTES:
        raise Refusal(400, f"sizeBytes must be between 1 and {files.MAX_BYTES}")
    kind = str(body.get("mimeType") or "application/octet-stream")
    upload = world.production.uploads.announce(text_in(body, "name"), kind, size)
    return JSONResponse({"id": upload.file.id, "uploadUrl": files.link(world, "PUT", upload.file.id)})


@operation("POST", "/api/v1/uploads/sync")
async def sync_upload_v1(request: Request, world: World) -> Response:
    """Attach an uploaded file to a run (v1)."""
    body = await body_of(request)
    run = find_run(world.production, text_in(body, "run_id"))
    run.attach(files.received(world, text_in(body, "upload_id")))
    return JSONResponse({"message": "Upload synced successfully."})


@operation("POST", "/api/v1/import")
async def import_v1(request: Request, world: World) -> Response:
    """Create a run from an uploaded report (v1); `importer` is OPENHTF unless told otherwise."""
    body = await body_of(request)
    data = files.received(world, text_in(body, "upload_id")).data
    importer = str(body.get("importer") or "OPENHTF")
    # tofupilot 1.12.1 and 2.26.1 (v1) send every attachment in the report themselves, after the import.
    who = caller(request, world)
    runs = import_report(world.production, importer, data, who, world.clock.now(), keep_files=False)
    return _created(world, runs[0])


def _created(world: World, run: Run) -> Response:
    url = f"{world.base_url}/tofupilot/{ORGANIZATION['slug']}/runs/{run.id}"
    return JSONResponse({"id": run.id, "message": f"Run created successfully: {url}", "url": url})
