"""A service as one caller has it: its allowed nodes alone, and of what others share its token for, only its own.

It stands between the tools and the adapter, capability by capability, so that no tool has to think of it. A capability
without a fence is not offered: a new one is shut until somebody has thought of its nodes.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from types import new_class
from typing import Any, TypeVar, cast

from testlab_mcp.access.callers import Caller
from testlab_mcp.access.ledger import Ledger
from testlab_tools.capabilities import Health, JobRunner, NodeFarm, RunArchive, Service
from testlab_tools.errors import Conflict, Refused
from testlab_tools.handles import Handle

T = TypeVar("T")
_NODE = re.compile(r"[\w.:-]{1,100}", re.ASCII)
"""What a node's id can be: none that leads elsewhere in a path."""
MOST_KNOWN = 1000


class Fence(Service):
    """What all fences share. `inner` is the service itself; connections are its own to close."""

    def __init__(self, inner: Service, caller: Caller, ledger: Ledger) -> None:
        super().__init__(inner.name, inner.client)
        self.kind = inner.kind
        self.caller = caller
        self.ledger = ledger
        self._inner = inner
        self._known: dict[str, None] = {}

    async def probe(self) -> Health:
        return await self._inner.probe()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def as_(self, capability: type[T]) -> T:
        """The service itself, of a capability that it is known to have."""
        assert isinstance(self._inner, capability)
        return self._inner

    def native(self, handle: str) -> str:
        """The native id in a handle of this service."""
        return Handle.parse(handle, [self.name]).native

    def allows(self, node: str) -> bool:
        """Whether the caller may have to do with a node, by its native id."""
        if self.caller.nodes is None:
            return True
        named = (node, self.handle(node))
        return bool(_NODE.fullmatch(node)) and any(
            fnmatchcase(name, glob) for glob in self.caller.nodes for name in named
        )

    def check(self, node: str) -> None:
        """Raises Refused for a node that the caller may not have to do with."""
        if not self.allows(node):
            raise Refused(
                "This is on a node that you may not use",
                f"[callers.{self.caller.name}] nodes does not name it",
                "list_nodes shows those you may.",
            )

    async def check_job(self, job: str) -> None:
        """Raises Refused for a job on such a node."""
        if self.caller.nodes is not None and job not in self._known:
            found = await self.as_(JobRunner).get_job(job)
            self.check(self.native(found.node_id))
            self._know(job)

    async def check_run(self, run: str) -> None:
        """Raises Refused for a run on such a node."""
        if self.caller.nodes is not None and run not in self._known:
            found = await self.as_(RunArchive).get_run(run)
            self.check(found.run.station)
            self._know(run)

    async def check_held(self, node: str) -> None:
        """Raises Conflict while another caller of this server holds the node: the service takes both for one user."""
        others = {made for made, caller in self.ledger.on(node).items() if caller != self.caller.name}
        if not others:
            return
        held = (await self.as_(NodeFarm).get_node(node)).reservation
        for made in others:
            if held is not None and self.native(held.reservation_id) == made:
                raise Conflict(f"Node {self.handle(node)} is reserved by another caller of this server", "", FREE)
            self.ledger.ended(made)

    def _know(self, native: str) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[native] = None


FREE = "list_nodes(available=true) shows the nodes you can have."


def within(error: Conflict) -> Conflict:
    """A conflict without the free nodes it names: some may be nobody's business."""
    return Conflict(error.what, error.why, FREE, error.details)


def fenced(inner: Service, caller: Caller, ledger: Ledger) -> Service:
    """The service as the caller has it. One without nodes is itself: nothing in it is anybody's alone."""
    if not isinstance(inner, NodeFarm | JobRunner):
        return inner
    from testlab_mcp.access.fenced_nodes import NODE_FENCES
    from testlab_mcp.access.fenced_runs import RUN_FENCES

    chosen: list[type[Fence]] = []
    for capability, fence in {**RUN_FENCES, **NODE_FENCES}.items():
        if isinstance(inner, capability) and not any(issubclass(one, fence) for one in chosen):
            chosen.append(fence)
    made: Any = new_class("Fenced", tuple(chosen))
    return cast(Service, made(inner, caller, ledger))
