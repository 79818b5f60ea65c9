"""Reservations: create, extend, end, interrupt."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.clock import iso
from testlab_sim.routing import Api
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.reservations import Reservation, markdown_html
from testlab_sim.stbtester.wire import PREFIX, body, check_token, names_field, text_field, user
from testlab_sim.world import Person, World

routes = Api[World](PREFIX, "Reservations", guard=check_token)


def reservation_json(reservation: Reservation, reader: Person) -> dict[str, Any]:
    """Times without fractions of a second, as the vendor's page shows them."""
    expires = reservation.expires
    return {
        "reservation_id": reservation.reservation_id,
        "node_id": reservation.node_id,
        "username": reservation.username,
        "start_time": _seconds(reservation.start),
        "expires": None if expires is None else _seconds(expires),
        "message": reservation.message,
        "message_html": markdown_html(reservation.message),
        "reserved_by_you": reservation.username == reader.login,
    }


def _seconds(moment: float) -> str:
    return iso(moment, "")[:19] + "+00:00"


@routes.route("POST", "/api/v2/reservations")
async def reserve_nodes(request: Request, world: World) -> Response:
    """Reserve nodes for exclusive use: all of them or none."""
    portal, who = world.portal, user(request, world)
    fields = await body(request)
    node_ids, message = names_field(fields, "node_ids"), text_field(fields, "message")
    seconds = _read_duration(fields, mandatory=False)
    if len(set(node_ids)) != len(node_ids):
        raise Refusal(400, '"node_ids" names a node twice')
    if unknown := [node_id for node_id in node_ids if node_id not in portal.nodes]:
        raise Refusal(404, f"Unknown node_id {unknown[0]!r}")
    if reasons := [reason for node_id in node_ids if (reason := portal.unavailable(portal.nodes[node_id]))]:
        raise Refusal(409, "; ".join(reasons))
    now = world.clock.now()
    made = portal.reservations.make(node_ids, who.login, message, now, seconds)
    for node_id in node_ids:
        portal.nodes[node_id].used(who.login, now)
    return JSONResponse({"reservations": [reservation_json(r, who) for r in made]})


def _read_duration(fields: dict[str, Any], *, mandatory: bool) -> int | None:
    value = fields.get("duration_secs")
    if value is None and not mandatory:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**9:
        raise Refusal(400, '"duration_secs" must be a positive number of whole seconds')
    return value


def _find_reservation(request: Request, world: World) -> Reservation:
    given = request.path_params["reservation_id"]
    if not given.isdecimal():
        raise Refusal(400, f"Invalid reservation_id {given!r}")
    reservation = world.portal.reservations.get(int(given))
    if reservation is None:
        raise Refusal(404, f"Reservation {given} doesn't exist")
    return reservation


@routes.route("POST", "/api/v2/reservations/{reservation_id}/extend")
async def extend_reservation(request: Request, world: World) -> Response:
    """Extend your reservation: `duration_secs` is added to its current expiry."""
    reservation = _find_reservation(request, world)
    seconds = _read_duration(await body(request), mandatory=True)
    _require_owner(reservation, user(request, world))
    if not reservation.active(world.clock.now()):
        raise Refusal(400, f"Reservation {reservation.reservation_id} already ended")
    if reservation.expires is not None:
        reservation.expires += seconds or 0
    return Response(status_code=204)


@routes.route("DELETE", "/api/v2/reservations/{reservation_id}")
async def end_reservation(request: Request, world: World) -> Response:
    """End your reservation."""
    reservation = _find_reservation(request, world)
    _require_owner(reservation, user(request, world))
    reservation.ended = True
    return Response(status_code=204)


def _require_owner(reservation: Reservation, who: Person) -> None:
    if reservation.username != who.login:
        message = f"Reservation {reservation.reservation_id} was not created by you but by @{reservation.username}"
        raise Refusal(403, message)


@routes.route("POST", "/api/v2/reservations/{reservation_id}/interrupt")
async def interrupt_reservation(request: Request, world: World) -> Response:
    """Interrupt anybody's reservation, with a message for its owner."""
    reservation = _find_reservation(request, world)
    message = text_field(await body(request), "message")
    if reservation.active(world.clock.now()):
        reservation.ended = True
        reservation.interrupted_by, reservation.interruption = user(request, world).login, message
    return Response(status_code=204)
