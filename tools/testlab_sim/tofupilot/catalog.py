"""What v2 knows beside runs and units: procedures, parts, batches, stations, and whose key is calling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.production.history import History
from testlab_sim.production.index import select
from testlab_sim.production.records import Batch, Part, Procedure, Station, Unit, is_uuid
from testlab_sim.tofupilot.query import Query, page
from testlab_sim.tofupilot.service import ORGANIZATION, api, body_of, caller, found, identity, invalid, text_in
from testlab_sim.tofupilot.shapes import named, stamp
from testlab_sim.world import YOU, Person, World


@api.route("GET", "/api/v2/procedures")
async def list_procedures(request: Request, world: World) -> Response:
    """List procedures, newest first."""
    query = Query(request)
    rows = [p for p in world.production.procedures.values() if query.finds(p.name)]
    rows.sort(key=lambda p: p.created, reverse=True)
    return page(query, rows, lambda p: _procedure(p) | {"linkedRepository": None})


def _procedure(procedure: Procedure) -> dict[str, Any]:
    return named(procedure) | {"created_at": stamp(procedure.created), "created_by_user": identity(YOU)}


@api.route("POST", "/api/v2/procedures")
async def create_procedure(request: Request, world: World) -> Response:
    """Create a procedure."""
    name = text_in(await body_of(request), "name")
    return JSONResponse({"id": world.production.procedure_named(name, "", world.clock.now()).id})


@api.route("GET", "/api/v2/procedures/{id}")
async def get_procedure(request: Request, world: World) -> Response:
    """Get a procedure with how many runs it has, and its stations."""
    history, uuid = world.production, request.path_params["id"]
    if not is_uuid(uuid):
        raise invalid("id", "Invalid uuid")
    procedure = found(history.procedures.get(uuid.lower()), f"Procedure with ID {uuid}")
    count = len(select(history.runs, [lambda run: run.procedure is procedure]))
    stations = [named(s) for s in history.stations.values() if procedure in s.procedures]
    about = {"runs_count": count, "recent_runs": [], "stations": stations}
    return JSONResponse(_procedure(procedure) | about)


@api.route("GET", "/api/v2/parts")
async def list_parts(request: Request, world: World) -> Response:
    """List parts with their revisions, newest first."""
    query = Query(request)
    rows = [p for p in world.production.parts.values() if query.finds(p.name, p.part_number)]
    return page(query, sorted(rows, key=lambda p: p.created, reverse=True), _part)


@api.route("GET", "/api/v2/parts/{number}")
async def get_part(request: Request, world: World) -> Response:
    """Get a part."""
    number = request.path_params["number"]
    return JSONResponse(_part(found(world.production.parts.get(number.upper()), f"Part {number}")))


def _part(part: Part) -> dict[str, Any]:
    return {
        "id": part.id,
        "number": part.part_number,
        "name": part.name,
        "created_at": stamp(part.created),
        "revisions": [{"id": r.id, "number": r.name, "created_at": stamp(r.created)} for r in part.revisions.values()],
    }


@api.route("GET", "/api/v2/batches")
async def list_batches(request: Request, world: World) -> Response:
    """List batches with how many units each has, newest first."""
    query, history = Query(request), world.production
    rows = [b for b in world.production.batches.values() if query.finds(b.name)]
    rows.sort(key=lambda b: (b.created, b.name), reverse=True)
    return page(query, rows, lambda b: _batch(b) | {"unit_count": len(_units_of(history, b))})


@api.route("GET", "/api/v2/batches/{number}")
async def get_batch(request: Request, world: World) -> Response:
    """Get a batch with its units."""
    number = request.path_params["number"]
    batch = found(world.production.batches.get(number.upper()), f"Batch {number}")
    units = _units_of(world.production, batch)
    return JSONResponse(_batch(batch) | {"units": [{"id": u.id, "serial_number": u.serial} for u in units]})


def _batch(batch: Batch) -> dict[str, Any]:
    return {"id": batch.id, "number": batch.name, "created_at": stamp(batch.created)}


def _units_of(history: History, batch: Batch) -> Sequence[Unit]:
    return select(history.units_by_creation(), [lambda unit: unit.batch is batch])


@api.route("GET", "/api/v2/stations")
async def list_stations(request: Request, world: World) -> Response:
    """List stations."""
    query = Query(request)
    return page(query, [s for s in world.production.stations.values() if query.finds(s.name)], _station)


@api.route("GET", "/api/v2/stations/{id}")
async def get_station(request: Request, world: World) -> Response:
    """Get a station, with its API key in the body."""
    uuid = request.path_params["id"]
    station = found(world.production.stations.get(uuid.lower()), f"Station with ID {uuid}")
    return JSONResponse(_station(station) | {"api_key": station.api_key})


def _station(station: Station) -> dict[str, Any]:
    return named(station) | {"procedures": [named(p) for p in station.procedures]}


@api.route("GET", "/api/v2/whoami")
async def whoami(request: Request, world: World) -> Response:
    """Tell whose key is calling: a user's or a station's."""
    who = caller(request, world)
    station = named(who) if isinstance(who, Station) else None
    user = identity(who) if isinstance(who, Person) else None
    kind = "station" if station else "user"
    return JSONResponse({"type": kind, "station": station, "user": user, "organization": ORGANIZATION})
