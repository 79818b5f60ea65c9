"""labgrid's queue of reservations.

What labgrid calls a reservation is a place in the queue: when its turn comes, it is given a free place, and has a
minute to acquire it. It lapses after a minute in which nobody asked for it (`labgrid/remote/coordinator.py`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from testlab_tools.adapters.labgrid.client import SHOWN, Rejected
from testlab_tools.adapters.labgrid.models import Place, QueuedReservation
from testlab_tools.adapters.labgrid.nodes import Places
from testlab_tools.capabilities import NodeQueue, Turn
from testlab_tools.errors import AnswerLost, LabError, Refused

POLL_S = 1.0
"""How often the queue is asked for our turn. labgrid's own client does every three seconds."""


class Queue(Places, NodeQueue):
    """Stands in line for places, with the `priority` of the config."""

    priority: float

    async def await_turn(self, node_id: str, seconds: float) -> Turn:
        """Stand in the queue for the place, or go on standing there. Nobody is overtaken by asking again."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            queued = await self._find_turn(node_id)
            if queued is None:  # not yet, or another caller of this server has had this turn
                await self._join(node_id)
                queued = await self._find_turn(node_id)
            if queued is None:
                what = f"Whether you stand in the queue of {self.name} is not known"
                raise AnswerLost(self.name, what, "", "Call again: you stand there once.")
            if queued.state != "waiting":
                return Turn(ahead=0, come=True)
            with suppress(Rejected):  # it lapsed in this moment, and is made anew by the next call
                await self.change("PollReservation", "PollReservationRequest", token=queued.token)
            left = until - asyncio.get_running_loop().time()
            if left <= 0:
                place, line = await self.read_place(node_id), await self.read_queue()
                before = line[: next((i for i, q in enumerate(line) if q.token == queued.token), 0)]
                return Turn(ahead=sum(q.state == "waiting" and q.could_take(place) for q in before), come=False)
            await asyncio.sleep(min(POLL_S, left))

    async def leave_queue(self, place: Place) -> None:
        """Cancel the reservation that has been given the place, which is acquired by us: it would keep it from others
        for a minute after its release. Callers of this server who wait for it stay in the queue."""
        if place.reservation and place.acquired == self.holder:
            with suppress(LabError, Rejected):
                await self.change("CancelReservation", "CancelReservationRequest", token=place.reservation)

    async def _join(self, name: str) -> None:
        """Whether we stand there after a lost answer is seen by looking."""
        fields: dict[str, Any] = {"filters": {"main": {"filter": {"name": name}}}, "prio": self.priority}
        with suppress(AnswerLost):
            try:
                await self.change("CreateReservation", "CreateReservationRequest", **fields)
            except Rejected as error:
                raise Refused(f"{self.name} refuses a place in line (gRPC {error.code})", "", SHOWN) from None

    async def _find_turn(self, name: str) -> QueuedReservation | None:
        """Our reservation for the place that waits, or has been given it."""
        mine = [q for q in await self.read_queue() if q.owner == self.holder and q.wanted == {"name": name}]
        return next((q for q in mine if q.state in ("waiting", "allocated")), None)
