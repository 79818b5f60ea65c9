"""What one caller may do in one service: which nodes it may use, and which reservations and jobs are its own."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from inspect import BoundArguments
from typing import Any, NamedTuple, TypeVar

from testlab_mcp.access.callers import Caller
from testlab_tools.capabilities import JobRunner, NodeReservations, OperatorDialogs, RunArchive, Service
from testlab_tools.errors import Conflict, NotFound, Refused
from testlab_tools.models.jobs import Job
from testlab_tools.models.nodes import Dialog, Node, Reservation, Taken
from testlab_tools.models.results import RunDetail

T = TypeVar("T")
MAX_ENTRIES = 10_000
"""Of each sort of what callers own. The oldest is forgotten first; the service's account of it decides from then on."""
MAX_KNOWN = 1000
"""Jobs and runs that are remembered as allowed."""
FREE_NODES = "list_nodes(available=true) shows the nodes you can have."
_NODE_ID = re.compile(r"(?!\.{1,2}$)[\w.:-]{1,100}", re.ASCII)
"""Only ids that cannot lead elsewhere in a URL's path."""


class OwnedReservation(NamedTuple):
    """A reservation of a node, made by a caller."""

    node: str
    caller: str


class OwnershipRegistry:
    """Which caller made which reservation and started which job in one service, by native ids, while the process lives:
    to a service, callers who share its token are one user."""

    def __init__(self) -> None:
        self._reservations: OrderedDict[str, OwnedReservation] = OrderedDict()
        self._jobs: OrderedDict[str, str] = OrderedDict()

    def add_reservation(self, reservation: str, node: str, caller: str) -> None:
        """Remember who made a reservation."""
        self._reservations[reservation] = OwnedReservation(node, caller)
        if len(self._reservations) > MAX_ENTRIES:
            self._reservations.popitem(last=False)

    def remove_reservation(self, reservation: str) -> None:
        """Forget a reservation that has ended."""
        self._reservations.pop(reservation, None)

    def add_job(self, job: str, caller: str) -> None:
        """Remember who started a job."""
        self._jobs[job] = caller
        if len(self._jobs) > MAX_ENTRIES:
            self._jobs.popitem(last=False)

    def reservation_owner(self, reservation: str) -> str:
        """The caller who made a reservation; empty when it was not made here."""
        owned = self._reservations.get(reservation)
        return owned.caller if owned else ""

    def job_owner(self, job: str) -> str:
        """The caller who started a job; empty when it was not started here."""
        return self._jobs.get(job, "")

    def reservations_of(self, node: str) -> dict[str, str]:
        """Callers by reservation of a node. Some reservations may have ended without notice."""
        return {made: owned.caller for made, owned in self._reservations.items() if owned.node == node}


class ServiceScope:
    """The checks of one caller's use of one service. Ids are native. Each `check_…` raises Refused, or Conflict."""

    def __init__(self, service: Service, caller: Caller, ownership: OwnershipRegistry) -> None:
        self.service = service
        self.caller = caller
        self.ownership = ownership
        self._known: dict[str, None] = {}

    def inner(self, capability: type[T]) -> T:
        """The service, which must have this capability."""
        assert isinstance(self.service, capability)
        return self.service

    def native(self, handle: str) -> str:
        """The native id in a handle of this service."""
        return self.service.native(handle)

    @property
    def limited(self) -> bool:
        """Whether the caller is limited to some nodes."""
        return self.caller.nodes is not None

    @property
    def allows_all(self) -> bool:
        """Whether every node is allowed, whatever its id."""
        nodes = self.caller.nodes
        return nodes is None or bool({"*", self.service.handle("*")} & set(nodes))

    def allows(self, node: str) -> bool:
        """Whether the caller may use a node."""
        if self.caller.nodes is None:
            return True
        names = (node, self.service.handle(node))
        return bool(_NODE_ID.fullmatch(node)) and any(
            fnmatchcase(name, glob) for glob in self.caller.nodes for name in names
        )

    def refusal(self) -> Refused:
        """The same for a node that the caller may not use and for a node that does not exist."""
        return Refused(
            "This is on a node that you may not use",
            f"[callers.{self.caller.name}] nodes does not name it",
            "list_nodes shows those you may.",
        )

    def check_node(self, node: str) -> None:
        """The node is allowed."""
        if not self.allows(node):
            raise self.refusal()

    def check_nodes(self, nodes: Sequence[str]) -> None:
        """All the nodes are allowed."""
        for node in nodes:
            self.check_node(node)

    async def check_usable_node(self, node: str) -> None:
        """The node is allowed, and no other caller of this server holds it: the service takes both for one user."""
        self.check_node(node)
        made_by = self.ownership.reservations_of(node)
        for reservation in [made for made, caller in made_by.items() if caller != self.caller.name]:
            try:
                await self.inner(NodeReservations).get_reservation(reservation)
            except NotFound:
                self.ownership.remove_reservation(reservation)
            else:
                what = f"Node {self.service.handle(node)!r} is reserved by another caller of this server"
                raise Conflict(what, "", FREE_NODES)

    async def check_job(self, job: str) -> None:
        """The job's node is allowed."""
        if self.limited and job not in self._known:
            self.view_job(await self.inner(JobRunner).get_job(job))
            self._remember(job)

    async def check_dialog(self, dialog: str) -> None:
        """The dialog's node is allowed."""
        if self.limited:
            self.view_dialog(await self.inner(OperatorDialogs).get_dialog(dialog))

    async def check_run(self, run: str) -> None:
        """The run's node is allowed."""
        if self.limited and run not in self._known:
            self.view_run(await self.inner(RunArchive).get_run(run))
            self._remember(run)

    async def check_reservation(self, reservation: str) -> None:
        """The reservation's node is allowed."""
        self.view_reservation(await self.inner(NodeReservations).get_reservation(reservation))

    async def check_own_reservation(self, reservation: str) -> None:
        """The reservation's node is allowed, and no other caller made it. A reservation that has ended passes."""
        if self._belongs_to_another(reservation):
            raise Refused(
                "This reservation was made by another caller of this server",
                "Only who made it can extend or end it",
                "Wait: list_nodes shows until when it holds.",
            )
        if self.limited:
            try:
                await self.check_reservation(reservation)
            except NotFound:
                return

    def view_nodes(self, nodes: Sequence[Node]) -> list[Node]:
        """The allowed nodes among these, as the caller sees them."""
        return [self.view_node(node) for node in nodes if self.allows(self.native(node.node_id))]

    def view_node(self, node: Node) -> Node:
        """A node as the caller sees it: another caller's reservation is not "yours"."""
        if node.reservation is None:
            return node
        held = self._mark_owner(node.reservation)
        lost = node.reservation.yours and not held.yours and node.state == "reserved by you"
        return node.model_copy(update={"reservation": held, "state": "reserved" if lost else node.state})

    def view_reservation(self, held: Reservation) -> Reservation:
        """A reservation as the caller sees it. Raises Refused when its node is not allowed."""
        self.check_node(self.native(held.node_id))
        return self._mark_owner(held)

    def view_job(self, job: Job) -> Job:
        """A job. Raises Refused when its node is not allowed."""
        self.check_node(self.native(job.node_id))
        return job

    def view_dialog(self, dialog: Dialog) -> Dialog:
        """A dialog. Raises Refused when its node is not allowed."""
        self.check_node(self.native(dialog.node_id))
        return dialog

    def view_run(self, detail: RunDetail) -> RunDetail:
        """A run. Raises Refused when its node is not allowed."""
        self.check_node(detail.run.station)
        return detail

    def own_reservations(self, made: list[Reservation]) -> list[Reservation]:
        """Enter new reservations as the caller's own."""
        for held in made:
            reservation, node = self.native(held.reservation_id), self.native(held.node_id)
            self.ownership.add_reservation(reservation, node, self.caller.name)
        return made

    def own_found_reservations(self, found: list[Reservation]) -> list[Reservation] | None:
        """The same for reservations found after a lost answer; None where another caller has made any of them."""
        if any(self._belongs_to_another(self.native(held.reservation_id)) for held in found):
            return None
        return self.own_reservations(found)

    def own_made(self, made: list[Reservation]) -> list[Reservation]:
        """Enter reservations that long work has made for the caller. Raises Refused."""
        for held in made:
            self.check_node(self.native(held.node_id))
        if self.own_found_reservations(made) is None:
            raise self.refusal()
        return made

    def own_job(self, job: Job) -> Job:
        """Enter a new job as the caller's own."""
        self.ownership.add_job(self.native(job.job_uid), self.caller.name)
        return job

    def redact_conflict(self, error: Conflict) -> Conflict:
        """The conflict without the names of free nodes, some of which may not be allowed, and without what the service
        takes for its user's own and is another caller's."""
        taken = [self.view_node(node) for node in error.details.taken] if isinstance(error.details, Taken) else []
        details = Taken(taken=taken) if taken else error.details
        natives = [self.native(handle) for handle in error.own]
        owners = {self.ownership.reservation_owner(n) or self.ownership.job_owner(n) for n in natives}
        if owners - {"", self.caller.name}:
            nodes = ", ".join(_until(node) for node in taken)
            return Conflict(f"In use by another caller of this server: {nodes}", "", FREE_NODES, details)
        return Conflict(error.what, error.why, error.next_step if error.own else FREE_NODES, details, error.own)

    def _belongs_to_another(self, reservation: str) -> bool:
        return self.ownership.reservation_owner(reservation) not in ("", self.caller.name)

    def _mark_owner(self, held: Reservation) -> Reservation:
        another = self._belongs_to_another(self.native(held.reservation_id))
        return held.model_copy(update={"yours": False}) if another else held

    def _remember(self, native: str) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[native] = None


def _until(node: Node) -> str:
    return f"{node.node_id!r} {node.reservation.until}" if node.reservation else repr(node.node_id)


@dataclass(frozen=True)
class MethodCall:
    """A caller's call of a method; `method` is that of the service itself."""

    scope: ServiceScope
    method: Callable[..., Any]
    bound: BoundArguments

    def __getitem__(self, argument: str) -> Any:
        return self.bound.arguments[argument]

    def forward(self, **changes: Any) -> Any:
        """Call the service with the caller's arguments, except for `changes`."""
        sent = self.bound.signature.bind(**{**self.bound.arguments, **changes})
        return self.method(*sent.args[1:], **sent.kwargs)
