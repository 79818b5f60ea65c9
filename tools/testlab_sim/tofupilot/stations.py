"""v2 stations and people: who is there, and who is calling."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import Station
from testlab_sim.tofupilot.paging import page
from testlab_sim.tofupilot.procedures import find_procedure
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.runs import merged
from testlab_sim.tofupilot.service import (
    ORGANIZATION,
    Refusal,
    body_of,
    caller,
    email,
    identity,
    metadata_in,
    operation,
    reply,
    text_in,
    user_id,
)
from testlab_sim.world import PEOPLE, Person, World

_STATION = "/api/v2/stations/{id}"
_LIST_QUERY = ("limit", "cursor", "search_query", "procedure_ids", "metadata", "include_metadata")


@operation("GET", "/api/v2/stations", query=_LIST_QUERY, fails=(400,))
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


@operation("POST", "/api/v2/stations", fails=(400, 404))
async def create_station(request: Request, world: World) -> Response:
    """Create a station, linked to a procedure if one is named."""
    body, history = await body_of(request), world.production
    name, linked = text_in(body, "name"), body.get("procedure_id")
    procedures = [find_procedure(history, str(linked))] if linked else []
    number = history.next_number()
    station = Station(number, name, f"sim-station-{number}", procedures, merged({}, metadata_in(body)))
    history.stations[station.id] = station
    return reply({"id": station.id})


@operation("GET", "/api/v2/stations/current", fails=(403,))
async def get_current_station(request: Request, world: World) -> Response:
    """Get the station whose key is calling."""
    who = caller(request, world)
    if not isinstance(who, Station):
        raise Refusal(403, "Only a station key can ask for the current station")
    return reply(_whole(world.production, who))


@operation("GET", _STATION, fails=(404,))
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


@operation("PATCH", _STATION, fails=(400, 404))
async def update_station(request: Request, world: World) -> Response:
    """Change a station's name or metadata."""
    station, body = _find(request, world), await body_of(request)
    station.name = text_in(body, "name") if body.get("name") is not None else station.name
    station.metadata = merged(station.metadata, metadata_in(body))
    return reply({"id": station.id, "name": station.name})


@operation("DELETE", _STATION, fails=(404,))
async def remove_station(request: Request, world: World) -> Response:
    """Remove a station; its runs stay and its key no longer opens anything."""
    station = _find(request, world)
    del world.production.stations[station.id]
    return reply({"id": station.id})


def _find(request: Request, world: World) -> Station:
    uuid = request.path_params["id"]
    station = world.production.stations.get(uuid.lower())
    if station is None:
        raise Refusal(404, f"Station with ID {uuid} not found")
    return station


@operation("GET", "/api/v2/users")
async def list_users(request: Request, world: World) -> Response:
    """List the organization's users: a bare list."""
    return reply([_user(person) for person in PEOPLE])


@operation("GET", "/api/v2/users/current", fails=(403,))
async def get_current_user(request: Request, world: World) -> Response:
    """Get the user whose key is calling."""
    who = caller(request, world)
    if not isinstance(who, Person):
        raise Refusal(403, "A station key has no user")
    return reply(_user(who))


def _user(person: Person) -> dict[str, Any]:
    return {"id": user_id(person), "email": email(person), "name": person.name, "image": None, "banned": False}


@operation("GET", "/api/v2/whoami")
async def whoami(request: Request, world: World) -> Response:
    """Tell whose key is calling: a user's or a station's."""
    who = caller(request, world)
    station = {"id": who.id, "name": who.name} if isinstance(who, Station) else None
    user = identity(who) if isinstance(who, Person) else None
    kind = "station" if station else "user"
    return reply({"type": kind, "station": station, "user": user, "organization": ORGANIZATION})
