"""v2 stations and people: who is there, and who is calling."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Station
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import (
    ORGANIZATION,
    Refusal,
    caller,
    identity,
    operation,
    reply,
)
from testlab_sim.world import Person, World

_STATION = "/api/v2/stations/{id}"


@operation("GET", "/api/v2/stations")
async def list_stations(request: Request, world: World) -> Response:
    """List stations."""
    query = Query(request.query_params)
    text, ids, matches = query.text("search_query").casefold(), query.many("procedure_ids"), query.metadata()
    found = [
        s
        for s in world.production.stations.values()
        if text in s.name.casefold()
        and (not ids or any(p.id in ids for p in s.procedures))
        and (matches is None or matches(s.metadata))
    ]
    metadata = query.flag("include_metadata")
    return page(query, found, lambda s: _row(s) | ({"metadata": s.metadata} if metadata else {}))


def _row(station: Station) -> dict[str, Any]:
    return {
        "id": station.id,
        "name": station.name,
        "procedures": [{"id": p.id, "name": p.name} for p in station.procedures],
        "procedures_count": len(station.procedures),
        "team": None,
    }


@operation("GET", _STATION)
async def get_station(request: Request, world: World) -> Response:
    """Get a station, with its API key in the body."""
    return reply(_whole(world.production, _find(request, world)))


def _whole(history: History, station: Station) -> dict[str, Any]:
    counts = {p.id: sum(run.procedure is p for run in history.runs) for p in station.procedures}
    procedures = [
        {"id": p.id, "name": p.name, "runs_count": counts[p.id], "deployment": None} for p in station.procedures
    ]
    return {
        "id": station.id,
        "name": station.name,
        "api_key": station.api_key,
        "procedures": procedures,
        "organization_slug": ORGANIZATION["slug"],
        "team": None,
        "metadata": station.metadata,
    }


def _find(request: Request, world: World) -> Station:
    uuid = request.path_params["id"]
    station = world.production.stations.get(uuid.lower())
    if station is None:
        raise Refusal(404, f"Station with ID {uuid} not found")
    return station


@operation("GET", "/api/v2/whoami")
async def whoami(request: Request, world: World) -> Response:
    """Tell whose key is calling: a user's or a station's."""
    who = caller(request, world)
    station = {"id": who.id, "name": who.name} if isinstance(who, Station) else None
    user = identity(who) if isinstance(who, Person) else None
    kind = "station" if station else "user"
    return reply({"type": kind, "station": station, "user": user, "organization": ORGANIZATION})
