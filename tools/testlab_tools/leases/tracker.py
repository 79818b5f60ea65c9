"""The reservations made in one caller's scope. They are released when the server stops, unless the config keeps them;
either way they are written down, so that another process can give back what this one could not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import anyio

from testlab_tools.capabilities import NodeReservations, Service
from testlab_tools.errors import LabError, NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.leases.store import Lease, LeaseStore
from testlab_tools.models.nodes import Reservation
from testlab_tools.telemetry import RESERVATIONS

RELEASE_SECONDS = 5.0
"""For releasing reservations when the server stops. What is left over, the next process gives back."""
SAME_END_S = 5.0

logger = logging.getLogger("testlab_tools")


class ReservationTracker:
    """The reservations that this scope has made and not ended, by service and native id."""

    def __init__(self, store: LeaseStore | None = None) -> None:
        self.store = store
        self._held: dict[tuple[NodeReservations, str], None] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def stay(self) -> bool:
        """Whether they outlive this process."""
        return self.store is not None and self.store.stays

    def add(
        self, farm: NodeReservations, reservation_id: str, node_id: str, caller: str, until: float | None = None
    ) -> None:
        """Remember a reservation made here, by native ids, with its end in seconds since 1970."""
        RESERVATIONS.add(int((farm, reservation_id) not in self._held))
        self._held[farm, reservation_id] = None
        if self.store is not None:
            self.store.given_back.discard((farm.name, reservation_id))
            lease = Lease(reservation=reservation_id, node=node_id, caller=caller)
            if not self.store.stays:
                lease = lease.model_copy(update={"process": self.store.process, "until": until})
            self.store.save(farm, lease)

    def remove(self, farm: NodeReservations, reservation_id: str) -> None:
        """Forget a reservation that has ended."""
        if (farm, reservation_id) in self._held:
            del self._held[farm, reservation_id]
            RESERVATIONS.add(-1)
        if self.store is not None:
            self.store.delete(farm, reservation_id)

    def absorb(self, other: ReservationTracker) -> None:
        """Take all reservations of another tracker."""
        self._held.update(other._held)
        other._held.clear()

    async def restore(self, services: Iterable[Service]) -> dict[str, list[Lease]]:
        """What processes have written down, by service, this one among them. What the service no longer shows as its
        user's on that node is forgotten.

        Raises LabError where a service does not say.
        """
        found: dict[str, list[Lease]] = {}
        for farm in services:
            if self.store is None or not isinstance(farm, NodeReservations):
                continue
            for lease in await asyncio.to_thread(self.store.load, farm):
                if await find_held(farm, lease) is not None:
                    found.setdefault(farm.name, []).append(lease)
                else:
                    self.remove(farm, lease.reservation)
        return found

    async def release(self) -> None:
        """End all that are left, at once, even while the server is being cancelled."""
        if self.stay:
            return
        # The SDK cancels by anyio's scopes, again at every await: only a scope of anyio's shields from that.
        with anyio.move_on_after(RELEASE_SECONDS, shield=True):
            await gather_all(*(self._end(farm, reservation_id) for farm, reservation_id in list(self._held)))

    async def _end(self, farm: NodeReservations, reservation_id: str) -> None:
        if self.store is not None and (farm.name, reservation_id) in self.store.given_back:
            return
        try:
            await farm.give_back(reservation_id)
        except LabError as error:
            logger.warning("Reservation %s could not be released: %s", farm.handle(reservation_id), error)
        else:
            self.remove(farm, reservation_id)


async def find_held(farm: NodeReservations, lease: Lease) -> Reservation | None:
    """The reservation, while it stands: ours, on that node, and not a later one that was given the same id.

    Raises LabError where the service does not say.
    """
    try:
        held = await farm.get_reservation(lease.reservation)
    except NotFound:
        return None
    is_same = held.yours and held.node_id == farm.handle(lease.node)
    return held if is_same and (lease.until is None or _ends_later(held, lease.until)) else None


def _ends_later(held: Reservation, until: float) -> bool:
    return not isinstance(held.expires_at, str) and held.expires_at.timestamp() >= until - SAME_END_S
