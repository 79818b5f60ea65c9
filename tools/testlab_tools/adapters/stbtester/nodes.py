"""Stb-tester's nodes, screens and remote controls: "Test farm node information" and "Screenshots" of its REST API.

A key is pressed by `POST /api/v2/nodes/{id}/press`, as the vendor's stbt-rig 33.1.0 sends it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from testlab_tools.adapters.stbtester.client import Portal
from testlab_tools.adapters.stbtester.models import JobStatus, NodeStatus, ReservationEntry, path_of
from testlab_tools.adapters.stbtester.test_pack import Pack
from testlab_tools.capabilities import Image, NodeInventory, RemoteControl, RunScreenshots, Screenshots
from testlab_tools.errors import AnswerLost, BadInput, Conflict, LabError, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.models.lab import NOT_TOLD, UNKNOWN
from testlab_tools.models.nodes import JobBrief, Node, NodeState, Reservation, Taken
from testlab_tools.untrusted import login_of, sanitize_data

OFFLINE = frozenset({503})
"""503 is the node, not the portal ("Grab screenshot"): asking again at once would not bring it back."""


PRESSES = frozenset({200, 204, 400, 401, 403, 404, 409, 503})
_PLACES = ("local_ip_address", "geoip_city", "geoip_country")
_ADDRESS = re.compile(r"(?i)address|host|(?:^|_)(?:ip|mac|url)(?:_|$)")
_IN_VALUE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|://|(?i:[0-9a-f]{0,4}:){3}")
_STARTED = "Node {} is running test job {} started by @"
"""`not_available_reason` of a node that runs a test, for want of a field that says it."""

KEY = re.compile(r"[A-Za-z0-9_]{1,60}")


class Nodes(Portal, NodeInventory, Screenshots, RunScreenshots):
    """Lists nodes, looks at their screens, and says who has them."""

    async def list_nodes(self) -> list[Node]:
        return [self._node(status) for status in await self.list_statuses()]

    async def get_node(self, node_id: str, detail: bool = False, addresses: bool = False) -> Node:
        status = await self.get_status(node_id)
        return self._node(status, _details(status, addresses) if detail or addresses else None)

    async def grab_screenshot(self, node_id: str, thumbnail: bool = False) -> Image:
        name = "thumbnail.jpg" if thumbnail else "screenshot.png"
        reply = await self.client.get(f"{self.node_path(node_id)}/{name}", final=OFFLINE)
        if reply.status == 503:
            raise await self.not_answering(node_id, "No screen was grabbed")
        await self.check_node(reply, node_id)
        return _image(reply)

    async def get_run_screenshot(self, run_id: str, thumbnail: bool = False) -> Image:
        name = "artifacts/thumbnail.jpg" if thumbnail else "screenshot.png"
        reply = await self.client.get(f"/api/v2/results{path_of(run_id)}/{name}")
        what, shown = "run, or no screenshot of it", "list_runs shows the runs there are."
        await self.check_found(reply, what, shown, lambda: self.has_file(run_id, name.rpartition("/")[2]), about=run_id)
        return _image(reply)

    async def not_answering(self, node_id: str, so: str) -> ServiceDown:
        """What 503 means, "Node is offline": told only if the node's own status says so, since a proxy answers it too.
        `so` is what did not happen."""
        if not (await self.get_status(node_id)).online:
            offline, others = f"Node {self.handle(node_id)!r} is offline", "list_nodes(available=true) shows others."
            return ServiceDown(self.name, offline, so, others)
        what = f"{self.name} answered HTTP 503, and says that node {self.handle(node_id)!r} is online"
        return ServiceDown(self.name, what, so, "Call again later.")

    async def conflict(self, node_ids: Sequence[str]) -> Conflict:
        """Why nodes cannot be had: who holds them or what runs, and which others of their type are free. What is our
        own is said to be, with how to go on with it, and no other node is offered in its place."""
        statuses = {s.node_id: s for s in await self.list_statuses()}
        taken = [statuses[n] for n in node_ids if n in statuses and not statuses[n].available]
        if not taken:
            what = f"{self.name} says that a node is taken, and shows none of them taken now"
            return Conflict(what, "", "list_nodes shows who has which; call again.")
        ours = [s for s in taken if await self._is_ours(s)]
        own = [self._handle_of_own(s) for s in ours]
        types = {s.device_type for s in taken} - {None}
        free = [s.node_id for s in statuses.values() if s.available and s.device_type in types]
        others = ", ".join(self.handle(n) for n in free if n not in node_ids)
        instead = f"Free nodes of the same device type: {others}." if others else "No node of the same type is free."
        return Conflict(
            "; ".join(self._taken(s, s in ours) for s in taken),
            "",
            _go_on(own) if own else instead,
            Taken(taken=[self._node(s) for s in taken]),
            own=own,
        )

    async def is_own_job(self, job_uid: str) -> bool:
        """Whether a running job is certainly ours."""
        return False

    async def _is_ours(self, status: NodeStatus) -> bool:
        if status.reservation and not status.reservation.reserved_by_you:
            return False
        job = status.job
        return status.reservation is not None or (
            job is not None and job.status == "running" and await self.is_own_job(job.job_uid)
        )

    def _handle_of_own(self, status: NodeStatus) -> str:
        if status.job and status.job.status == "running":
            return self.handle(status.job.job_uid)
        assert status.reservation, "ours is what we run or hold"
        return self.handle(str(status.reservation.reservation_id))

    def _node(self, status: NodeStatus, details: dict[str, Any] | None = None) -> Node:
        """The node; with `details`, also what is known of it while it is idle."""
        state, detail = _state(status), details is not None
        running = status.job is not None and status.job.status == "running"
        in_use = running or (state in ("reserved", "reserved by you") and not detail)
        return Node(
            node_id=self.handle(status.node_id),
            state=state,
            name=status.friendly_name or "",
            device_type=status.device_type or UNKNOWN,
            reservation=self.make_reservation(status.reservation) if status.reservation else None,
            job=self._job(status, status.job) if status.job and (detail or running) else None,
            last_used_by=(status.last_used_by or "") if detail and not running else "",
            last_used_at=None if in_use else status.last_used_time,
            why=(status.not_available_reason or "") if state == "unavailable" else "",
            licence_expiry=(status.licence_expiry or "") if detail or state == "licence expired" else "",
            detail=details or {},
        )

    def make_reservation(self, entry: ReservationEntry) -> Reservation:
        """A reservation in the lab's words. One made without "duration_secs" has null: it "will never expire"."""
        endless = "no end" if "expires" in entry.model_fields_set else NOT_TOLD
        return Reservation(
            reservation_id=self.handle(str(entry.reservation_id)),
            node_id=self.handle(entry.node_id),
            holder=entry.username,
            yours=entry.reserved_by_you,
            expires_at=entry.expires or endless,
            message=entry.message,
        )

    def _taken(self, status: NodeStatus, ours: bool) -> str:
        """Our own words for why a node is taken. The holder's message is in list_nodes, where it is marked as data."""
        node, held = self.handle(status.node_id), status.reservation
        until = self.make_reservation(held).until if held else ""
        if status.job and status.job.status == "running" and (held is None or held.reserved_by_you):
            return f"Node {node!r} is running {'your own ' if ours else ''}job {self.handle(status.job.job_uid)!r}"
        if held and held.reserved_by_you:
            known = self.handle(str(held.reservation_id))
            return f"Node {node!r} is already reserved by you {until} (reservation {known!r})"
        if held:
            return f"Node {node!r} is reserved by {login_of(held.username)} {until}; list_nodes has their message"
        return f"Node {node!r} is {_state(status)}"

    def _job(self, status: NodeStatus, job: JobStatus) -> JobBrief:
        counts, finished = job.result_counts, job.status == "exited"
        return JobBrief(
            job_uid=self.handle(job.job_uid),
            finished=finished,
            done=counts.passed + counts.fail + counts.error,
            total=counts.total,
            started_by="" if finished else _starter(status, job),
            started_at=job.start_time,
        )


def _starter(status: NodeStatus, job: JobStatus) -> str:
    """Who started the running job, where the portal says it. `last_used_by` may have come since, be it for a look."""
    said, words = status.not_available_reason or "", _STARTED.format(status.node_id, job.job_uid)
    return said.removeprefix(words) if said.startswith(words) else NOT_TOLD


def _details(status: NodeStatus, addresses: bool) -> dict[str, Any]:
    """The configuration, without what leads to the device or the site unless that is asked for."""
    if addresses:
        return {name: value for name in (*_PLACES, "config") if (value := getattr(status, name))}
    config = _without_addresses(sanitize_data(status.config))  # no deeper than a bound
    return {"config": config} if config else {}


def _without_addresses(config: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            value = _without_addresses(cast(dict[str, Any], value))
        if not (_ADDRESS.search(name) or _IN_VALUE.search(str(value))):
            kept[name] = value
    return kept


def _state(status: NodeStatus) -> NodeState:
    """The portal's own `available` first: nothing that we make of the rest speaks against it."""
    if status.available:
        return "free"
    if not status.online:
        return "offline"
    if status.job and status.job.status == "running":
        return "busy"
    if status.reservation:
        return "reserved by you" if status.reservation.reserved_by_you else "reserved"
    return "licence expired" if status.licence_expired else "unavailable"


def _go_on(own: Sequence[str]) -> str:
    """The next step with jobs, whose ids begin with `/`, and then with reservations of our own."""
    return " ".join(
        f"get_job(job_uid={handle!r}, wait_seconds=45) follows it; do not start it elsewhere."
        if ":/" in handle
        else f"extend_reservation(reservation_id={handle!r}) keeps it longer, end_reservation ends it."
        for handle in sorted(own, key=lambda handle: ":/" not in handle)
    )


def _image(reply: Reply) -> Image:
    return Image(reply.body, reply.headers.get("content-type", "image/png").partition(";")[0])


class Remote(Nodes, Pack, RemoteControl):
    """Presses keys."""

    async def press_key(self, node_id: str, key: str, remote_control: str, test_pack_revision: str) -> None:
        if not KEY.fullmatch(key):
            raise BadInput("The key's name is not one", "", "Keys have names such as KEY_OK and KEY_MENU.")
        body = {"key": key, "remote_control": remote_control, "test_pack_revision": test_pack_revision}
        filled = {name: value for name, value in body.items() if value}
        await self.get_status(node_id)  # what takes the key has no answer of its own: it may be anybody's
        try:
            reply = await self.change("POST", f"{self.node_path(node_id)}/press", PRESSES, filled)
        except AnswerLost as lost:
            raise AnswerLost(
                self.name,
                f"The answer of {self.name} was lost",
                "The key may or may not have been pressed",
                "grab_screenshot shows what the device did.",
            ) from lost
        match reply.status:
            case 200 | 204:
                return
            case 400:
                keys = "Keys are named KEY_OK, KEY_MENU, …"
                raise BadInput(f"{self.name} knows no such key or remote control", "", keys)
            case 401 | 403:
                raise self.failure(reply, "the key")
            case _:
                with self.in_doubt("the key was pressed", "grab_screenshot shows what the device did."):
                    failure = await self._unpressed(reply.status, node_id, test_pack_revision)
                raise failure

    async def _unpressed(self, status: int, node_id: str, revision: str) -> LabError:
        """What an answer means that says that no key was pressed: 503 is a node that is offline, or a proxy's answer
        after the work; 404 any of all that the request names, or the endpoint, which is not documented."""
        if status == 409:
            return await self.conflict([node_id])
        if status == 503:
            down = await self.not_answering(node_id, "The key may or may not have been pressed")
            return AnswerLost(self.name, down.what, down.why, "grab_screenshot shows what the device did.")
        await self.get_status(node_id)
        if revision:
            await self.list_test_cases(revision)
        return AnswerLost(
            self.name,
            f"{self.name} has node {self.handle(node_id)!r}, and answered the key with 404: it may have none to press",
            "Its documentation has no such endpoint, and the key may or may not have been pressed",
            "grab_screenshot shows what the device did; a test can press keys, and run_tests runs it.",
        )
