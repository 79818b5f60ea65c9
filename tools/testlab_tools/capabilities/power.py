"""Services that switch the power of a node's device."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from testlab_tools.capabilities.service import Service

PowerAction = Literal["get", "on", "off", "cycle"]
PowerState = Literal["on", "off", "not told"]


class PowerControl(Service):
    """Switches the power of devices."""

    @abstractmethod
    async def switch_power(self, node_id: str, action: PowerAction) -> PowerState:
        """Switch a device on or off, or off and on again, once; return its state afterwards, as far as it is told.

        Raises:
            Conflict: the node is not reserved by us.
            Unsupported: nothing that is wired to the node switches its power.
            AnswerLost: it may or may not have been switched.
        """
