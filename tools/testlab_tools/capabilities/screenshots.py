"""Services that show the screens of devices under test."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service


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
