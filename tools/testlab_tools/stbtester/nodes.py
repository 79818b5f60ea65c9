"""Stb-tester's nodes and their screens: "Test farm node information" and "Screenshots" of its REST API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from testlab_tools.capabilities import Image
from testlab_tools.errors import Conflict
from testlab_tools.http import Reply
from testlab_tools.models import JobBrief, Node, NodeState, Reservation, Taken
from testlab_tools.stbtester.models import JobStatus, NodeStatus, ReservationEntry
from testlab_tools.stbtester.portal import Portal, path_of
from testlab_tools.times import iso

OFFLINE = frozenset({503})
"""503 is the node, not the portal ("Grab screenshot"): asking again at once would not bring it back."""


class Nodes(Portal):
    """Lists nodes, looks at their screens, and says who has them."""

    async def list_nodes(self) -> list[Node]:
        return [self._node(status) for status in await self.statuses()]

    async def get_node(self, node_id: str, detail: bool = False) -> Node:
        return self._node(await self.node_status(node_id), detail)

    async def screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        name = "thumbnail.jpg" if thumbnail else "screenshot.png"
        reply = await self.client.get(f"/api/v2/nodes/{quote(node_id, safe='')}/{name}", final=OFFLINE)
        return _image(self.checked(reply, "node", "list_nodes shows all nodes."))

    async def run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        name = "artifacts/thumbnail.jpg" if thumbnail else "screenshot.png"
        reply = await self.client.get(f"/api/v2/results{path_of(run_id)}/{name}")
        return _image(self.checked(reply, "run, or no screenshot of it", "list_runs shows the runs there are."))

    async def conflict(self, node_ids: Sequence[str]) -> Conflict:
        """Why nodes cannot be had: who holds them or what runs, and which others of their type are free."""
        statuses = {s.node_id: s for s in await self.statuses()}
        wanted = [statuses[n] for n in node_ids if n in statuses]
        taken = [s for s in wanted if not s.available]
        types = {s.device_type for s in taken}
        free = [s.node_id for s in statuses.values() if s.available and s.device_type in types]
        free = [self.handle(n) for n in free if n not in node_ids]
        return Conflict(
            "; ".join(self._taken(s) for s in taken) or "One of the nodes was taken by somebody else a moment ago",
            "",
            f"Free nodes of the same device type: {', '.join(free)}." if free else "No node of the same type is free.",
            Taken(taken=[self._node(s) for s in taken]),
        )

    def _node(self, status: NodeStatus, detail: bool = False) -> Node:
        state = _state(status)
        in_use = state in ("busy", "reserved", "reserved by you") and not detail
        return Node(
            node_id=self.handle(status.node_id),
            state=state,
            name=status.friendly_name or "",
            device_type=status.device_type or "",
            reservation=self.reservation_noun(status.reservation) if status.reservation else None,
            job=self._job(status.job) if status.job and (detail or status.job.status == "running") else None,
            last_used_by=(status.last_used_by or "") if detail else "",
            last_used_at=None if in_use else status.last_used_time,
            why=(status.not_available_reason or "") if state == "unavailable" else "",
            detail=_detail(status) if detail else {},
        )

    def reservation_noun(self, entry: ReservationEntry) -> Reservation:
        """A reservation in the lab's words."""
        return Reservation(
            reservation_id=self.handle(str(entry.reservation_id)),
            node_id=self.handle(entry.node_id),
            holder=entry.username,
            yours=entry.reserved_by_you,
            expires_at=entry.expires,
            message=entry.message,
        )

    def _taken(self, status: NodeStatus) -> str:
        """Our own words for why a node is taken. The holder's message is in list_nodes, where it is marked as data."""
        node, held = self.handle(status.node_id), status.reservation
        until = f"until {iso(held.expires)}" if held and held.expires else "without end"
        if held and held.reserved_by_you:
            return f"Node {node} is already reserved by you {until}"
        if held:
            return f"Node {node} is reserved by {login_of(held.username)} {until}; list_nodes has their message"
        if status.job and status.job.status == "running":
            return f"Node {node} is running job {self.handle(status.job.job_uid)}"
        return f"Node {node} is {_state(status)}"

    def _job(self, job: JobStatus) -> JobBrief:
        counts = job.result_counts
        return JobBrief(
            job_uid=self.handle(job.job_uid),
            finished=job.status == "exited",
            done=counts.passed + counts.fail + counts.error,
            total=counts.total,
        )


def _state(status: NodeStatus) -> NodeState:
    if not status.online:
        return "offline"
    if status.licence_expired(datetime.now(UTC)):
        return "licence expired"
    if status.job and status.job.status == "running":
        return "busy"
    if status.reservation:
        return "reserved by you" if status.reservation.reserved_by_you else "reserved"
    return "free" if status.available else "unavailable"


def login_of(name: str) -> str:
    """A user name, if it looks like one: anything else stays out of our sentences."""
    plain = name.isascii() and len(name) <= 40 and all(c.isalnum() or c in "._-@" for c in name)
    return name if plain else "another user"


def _detail(status: NodeStatus) -> dict[str, object]:
    fields = ("licence_expiry", "local_ip_address", "geoip_city", "geoip_country", "config")
    return {name: value for name in fields if (value := getattr(status, name))}


def _image(reply: Reply) -> Image:
    return Image(reply.body, reply.headers.get("content-type", "image/png").partition(";")[0])
