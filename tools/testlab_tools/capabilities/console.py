"""Services that read the serial console of a node's device."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service


class ConsoleOutput(NamedTuple):
    """The last of what a console wrote; `cut` bytes before it are left out. `closed` where the console was closed from
    the other side before the time was over."""

    data: bytes
    cut: int = 0
    closed: bool = False


class SerialConsole(Service):
    """Listens to serial consoles."""

    @abstractmethod
    async def read_console(self, node_id: str, seconds: float, power_cycle: bool) -> ConsoleOutput:
        """Return what the device writes within so many seconds; `power_cycle` switches it off and on once somebody
        listens.

        Raises:
            Conflict: the node is not reserved by us, or its console is in use.
            Unsupported: the node has no console.
        """
