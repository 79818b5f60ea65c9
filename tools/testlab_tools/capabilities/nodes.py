"""Services that have nodes: look, reserve, press keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models import Node, Reservation


class Image(NamedTuple):
    """A picture as the service sent it."""

    data: bytes
    media_type: str


class NodeFarm(Service):
    """Has nodes to look at and to reserve."""

    @abstractmethod
    async def list_nodes(self) -> list[Node]:
        """Every node of the farm, whatever its state."""

    @abstractmethod
    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        """One node; `detail` adds its configuration."""

    @abstractmethod
    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        """Hold all the nodes or none; without a duration, until ended. Raises Conflict when one is busy or held."""

    @abstractmethod
    async def reservation(self, reservation_id: str) -> Reservation:
        """A reservation as it stands. Raises NotFound when it has ended or never was."""

    @abstractmethod
    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        """Move its expiry by so many seconds. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        """End somebody else's reservation; they are shown the message."""

    @abstractmethod
    async def end_reservation(self, reservation_id: str) -> None:
        """Give the node back. Raises Refused when somebody else holds it."""

    @abstractmethod
    async def screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        """What the device under test shows now."""

    @abstractmethod
    async def run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        """What it showed at the end of a run."""


class RemoteControl(Service):
    """Presses keys of a device's remote control."""

    @abstractmethod
    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        """Press one key. Raises Conflict when the node is busy or held by another."""
