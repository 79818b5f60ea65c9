"""Reservations made here: released when the agent says so, and when the server that made them is told to stop."""

from __future__ import annotations

import logging

import anyio

from testlab_tools.capabilities import NodeFarm
from testlab_tools.errors import LabError

RELEASE_SECONDS = 5.0
"""How long stopping may take for it. What is left over ends by its own expiry."""

logger = logging.getLogger("testlab_tools")


class Holding:
    """The reservations this process has made and not ended, by farm and native id."""

    def __init__(self) -> None:
        self._held: dict[tuple[NodeFarm, str], None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def took(self, farm: NodeFarm, reservation_id: str) -> None:
        """Remember a reservation made here."""
        self._held[farm, reservation_id] = None

    def gave_back(self, farm: NodeFarm, reservation_id: str) -> None:
        """Forget one that has ended."""
        self._held.pop((farm, reservation_id), None)

    def take_over(self, other: Holding) -> None:
        """Take the reservations of another, which holds none afterwards."""
        self._held.update(other._held)
        other._held.clear()

    async def release(self) -> None:
        """End all that are left, at once; shielded, since it is what a stopping server does last."""
        with anyio.move_on_after(RELEASE_SECONDS, shield=True):
            async with anyio.create_task_group() as group:
                for farm, reservation_id in list(self._held):
                    group.start_soon(self._end, farm, reservation_id)

    async def _end(self, farm: NodeFarm, reservation_id: str) -> None:
        try:
            await farm.end_reservation(reservation_id)
        except LabError as error:
            logger.warning("Reservation %s could not be released: %s", farm.handle(reservation_id), error)
        else:
            self.gave_back(farm, reservation_id)
