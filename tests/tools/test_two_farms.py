"""Two farms in one lab: a handle names its farm, and a bare node id is looked up in each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from testlab_tools.capabilities import Health, NodeInventory, NodeReservations, RemoteControl
from testlab_tools.errors import BadInput, NotFound, Refused, ServiceDown
from testlab_tools.lab import Lab
from testlab_tools.models.nodes import Node, Reservation


class Farm(NodeInventory, NodeReservations, RemoteControl):
    """Has some nodes; each is reserved, under the node's id."""

    kind = "farm"

    def __init__(self, name: str, *nodes: str) -> None:
        super().__init__(name)
        self.nodes = nodes
        self.fails: Exception | None = None
        self.asked: list[str] = []

    async def probe(self) -> Health:
        return Health("")

    async def list_nodes(self) -> list[Node]:
        return [await self.get_node(node) for node in self.nodes]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        self.asked.append(node_id)
        if self.fails:
            raise self.fails
        if node_id not in self.nodes:
            raise NotFound(f"{self.name} has no such node")
        return Node(node_id=self.handle(node_id), state="free")

    async def get_reservation(self, reservation_id: str) -> Reservation:
        node = await self.get_node(reservation_id)
        return Reservation(
            reservation_id=node.node_id, node_id=node.node_id, holder="you", yours=True, expires_at="not told"
        )

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        raise NotImplementedError

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        raise NotImplementedError

    async def end_reservation(self, reservation_id: str) -> bool:
        raise NotImplementedError

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        raise NotImplementedError

    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        raise NotImplementedError


@pytest.fixture
def farms() -> tuple[Farm, Farm]:
    return Farm("berlin", "node-1", "both"), Farm("munich", "node-2", "both")


@pytest.fixture
def lab(farms: tuple[Farm, Farm]) -> Lab:
    return Lab(farms)


async def test_a_handle_leads_to_its_farm_without_asking_any(lab: Lab, farms: tuple[Farm, Farm]) -> None:
    assert await lab.node_owner("munich:both", RemoteControl) == (farms[1], "both")
    assert await lab.reservation_owner("berlin:both") == (farms[0], "both")
    assert farms[0].asked == farms[1].asked == []


@pytest.mark.parametrize(("node", "farm"), [("node-1", "berlin"), ("node-2", "munich")])
async def test_a_bare_id_leads_to_the_farm_that_has_it(lab: Lab, node: str, farm: str) -> None:
    assert (await lab.node_owner(node, NodeReservations))[0].name == farm
    assert (await lab.reservation_owner(node))[0].name == farm


async def test_a_bare_id_that_both_have_asks_for_the_farm(lab: Lab) -> None:
    with pytest.raises(BadInput, match=r"could belong to several services\. Put one of berlin, munich and a colon"):
        await lab.node_owner("both", NodeInventory)
    with pytest.raises(BadInput, match="Put one of berlin, munich and a colon"):
        await lab.reservation_owner("both")


async def test_a_bare_id_that_none_has_is_not_found(lab: Lab) -> None:
    with pytest.raises(NotFound, match="has no such node"):
        await lab.node_owner("node-3", NodeInventory)


async def test_a_farm_that_does_not_answer_may_have_the_node_too(lab: Lab, farms: tuple[Farm, Farm]) -> None:
    farms[1].fails = ServiceDown("munich", "Service munich cannot be reached")
    with pytest.raises(BadInput, match=r"munich cannot be reached.*Put one of berlin, munich and a colon"):
        await lab.node_owner("node-1", NodeInventory)
    with pytest.raises(ServiceDown, match="munich cannot be reached"):
        await lab.node_owner("node-2", NodeInventory)


async def test_nodes_that_a_caller_may_not_use_are_not_its_own(lab: Lab, farms: tuple[Farm, Farm]) -> None:
    farms[0].fails = Refused("This is on a node that you may not use")
    assert (await lab.node_owner("both", NodeInventory))[0] is farms[1]
    with pytest.raises(Refused):
        await lab.node_owner("node-1", NodeInventory)


async def test_in_a_lab_of_one_farm_a_bare_id_needs_no_asking(farms: tuple[Farm, Farm]) -> None:
    assert await Lab(farms[:1]).node_owner("no-such-node", NodeInventory) == (farms[0], "no-such-node")
    assert farms[0].asked == []
