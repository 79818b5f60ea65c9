"""v2 procedures, their versions, and deployments (this lab has none)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Procedure, Run, Version
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import Refusal, body_of, identity, invalid, operation, reply, text_in
from testlab_sim.tofupilot.shapes import stamp
from testlab_sim.world import YOU, World

_PROCEDURE = "/api/v2/procedures/{id}"
_VERSIONS = "/api/v2/procedures/{procedure_id}/versions"
_RECENT = 10


@operation("GET", "/api/v2/procedures", query=("limit", "cursor", "search_query", "created_after", "created_before"))
async def list_procedures(request: Request, world: World) -> Response:
    """List procedures, newest first."""
    query = Query(request.query_params)
    text = query.text("search_query").casefold()
    after, before = query.instant("created_after") or 0.0, query.instant("created_before") or float("inf")
    found = [
        p for p in world.production.procedures.values() if text in p.name.casefold() and after <= p.created <= before
    ]
    found.sort(key=lambda p: p.created, reverse=True)
    return page(query, found, _row)


def _row(procedure: Procedure) -> dict[str, Any]:
    return {
        "id": procedure.id,
        "name": procedure.name,
        "created_at": stamp(procedure.created),
        "created_by_user": identity(YOU),
        "linkedRepository": None,
    }


@operation("POST", "/api/v2/procedures", fails=(400,))
async def create_procedure(request: Request, world: World) -> Response:
    """Create a procedure."""
    name = text_in(await body_of(request), "name")
    return reply({"id": world.production.procedure_named(name, "", world.clock.now()).id})


@operation("GET", _PROCEDURE, fails=(404,))
async def get_procedure(request: Request, world: World) -> Response:
    """Get a procedure with its latest runs and its stations."""
    history = world.production
    procedure = find_procedure(history, request.path_params["id"])
    runs = [run for run in reversed(history.runs) if run.procedure is procedure]
    stations = [s for s in history.stations.values() if procedure in s.procedures]
    shown = _row(procedure)
    del shown["linkedRepository"]
    return reply(
        shown
        | {
            "runs_count": len(runs),
            "recent_runs": [_recent(run) for run in runs[:_RECENT]],
            "stations": [{"id": s.id, "name": s.name} for s in stations],
        }
    )


def _recent(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "started_at": stamp(run.started),
        "outcome": run.outcome,
        "unit": {"serial_number": run.unit.serial},
    }


@operation("PATCH", _PROCEDURE, fails=(400, 404))
async def update_procedure(request: Request, world: World) -> Response:
    """Rename a procedure; settings of linked repositories are taken and have no effect here."""
    procedure = find_procedure(world.production, request.path_params["id"])
    body = await body_of(request)
    if body.get("name") is not None:
        procedure.name = text_in(body, "name")
    return reply({"id": procedure.id})


@operation("DELETE", _PROCEDURE, fails=(400, 404))
async def delete_procedure(request: Request, world: World) -> Response:
    """Delete a procedure with all its runs, for good."""
    history = world.production
    procedure = find_procedure(history, request.path_params["id"])
    for run in [run for run in history.runs if run.procedure is procedure]:
        history.delete_run(run)
    for station in history.stations.values():
        station.procedures = [p for p in station.procedures if p is not procedure]
    del history.procedures[procedure.id]
    return reply({"id": procedure.id})


def find_procedure(history: History, uuid: str) -> Procedure:
    if not is_uuid(uuid):
        raise invalid("id", "Invalid uuid")
    procedure = history.procedures.get(uuid.lower())
    if procedure is None:
        raise Refusal(404, f"Procedure with ID {uuid} not found")
    return procedure


@operation("POST", _VERSIONS, fails=(400, 404, 409))
async def create_version(request: Request, world: World) -> Response:
    """Create a version of a procedure."""
    history = world.production
    procedure = find_procedure(history, request.path_params["procedure_id"])
    tag = text_in(await body_of(request), "tag")
    if _version(procedure, tag) is not None:
        raise Refusal(409, f"Version {tag} of procedure {procedure.name} already exists")
    return reply({"id": history.version_of(procedure, tag, world.clock.now()).id})


@operation("GET", _VERSIONS + "/{tag}", fails=(404,))
async def get_version(request: Request, world: World) -> Response:
    """Get a version of a procedure with how many runs it has."""
    procedure, version = _found_version(request, world)
    return reply(
        {
            "id": version.id,
            "tag": version.tag,
            "created_at": stamp(version.created),
            "procedure": {"id": procedure.id, "name": procedure.name},
            "run_count": _run_count(world.production, version),
            "created_by_user": None,
            "created_by_station": None,
        }
    )


@operation("DELETE", _VERSIONS + "/{tag}", fails=(404, 409))
async def delete_version(request: Request, world: World) -> Response:
    """Delete a version; one with runs is kept."""
    procedure, version = _found_version(request, world)
    if count := _run_count(world.production, version):
        raise Refusal(409, f"Version {version.tag} is used by {count} runs")
    procedure.versions = {tag: v for tag, v in procedure.versions.items() if v is not version}
    return reply({"id": version.id})


def _found_version(request: Request, world: World) -> tuple[Procedure, Version]:
    procedure = find_procedure(world.production, request.path_params["procedure_id"])
    tag = request.path_params["tag"]
    version = _version(procedure, tag)
    if version is None:
        raise Refusal(404, f"Version {tag} of procedure {procedure.name} not found")
    return procedure, version


def _version(procedure: Procedure, tag: str) -> Version | None:
    return next((v for v in procedure.versions.values() if v.tag.casefold() == tag.casefold()), None)


def _run_count(history: History, version: Version) -> int:
    return sum(run.version is version for run in history.runs)


@operation("GET", "/api/v2/deployments", query=("procedure_ids", "limit", "cursor"))
async def list_deployments(request: Request, world: World) -> Response:
    """List deployments: none here."""
    return page(Query(request.query_params), list[Procedure](), _row)


@operation("GET", "/api/v2/deployments/{id}", fails=(404,))
async def get_deployment(request: Request, world: World) -> Response:
    """Get a deployment: there is none."""
    raise Refusal(404, f"Deployment with ID {request.path_params['id']} not found")
