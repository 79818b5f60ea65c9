"""Reservations: one user's hold on one node, until it is ended, interrupted or the clock passes its expiry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.stbtester.service import Refusal, api, body, user
from testlab_sim.world import Person, World, iso


@dataclass
class Reservation:
    reservation_id: int
    node_id: str
    username: str
    message: str
    start: float
    expires: float | None
    ended: bool = False

    def active(self, now: float) -> bool:
        return not self.ended and (self.expires is None or now < self.expires)


class Reservations:
    """All reservations ever made, by id; ids count up from 1."""

    def __init__(self) -> None:
        self._all: dict[int, Reservation] = {}

    def get(self, reservation_id: int) -> Reservation | None:
        return self._all.get(reservation_id)

    def on(self, node_id: str, now: float) -> Reservation | None:
        """The reservation now held on a node."""
        held = (r for r in reversed(self._all.values()) if r.node_id == node_id and r.active(now))
        return next(held, None)

    def make(
        self, node_ids: Iterable[str], username: str, message: str, now: float, seconds: float | None
    ) -> list[Reservation]:
        """Reserve without asking: whether the nodes are free is for the caller to have seen."""
        expires = None if seconds is None else now + seconds
        made: list[Reservation] = []
        for node_id in node_ids:
            reservation = Reservation(len(self._all) + 1, node_id, username, message, now, expires)
            self._all[reservation.reservation_id] = reservation
            made.append(reservation)
        return made


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
        "reserved_by_you": reservation.username == reader.login,
    }


def _seconds(moment: float) -> str:
    return iso(moment, "")[:19] + "+00:00"


@api.route("POST", "/api/v2/reservations")
async def reserve_nodes(request: Request, world: World) -> Response:
    """Reserve nodes for exclusive use: all of them or none."""
    from testlab_sim.stbtester.bodies import ReservationBody, parse

    portal, who, now = world.portal, user(request, world), world.clock.now()
    given = parse(ReservationBody, await body(request))
    if len(set(given.node_ids)) != len(given.node_ids):
        raise Refusal(400, '"node_ids" names a node twice')
    nodes = [portal.node(node_id) for node_id in given.node_ids]
    if reasons := [reason for node in nodes if (reason := portal.unavailable(node))]:
        raise Refusal(409, "; ".join(reasons))
    made = portal.reservations.make(given.node_ids, who.login, given.message, now, given.duration_secs)
    for node in nodes:
        node.used(who.login, now)
    return JSONResponse({"reservations": [reservation_json(r, who) for r in made]})


def _find_reservation(request: Request, world: World) -> Reservation:
    given = request.path_params["reservation_id"]
    if not given.isdecimal():
        raise Refusal(400, f"Invalid reservation_id {given!r}")
    reservation = world.portal.reservations.get(int(given))
    if reservation is None:
        raise Refusal(404, f"Reservation {given} doesn't exist")
    return reservation


@api.route("POST", "/api/v2/reservations/{reservation_id}/extend")
async def extend_reservation(request: Request, world: World) -> Response:
    """Extend your reservation: `duration_secs` is added to its current expiry."""
    from testlab_sim.stbtester.bodies import ExtensionBody, parse

    reservation = _find_reservation(request, world)
    given = parse(ExtensionBody, await body(request))
    _require_owner(reservation, user(request, world))
    if not reservation.active(world.clock.now()):
        raise Refusal(400, f"Reservation {reservation.reservation_id} already ended")
    if reservation.expires is not None:
        reservation.expires += given.duration_secs
    return Response(status_code=204)


@api.route("DELETE", "/api/v2/reservations/{reservation_id}")
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


@api.route("POST", "/api/v2/reservations/{reservation_id}/interrupt")
async def interrupt_reservation(request: Request, world: World) -> Response:
    """Interrupt anybody's reservation; the message is for its owner."""
    from testlab_sim.stbtester.bodies import InterruptionBody, parse

    reservation = _find_reservation(request, world)
    parse(InterruptionBody, await body(request))
    reservation.ended = True
    return Response(status_code=204)
