"""v2 procedures, their versions, and deployments (this lab has none)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Procedure, Run
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import Refusal, body_of, identity, invalid, operation, reply, text_in
from testlab_sim.tofupilot.shapes import stamp
from testlab_sim.world import YOU, World

_PROCEDURE = "/api/v2/procedures/{id}"
_RECENT = 10


@operation("GET", "/api/v2/procedures")
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


@operation("POST", "/api/v2/procedures")
async def create_procedure(request: Request, world: World) -> Response:
    """Create a procedure."""
    name = text_in(await body_of(request), "name")
    return reply({"id": world.production.procedure_named(name, "", world.clock.now()).id})


@operation("GET", _PROCEDURE)
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


def find_procedure(history: History, uuid: str) -> Procedure:
    if not is_uuid(uuid):
        raise invalid("id", "Invalid uuid")
    procedure = history.procedures.get(uuid.lower())
    if procedure is None:
        raise Refusal(404, f"Procedure with ID {uuid} not found")
    return procedure
