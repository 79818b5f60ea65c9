"""REST v1: what OpenHTF uploads and older self-hosted servers still speak, over the same store as v2."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Measurement, Procedure, Run
from testlab_sim.tofupilot import files
from testlab_sim.tofupilot.imports import import_report
from testlab_sim.tofupilot.intake import record
from testlab_sim.tofupilot.query import duration
from testlab_sim.tofupilot.runs import find_run
from testlab_sim.tofupilot.service import ORGANIZATION, Refusal, api, body_of, caller, text_in
from testlab_sim.tofupilot.shapes import run_head, stamp
from testlab_sim.tofupilot.units import find_unit
from testlab_sim.world import World


@api.route("POST", "/api/v1/runs")
async def create_run_v1(request: Request, world: World) -> Response:
    """Create a run (v1). A procedure is found by its short identifier, its id, or its name."""
    from testlab_sim.tofupilot.run_body import RunV1, draft_of_v1, parse

    history, now = world.production, world.clock.now()
    body = parse(RunV1, await body_of(request))
    draft = draft_of_v1(body, _procedure(history, body.procedure_id or "", body.procedure_name or "", now), now)
    return _created(world, record(history, draft, caller(request, world), now))


def _procedure(history: History, key: str, name: str, now: float) -> Procedure:
    if not key and not name:
        raise Refusal(400, "Either procedure_id or procedure_name is required")
    known = history.find_procedure(key) if key else history.find_procedure(name)
    if known is None and not name:
        raise Refusal(404, f"Procedure with ID {key} not found")
    return known or history.procedure_named(name, key, now)


@api.route("GET", "/api/v1/runs")
async def get_runs_v1(request: Request, world: World) -> Response:
    """Get the runs of a unit by its serial number (v1), all of them, newest first, as v1's document shows them (`data`)
    and, in their heads, as tofupilot 1.12.1 reads them (`result`)."""
    history = world.production
    serial = request.query_params.get("serial_number", "")
    if not serial:
        raise Refusal(400, "serial_number is required")
    runs = find_unit(history, serial).runs[::-1]
    return JSONResponse(
        {
            "message": "Runs fetched successfuly.",
            "data": [_shown(history, run) for run in runs],
            "result": [run_head(run) for run in runs],
        }
    )


@api.route("DELETE", "/api/v1/runs/{id}")
async def delete_run_v1(request: Request, world: World) -> Response:
    """Delete a run (v1)."""
    uuid = request.path_params["id"]
    world.production.delete_run(find_run(world.production, uuid))
    return JSONResponse({"message": f"Run {uuid} deleted successfully."})


@api.route("PATCH", "/api/v1/units/{serial_number}")
async def update_unit_v1(request: Request, world: World) -> Response:
    """Add sub-units to a unit (v1)."""
    from testlab_sim.tofupilot.run_body import SubUnitsV1, parse

    history = world.production
    unit = find_unit(history, request.path_params["serial_number"])
    body = parse(SubUnitsV1, await body_of(request))
    for child in [find_unit(history, serial) for serial in body.serials]:
        if child is unit:
            raise Refusal(400, "A unit cannot be its own sub-unit")
        if child.parent not in (None, unit):
            raise Refusal(409, f"Unit {child.serial} is already a sub-unit of another unit")
        history.attach(unit, child)
    return JSONResponse({"message": f"Unit {unit.serial} updated successfully."})


@api.route("DELETE", "/api/v1/units/{serial_number}")
async def delete_unit_v1(request: Request, world: World) -> Response:
    """Delete a unit with its runs (v1)."""
    unit = find_unit(world.production, request.path_params["serial_number"])
    world.production.delete_unit(unit)
    return JSONResponse({"message": f"Unit {unit.serial} deleted successfully."})


@api.route("POST", "/api/v1/uploads/initialize")
async def initialize_upload_v1(request: Request, world: World) -> Response:
    """Announce a file (v1); `sizeBytes` (tofupilot 2.26.1) binds the URL to exactly that size."""
    body = await body_of(request)
    size = body.get("sizeBytes", 0)
    if not isinstance(size, int) or size < 0 or size > files.MAX_BYTES:
        raise Refusal(400, f"sizeBytes must be between 1 and {files.MAX_BYTES}")
    kind = str(body.get("mimeType") or "application/octet-stream")
    upload = world.production.uploads.announce(text_in(body, "name"), kind, size)
    return JSONResponse({"id": upload.file.id, "uploadUrl": files.link(world, "PUT", upload.file.id)})


@api.route("POST", "/api/v1/uploads/sync")
async def sync_upload_v1(request: Request, world: World) -> Response:
    """Attach an uploaded file to a run (v1)."""
    body = await body_of(request)
    run = find_run(world.production, text_in(body, "run_id"))
    world.production.keep(run.unit)
    run.attach(files.received(world, text_in(body, "upload_id")))
    return JSONResponse({"message": "Upload synced successfully."})


@api.route("POST", "/api/v1/import")
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


def _shown(history: History, run: Run) -> dict[str, Any]:
    """A run as v1's document shows it; `id` and `procedure` are told too, as deleting and finding a run need them."""
    phases = history.detail(run).phases
    return {
        "id": run.id,
        "duration": duration(run.ended - run.started),
        "createdAt": stamp(run.created),
        "startedAt": stamp(run.started),
        "createdBy": {"email": run.operator or None},
        "status": {"name": run.outcome.capitalize(), "category": "Successful" if run.outcome == "PASS" else "Failed"},
        "procedure": {"id": run.procedure.id, "identifier": run.procedure.short, "name": run.procedure.name},
        "phases": [
            {
                "name": phase.name,
                "startedAt": stamp(phase.started),
                "duration": duration(phase.ended - phase.started),
                "outcome": phase.outcome,
                "measurements": [_measurement(m) for m in phase.measurements],
            }
            for phase in phases
        ],
    }


def _measurement(item: Measurement) -> dict[str, Any]:
    limits = {v.operator: v.expected for v in item.validators if v.decisive}
    return {
        "name": item.name,
        "measured_value": item.value,
        "outcome": item.outcome,
        "units": item.units,
        "lowerLimit": limits.get(">="),
        "upperLimit": limits.get("<="),
    }
