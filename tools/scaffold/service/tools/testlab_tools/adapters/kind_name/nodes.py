"""KindName as an inventory of nodes, and its reservations: a capability that changes something.

A change whose answer was lost is looked up in the list of nodes, and never sent again blindly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from testlab_tools.adapters.kind_name.client import KindNameApi
from testlab_tools.adapters.kind_name.models import NodeRow, ReservationRow
from testlab_tools.capabilities import NodeInventory, NodeReservations
from testlab_tools.capabilities.nodes import no_such_reservation
from testlab_tools.errors import AnswerLost, BadInput, Conflict, NotFound, Refused
from testlab_tools.http.response import decode
from testlab_tools.models.nodes import Node, NodeState, Reservation, Taken


class KindNameNodes(KindNameApi, NodeInventory, NodeReservations):
    """Lists nodes, reserves them and gives them back."""

    async def list_nodes(self) -> list[Node]:
        return [self._node(row) for row in await self._node_rows()]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        found = next((self._node(row) for row in await self._node_rows() if row.id == node_id), None)
        if found is None:
            raise NotFound(f"{self.name} has no such node", "", "list_nodes shows all nodes.")
        return found

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        before = {row.id for row in await self._reservations()}
        body = {"nodes": list(node_ids), "message": message, "seconds": duration_s}
        try:
            reply = await self.change("POST", "/api/reservations", body)
        except AnswerLost as lost:
            found = await self._find_reserved(node_ids, message, before)
            if found is not None:
                return found
            raise AnswerLost(
                self.name,
                "The answer was lost, and no node is reserved so far",
                lost.why,
                "It is safe to call again with the same arguments.",
                lambda: self._find_reserved(node_ids, message, before),
            ) from None
        if reply.status == 409:
            raise await self._conflict(node_ids)
        rows = decode(self.checked(reply, "node"), list[ReservationRow])
        return [self._reservation(row) for row in rows]

    async def get_reservation(self, reservation_id: str) -> Reservation:
        return self._reservation(await self._find_reservation(reservation_id))

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        before = await self._find_reservation(reservation_id)
        if before.expires is None:
            raise BadInput("This reservation has no end to move", "", "It holds until end_reservation.")
        self._check_mine(before)
        try:
            reply = await self.change("PATCH", f"/api/reservations/{before.id}", {"seconds": seconds})
        except AnswerLost as lost:
            after = await self._find_reservation(reservation_id)
            if after.expires == before.expires + timedelta(seconds=seconds):
                return self._reservation(after)
            shown = "list_nodes shows its end: look before you extend it again."
            raise AnswerLost(self.name, "The reservation's end has not moved", lost.why, shown) from None
        return self._reservation(decode(self.checked(reply, "reservation"), ReservationRow))

    async def end_reservation(self, reservation_id: str) -> bool:
        try:
            held = await self._find_reservation(reservation_id)
        except NotFound:
            return False
        self._check_mine(held)
        await self._delete(held, {})
        return True

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        await self._delete(await self._find_reservation(reservation_id), {"message": message})

    async def _delete(self, held: ReservationRow, body: object) -> None:
        try:
            reply = await self.change("DELETE", f"/api/reservations/{held.id}", body)
        except AnswerLost as lost:
            if any(row.id == held.id for row in await self._reservations()):
                again = "It is safe to call again with the same arguments."
                raise AnswerLost(self.name, "The reservation still stands", lost.why, again) from None
            return
        if reply.status != 404:  # it has ended by itself meanwhile
            self.checked(reply, "reservation")

    async def _find_reserved(self, node_ids: Sequence[str], message: str, before: set[str]) -> list[Reservation] | None:
        """Return our reservations of these nodes that were not there before; None unless all are there."""
        ours = [row for row in await self._reservations() if row.mine and row.message == message]
        new = [self._reservation(row) for row in ours if row.node in node_ids and row.id not in before]
        return new if len(new) == len(node_ids) else None

    async def _find_reservation(self, reservation_id: str) -> ReservationRow:
        found = next((row for row in await self._reservations() if row.id == reservation_id), None)
        if found is None:
            raise no_such_reservation(self.name, reservation_id)
        return found

    def _check_mine(self, held: ReservationRow) -> None:
        if not held.mine:
            what = f"Reservation {self.handle(held.id)!r} is held by somebody else"
            raise Refused(what, "Only its holder can extend or end it", "list_nodes shows until when it holds.")

    async def _conflict(self, node_ids: Sequence[str]) -> Conflict:
        rows = await self._node_rows()
        taken = [row for row in rows if row.id in node_ids and row.reservation]
        own = [self.handle(row.reservation.id) for row in taken if row.reservation and row.reservation.mine]
        free = ", ".join(self.handle(row.id) for row in rows if row.online and not row.reservation)
        return Conflict(
            f"Already reserved: {', '.join(self.handle(row.id) for row in taken)}",
            "",
            f"Free nodes: {free}." if free else "No node is free.",
            Taken(taken=[self._node(row) for row in taken]),
            own=own,
        )

    async def _reservations(self) -> list[ReservationRow]:
        return [row.reservation for row in await self._node_rows() if row.reservation]

    async def _node_rows(self) -> list[NodeRow]:
        return decode(self.checked(await self.client.get("/api/nodes"), "list of nodes"), list[NodeRow])

    def _node(self, row: NodeRow) -> Node:
        held = self._reservation(row.reservation) if row.reservation else None
        return Node(node_id=self.handle(row.id), state=_state(row), reservation=held)

    def _reservation(self, row: ReservationRow) -> Reservation:
        return Reservation(
            reservation_id=self.handle(row.id),
            node_id=self.handle(row.node),
            holder=row.holder,
            yours=row.mine,
            expires_at=row.expires or "no end",
            message=row.message,
        )


def _state(row: NodeRow) -> NodeState:
    if not row.online:
        return "offline"
    if row.reservation is None:
        return "free"
    return "reserved by you" if row.reservation.mine else "reserved"
