"""Services that know nodes."""

from __future__ import annotations

from abc import abstractmethod

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import Node


class NodeInventory(Service):
    """Knows the nodes of a farm, and their states."""

    @abstractmethod
    async def list_nodes(self) -> list[Node]:
        """Return every node of the farm, whatever its state."""

    @abstractmethod
    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        """Return one node; `detail` adds its configuration.

        Raises:
            NotFound: the farm has no such node. A bare node id is looked up in each farm by this.
        """
