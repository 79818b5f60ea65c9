"""Services with nodes: what they are, who holds them, what their devices show, and keys pressed on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.errors import NotFound
from testlab_tools.models.nodes import Node, Reservation


class NodeInventory(Service):
    """Knows the nodes of a farm, and their states."""

    @abstractmethod
    async def list_nodes(self) -> list[Node]:
        """Return every node of the farm, whatever its state."""

    @abstractmethod
    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        """Return one node; `detail` adds its configuration, `addresses` where it is in the network and the world.

        Raises:
            NotFound: the farm has no such node. A bare node id is looked up in each farm by this.
        """


def no_such_reservation(service: str, reservation_id: str) -> NotFound:
    """The error for a reservation that the service does not list (any more)."""
    shown = "list_nodes shows reservations and their ids."
    return NotFound(f"{service} has no such reservation", "It has ended, or never was", shown).naming(reservation_id)


class NodeReservations(Service):
    """Reserves nodes for exclusive use.

    The adapter looks up each change whose answer was lost, and never repeats it blindly: it returns what it finds done,
    and raises AnswerLost where it cannot tell. A `look` in that error is called when the same order comes again.
    """

    ends_doubtful: bool = True
    """Whether `aclose` ends what an order of unknown end has reserved after all. Long work finds that by its marker,
    perhaps in another process, and sets this to False."""

    @abstractmethod
    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        """Reserve all the nodes or none; without a duration, until ended.

        Raises:
            Conflict: a node is busy or reserved; `own` names the jobs and reservations that are this user's.
        """

    @abstractmethod
    async def get_reservation(self, reservation_id: str) -> Reservation:
        """Return a reservation as it stands. Raises NotFound when it has ended or never was."""

    async def find_made(self, reservation_ids: Sequence[str]) -> list[Reservation]:
        """Return reservations that long work has made for this caller, who has them from now on.

        Raises NotFound when one has ended, or is another user's by now.
        """
        found = [await self.get_reservation(reservation_id) for reservation_id in reservation_ids]
        if not all(held.yours for held in found):
            raise NotFound("The reservation has ended", "", "")
        return found

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

    async def give_back(self, reservation_id: str) -> None:
        """End a reservation that this process made and that nobody has ended, as the process ends."""
        await self.end_reservation(reservation_id)

    @abstractmethod
    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        """End somebody else's reservation; they are shown the message. No error when it has ended meanwhile."""


class Turn(NamedTuple):
    """A place in line for a node: how many wait `ahead`, and whether our turn has `come`, to reserve it now."""

    ahead: int
    come: bool


class NodeQueue(Service):
    """Keeps a line of those who wait for a node."""

    @abstractmethod
    async def await_turn(self, node_id: str, seconds: float) -> Turn:
        """Stand in line for a node, or go on standing there, and hold until our turn comes or the time is over.

        The same again keeps our place in the line.
        """


class RemoteControl(Service):
    """Presses keys of a device's remote control."""

    @abstractmethod
    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        """Press one key, once: a request whose answer was lost is not repeated.

        Raises:
            Conflict: the node is busy or held by another.
            AnswerLost: the key may or may not have been pressed.
        """


class Image(NamedTuple):
    """A picture as the service sent it."""

    data: bytes
    media_type: str


class Screenshots(Service):
    """Grabs what a node's device under test shows."""

    @abstractmethod
    async def grab_screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        """Return what the device shows now. Raises ServiceDown when the node is offline."""


class RunScreenshots(Service):
    """Keeps what devices showed at the end of runs."""

    @abstractmethod
    async def get_run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        """Return what the device showed at the end of a run. Raises NotFound when nothing was kept."""
