"""Services that press keys of devices' remote controls."""

from __future__ import annotations

from abc import abstractmethod

from testlab_tools.capabilities.service import Service


class RemoteControl(Service):
    """Presses keys of a device's remote control."""

    @abstractmethod
    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        """Press one key, once: a request whose answer was lost is not repeated.

        Raises:
            Conflict: the node is busy or held by another.
            AnswerLost: the key may or may not have been pressed.
        """
