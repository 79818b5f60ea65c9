"""Stb-tester's reservations: "Reservations" of its REST API. They are advisory: anybody can interrupt anybody's.

A change that is not answered with its success is looked up in the list of nodes, which holds every reservation: a
gateway, a proxy or a failing portal can answer with any status after the work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from testlab_tools.adapters.stbtester.acquisition import Acquisition
from testlab_tools.adapters.stbtester.models import ReservationEntry, ReservationsReply
from testlab_tools.capabilities.nodes import no_such_reservation
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, NotFound, Refused
from testlab_tools.http import Reply
from testlab_tools.http.errors import lost, unlisted
from testlab_tools.http.response import decode
from testlab_tools.models.nodes import Reservation
from testlab_tools.untrusted import login_of

SEEN_LATE_S = 2
"""Two expiries this close are the same: the portal keeps whole seconds."""

TAKES = frozenset({200, 400, 401, 403, 404, 409, 429})
CHANGES = frozenset({204, 400, 401, 403, 404, 429})
"""The "Status Codes" of "Reserve nodes", and of "Extend", "End" and "Interrupt a reservation", and HTTP's own word for
a token that is not taken."""


class Reservations(Acquisition):
    """Takes nodes and gives them back. A change whose answer was lost is looked up, never sent again blindly."""

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        body: dict[str, object] = {"node_ids": list(node_ids), "message": message}
        if duration_s is not None:
            body["duration_secs"] = duration_s
        async with self.attempt(node_ids, message) as attempt:
            answer: Reply | AnswerLost | BadReply
            try:
                answer = await self.change("POST", "/api/v2/reservations", TAKES, body)
                if answer.status == 200:
                    made = decode(answer, ReservationsReply).reservations
                    if sorted(entry.node_id for entry in made) == sorted(node_ids):
                        return attempt.claim(made)
                    answer = unlisted(self.name, answer.status, "a reservation with other nodes, and")
                elif answer.status == 404:  # "Unknown node_id", and all were listed before
                    answer = self.contradiction(answer, "POST")
            except (AnswerLost, BadReply) as unanswered:
                answer = unanswered
            return await attempt.settle(answer)

    async def get_reservation(self, reservation_id: str) -> Reservation:
        return self.make_reservation(await self._get_entry(reservation_id))

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        before = await self._get_entry(reservation_id)
        if before.expires is None:
            raise BadInput("This reservation has no end to move", "", "It holds until end_reservation.")
        end = before.expires + timedelta(seconds=seconds)
        try:
            reply = await self._post(reservation_id, "extend", {"duration_secs": seconds})
        except AnswerLost as unanswered:
            if moved := await self._find_moved(reservation_id, before.expires, end, unanswered):
                return moved
            raise self._not_done(unanswered, "The reservation's end has not moved", reservation_id, end) from None
        if reply.status == 204:
            return await self._read_extended(before, end)
        doubt = lost(self.name, "POST", f"It answered HTTP {reply.status}")
        if moved := await self._find_moved(reservation_id, before.expires, end, doubt):
            return moved
        if reply.status == 400:
            raise BadInput("The reservation cannot be extended", "It has ended", "reserve_nodes makes a new one.")
        raise self._refusal(reply, before, "The reservation's end has not moved")

    async def end_reservation(self, reservation_id: str) -> bool:
        """Asked about before: "204 No Content" is the answer for "Reservation already ended" as well."""
        path, before = f"/api/v2/reservations/{_number(reservation_id)}", await self._find_entry(reservation_id)
        try:
            reply = await self.change("DELETE", path, CHANGES)
        except AnswerLost as unanswered:
            # Asking twice does what asking once does.
            with self.in_doubt("the reservation has ended", _ENDS):
                reply = await self._end_again(path, reservation_id, unanswered)
        if reply is None or reply.status == 204:
            return before is not None
        if before is None and reply.status == 404:
            raise no_such_reservation(self.name, reservation_id)
        with self.in_doubt("the reservation has ended", _ENDS):
            if await self._find_entry(reservation_id) is None:
                return before is not None
        raise self._refusal(reply, before or await self._get_entry(reservation_id))

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        reply = unanswered = None
        try:
            reply = await self._post(reservation_id, "interrupt", {"message": message})
            if reply.status == 204:
                return
        except AnswerLost as error:
            unanswered = error
        with self.in_doubt("the reservation was interrupted", "list_nodes shows whose the node is."):
            left = await self._find_entry(reservation_id)
        if left is None:
            return
        if unanswered is not None:
            raise self._not_done(unanswered, "The reservation still stands", reservation_id) from None
        assert reply is not None, "there is an answer or none"
        raise self._refusal(reply, left)

    async def _post(self, reservation_id: str, action: str, body: object) -> Reply:
        return await self.change("POST", f"/api/v2/reservations/{_number(reservation_id)}/{action}", CHANGES, body)

    async def _end_again(self, path: str, reservation_id: str, unanswered: AnswerLost) -> Reply | None:
        """None where it holds no longer; otherwise the answer to asking once more."""
        try:
            if await self._find_entry(reservation_id) is None:
                return None
            return await self.change("DELETE", path, CHANGES)
        except AnswerLost:
            if await self._find_entry(reservation_id) is None:
                return None
            raise self._not_done(unanswered, "The reservation still stands", reservation_id) from None

    async def _read_extended(self, before: ReservationEntry, end: datetime) -> Reservation:
        """As the portal tells it now; as it was asked for where it cannot be asked any more."""
        try:
            return await self.get_reservation(str(before.reservation_id))
        except NotFound:
            raise
        except LabError:
            return self.make_reservation(before.model_copy(update={"expires": end}))

    async def _find_moved(
        self, reservation_id: str, begin: datetime, end: datetime, doubt: AnswerLost
    ) -> Reservation | None:
        """The reservation if its end has moved as was asked, None if it has not. Raises AnswerLost if neither."""

        async def look() -> Reservation | None:
            return await self._find_moved(reservation_id, begin, end, doubt)

        shown = "list_nodes shows its end: look before you extend it again."
        try:
            after = await self._get_entry(reservation_id)
        except NotFound:
            raise
        except LabError as error:
            unknown = "Whether the reservation was extended is not known: the answer was lost"
            raise AnswerLost(self.name, unknown, f"It cannot be looked up: {error}", shown, look) from None
        if after.expires and abs(after.expires - end) <= timedelta(seconds=SEEN_LATE_S):
            return self.make_reservation(after)
        if after.expires and abs(after.expires - begin) <= timedelta(seconds=SEEN_LATE_S):
            return None
        other = "The reservation's end has moved, and not as was asked: whether by this call is not known"
        raise AnswerLost(self.name, other, doubt.why, shown)

    async def _get_entry(self, reservation_id: str) -> ReservationEntry:
        found = await self._find_entry(reservation_id)
        if found is None:
            raise no_such_reservation(self.name, reservation_id)
        return found

    async def _find_entry(self, reservation_id: str) -> ReservationEntry | None:
        number = _number(reservation_id)
        return next((e for e in await self.entries() if e.reservation_id == number), None)

    def _refusal(self, reply: Reply, entry: ReservationEntry, so: str = "The reservation still stands") -> LabError:
        """What a refusal means for a reservation that is there. 403 is a bad token or somebody else's reservation; with
        a bad token the list had been refused before."""
        if reply.status == 403 and not entry.reserved_by_you:
            return Refused(
                f"Reservation {self.handle(str(entry.reservation_id))!r} is held by {login_of(entry.username)}",
                "Only its holder can extend or end it",
                "Ask them, or wait: list_nodes shows until when.",
            )
        if reply.status == 404:
            return self._not_done(self.contradiction(reply, "POST"), so, str(entry.reservation_id))
        return self.failure(reply, "the reservation")

    def _not_done(
        self, unanswered: AnswerLost, what: str, reservation_id: str, end: datetime | None = None
    ) -> AnswerLost:
        async def look() -> Reservation | None:
            after = await self._find_entry(reservation_id)
            there = after and after.expires and end and abs(after.expires - end) <= timedelta(seconds=SEEN_LATE_S)
            return self.make_reservation(after) if after and there else None

        said = f"The answer of service {unanswered.service} was lost"
        safe = "It is safe to call again with the same arguments."
        return AnswerLost(unanswered.service, said, what, safe, look if end else None)


_ONE_SPELLING = re.compile(r"[1-9][0-9]{0,17}|0", re.ASCII)
"""007 is no id: who holds 7 is remembered under 7."""


def _number(reservation_id: str) -> int:
    if not _ONE_SPELLING.fullmatch(reservation_id):
        raise NotFound("There is no such reservation", "Its id is not a number", _SHOWN).naming(reservation_id)
    return int(reservation_id)


_ENDS = "list_nodes shows whether it has; end_reservation can be called again."
_SHOWN = "list_nodes shows reservations and their ids."
