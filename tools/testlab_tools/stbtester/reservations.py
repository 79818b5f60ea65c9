"""Stb-tester's reservations: "Reservations" of its REST API. They are advisory: anybody can interrupt anybody's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from testlab_tools.capabilities import NodeFarm
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, NotFound, Refused, ServiceError
from testlab_tools.http import Reply
from testlab_tools.models import Reservation
from testlab_tools.stbtester.models import ReservationEntry, ReservationsReply
from testlab_tools.stbtester.nodes import Nodes, login_of
from testlab_tools.wire import decode

SEEN_LATE_S = 2
"""Two expiries this close are the same: the portal keeps whole seconds."""


class Reservations(Nodes, NodeFarm):
    """Takes nodes and gives them back. A change whose answer was lost is looked up, never sent again blindly."""

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        body: dict[str, object] = {"node_ids": list(node_ids), "message": message}
        if duration_s is not None:
            body["duration_secs"] = duration_s
        try:
            reply = await self.client.send("POST", "/api/v2/reservations", body=body)
            if reply.status == 409:
                raise await self.conflict(node_ids)
            if reply.status == 400:
                raise BadInput(
                    f"{self.name} does not accept the reservation", "", "Check message and duration_minutes."
                )
            self.checked(reply, "node among those to reserve", "list_nodes shows all nodes.")
            made = decode(reply, ReservationsReply).reservations
        except (AnswerLost, BadReply) as lost:
            made = await self._made_after_all(node_ids, message, lost)
        return [self.reservation_noun(entry) for entry in made]

    async def reservation(self, reservation_id: str) -> Reservation:
        return self.reservation_noun(await self._entry(reservation_id))

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        before = await self._entry(reservation_id)
        if before.expires is None:
            raise BadInput("This reservation has no end to move", "", "It holds until end_reservation.")
        try:
            reply = await self._post(reservation_id, "extend", {"duration_secs": seconds})
        except AnswerLost as lost:
            after = await self._entry(reservation_id)
            moved = (after.expires or before.expires) - before.expires
            if abs(moved - timedelta(seconds=seconds)) > timedelta(seconds=SEEN_LATE_S):
                raise _not_done(lost, "The reservation's end has not moved") from None
            return self.reservation_noun(after)
        if reply.status == 400:
            raise BadInput("The reservation cannot be extended", "It has ended", "reserve_nodes makes a new one.")
        self._mine(reply, before)
        return await self.reservation(reservation_id)

    async def end_reservation(self, reservation_id: str) -> None:
        path = f"/api/v2/reservations/{_number(reservation_id)}"
        try:
            reply = await self.client.send("DELETE", path)
        except AnswerLost:
            # "204 No Content - Reservation already ended": asking twice does what asking once does.
            reply = await self.client.send("DELETE", path)
        if reply.status == 403:
            self._mine(reply, await self._entry(reservation_id))
        self.checked(reply, "reservation", _SHOWN)

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        try:
            reply = await self._post(reservation_id, "interrupt", {"message": message})
        except AnswerLost as lost:
            if any(entry.reservation_id == int(reservation_id) for entry in await self._entries()):
                raise _not_done(lost, "The reservation still stands") from None
            return
        self.checked(reply, "reservation", _SHOWN)

    async def _post(self, reservation_id: str, action: str, body: object) -> Reply:
        return await self.client.send("POST", f"/api/v2/reservations/{_number(reservation_id)}/{action}", body=body)

    async def _made_after_all(
        self, node_ids: Sequence[str], message: str, lost: AnswerLost | BadReply
    ) -> list[ReservationEntry]:
        """What became of a reservation whose answer was lost: nobody else can have put our message on our node."""
        try:
            entries = await self._entries()
        except ServiceError:
            raise lost from None
        ours = [e for e in entries if e.node_id in node_ids and e.reserved_by_you and e.message == message]
        if len(ours) < len(node_ids):
            raise _not_done(lost, "Nothing was reserved")
        return ours

    async def _entries(self) -> list[ReservationEntry]:
        return [status.reservation for status in await self.statuses() if status.reservation]

    async def _entry(self, reservation_id: str) -> ReservationEntry:
        number = _number(reservation_id)
        found = next((e for e in await self._entries() if e.reservation_id == number), None)
        if found is None:
            raise NotFound(f"{self.name} has no such reservation", "It has ended, or never was", _SHOWN)
        return found

    def _mine(self, reply: Reply, entry: ReservationEntry) -> None:
        """403 is a bad token or somebody else's reservation; with a bad token the list had been refused before."""
        if reply.status == 403 and not entry.reserved_by_you:
            raise Refused(
                f"Reservation {self.handle(str(entry.reservation_id))} is held by {login_of(entry.username)}",
                "Only its holder can extend or end it",
                "Ask them, or wait: list_nodes shows until when.",
            )
        self.checked(reply, "reservation", _SHOWN)


_ONE_SPELLING = re.compile(r"[1-9][0-9]{0,17}|0", re.ASCII)
"""007 is no id: who holds 7 is remembered under 7."""


def _number(reservation_id: str) -> int:
    if not _ONE_SPELLING.fullmatch(reservation_id):
        raise NotFound("There is no such reservation", "Its id is not a number", _SHOWN)
    return int(reservation_id)


def _not_done(lost: AnswerLost | BadReply, what: str) -> LabError:
    return AnswerLost(lost.service, f"The answer of service {lost.service} was lost", what, "It is safe to call again.")


_SHOWN = "list_nodes shows reservations and their ids."
