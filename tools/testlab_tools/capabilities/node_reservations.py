"""Services whose nodes can be reserved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import Reservation


class NodeReservations(Service):
    """Reserves nodes for exclusive use.

    The adapter looks up each change whose answer was lost, and never repeats it blindly: it returns what it finds done,
    and raises AnswerLost where it cannot tell. A `look` in that error is called when the same order comes again.
    """

    @abstractmethod
    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        """Reserve all the nodes or none; without a duration, until ended.

        Raises:
            Conflict: a node is busy or reserved; `own` names the jobs and reservations that are this user's.
        """

    @abstractmethod
    async def get_reservation(self, reservation_id: str) -> Reservation:
        """Return a reservation as it stands. Raises NotFound when it has ended or never was."""

    @abstractmethod
    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        """Move its expiry by so many seconds. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def end_reservation(self, reservation_id: str) -> bool:
        """Give the node back. To end a reservation that has ended is no error: it returns False.

        Raises:
            Refused: somebody else holds it.
            NotFound: it never was.
        """

    @abstractmethod
    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        """End somebody else's reservation; they are shown the message. No error when it has ended meanwhile."""
