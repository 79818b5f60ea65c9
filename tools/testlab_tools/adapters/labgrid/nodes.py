"""labgrid's places as nodes: whose they are, what is wired to them, and who waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from testlab_tools.adapters.labgrid.client import Coordinator
from testlab_tools.adapters.labgrid.leases import Leases
from testlab_tools.adapters.labgrid.models import OPEN, Place, QueuedReservation, Resource
from testlab_tools.capabilities import NodeInventory
from testlab_tools.errors import NotFound
from testlab_tools.models.lab import UNKNOWN
from testlab_tools.models.nodes import Node, NodeState, Reservation
from testlab_tools.times import iso


class Places(Coordinator, NodeInventory):
    """Lists places. `type_tag` is the tag that names a place's type of device."""

    leases: Leases
    type_tag: str

    async def list_nodes(self) -> list[Node]:
        places, resources = await self.read()
        queue = await self._queue_for(places.values())
        ends = self.leases.read()
        return [self.make_node(place, resources, queue, ends) for _, place in sorted(places.items())]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        places, resources = await self.read()
        if node_id not in places:
            raise NotFound(f"{self.name} has no such place", "", "list_nodes shows all nodes.").naming(node_id)
        place = places[node_id]
        queue = await self.read_queue() if detail else await self._queue_for([place])
        node = self.make_node(place, resources, queue, self.leases.read())
        if not (detail or addresses):
            return node
        return node.model_copy(update={"detail": _describe(place, place.of(resources), queue, addresses)})

    def make_node(
        self,
        place: Place,
        resources: Sequence[Resource],
        queue: Sequence[QueuedReservation],
        ends: Mapping[str, datetime],
    ) -> Node:
        """A place as a node. One is offline while a pattern of it fits no resource of an exporter: labgrid's own client
        does not acquire it then."""
        given = next((q for q in queue if q.token == place.reservation and q.state in OPEN), None)
        missing = place.unmatched(resources)
        held = self.make_reservation(place, ends) if place.acquired else None
        return Node(
            node_id=self.handle(place.name),
            state=self._state(place, given, bool(missing)),
            name=place.comment or ", ".join(place.aliases),
            device_type=place.tags.get(self.type_tag, "") or UNKNOWN,
            reservation=held,
            why=_why(missing, given, held),
        )

    def make_reservation(self, place: Place, ends: Mapping[str, datetime]) -> Reservation:
        """That a place is acquired. labgrid ends it only by a release; `ends` are those that this server keeps."""
        yours = place.acquired == self.holder
        return Reservation(
            reservation_id=self.handle(f"{place.name}/{place.acquired}"),
            node_id=self.handle(place.name),
            holder=place.acquired,
            yours=yours,
            expires_at=ends.get(place.name, "no end") if yours else "no end",
        )

    def _state(self, place: Place, given: QueuedReservation | None, is_incomplete: bool) -> NodeState:
        if place.acquired:
            return "reserved by you" if place.acquired == self.holder else "reserved"
        if is_incomplete:
            return "offline"
        if place.reservation and (given is None or given.owner != self.holder):
            return "reserved"
        return "free"

    async def _queue_for(self, places: Any) -> Sequence[QueuedReservation]:
        """The reservations, where one of the places has been given to one."""
        return await self.read_queue() if any(place.reservation for place in places) else []


def _why(missing: Sequence[object], given: QueuedReservation | None, held: Reservation | None) -> str:
    if missing and held is None:
        return f"no exporter offers a resource that fits {', '.join(map(str, missing))}"
    if given and held is None:
        return f"given to a reservation of {given.owner}, who has a minute to acquire it"
    return ""


def _describe(
    place: Place, resources: Sequence[Resource], queue: Sequence[QueuedReservation], addresses: bool
) -> dict[str, Any]:
    """Its tags, resources and who waits for it; with `addresses`, where its resources are."""
    waiting = [q for q in queue if q.state == "waiting" and q.could_take(place)]
    told = {
        "tags": dict(place.tags),
        "resources": [
            {
                "name": resource.path.name,
                "class": resource.path.cls,
                "exporter": resource.path.exporter,
                "available": resource.available,
                **({"settings": dict(resource.params)} if addresses else {}),
            }
            for resource in resources
        ],
        "also_allowed": list(place.allowed),
        "waiting": [{"owner": q.owner, "priority": q.priority, "since": iso(q.created)} for q in waiting],
    }
    return {name: value for name, value in told.items() if value}
