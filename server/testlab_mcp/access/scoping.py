"""A service as one caller has it: its allowed nodes only, and only the caller's own reservations and jobs.

`RULES` says for each method of each capability how its node is found. A method without a rule is refused, and a
capability without rules is not offered.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from testlab_mcp.access import history
from testlab_mcp.access.callers import Caller
from testlab_mcp.access.per_node import export_runs, list_failures, list_runs
from testlab_mcp.access.service_scope import MethodCall, OwnershipRegistry, ServiceScope
from testlab_tools.capabilities import (
    ArtifactKeeper,
    FailureArchive,
    Health,
    HistoryFeed,
    JobFarm,
    JobOwner,
    JobRunner,
    LogKeeper,
    NodeInventory,
    NodeQueue,
    NodeReservations,
    OperatorDialogs,
    PowerControl,
    RemoteControl,
    RunArchive,
    RunExport,
    RunScreenshots,
    Screenshots,
    SerialConsole,
    Service,
    TestPack,
    UnitArchive,
)
from testlab_tools.errors import AnswerLost, Conflict, Refused
from testlab_tools.models.lab import FailedRun
from testlab_tools.models.nodes import Reservation

Rule = Callable[[MethodCall], Any]
View = Callable[[ServiceScope, Any], Any]
"""What the caller gets of an answer. Raises Refused when it concerns a node that is not allowed."""


class Check(NamedTuple):
    """A check of one argument before the call."""

    argument: str
    verify: Callable[[ServiceScope, Any], Awaitable[None] | None]

    async def __call__(self, call: MethodCall) -> None:
        pending = self.verify(call.scope, call[self.argument])
        if pending is not None:
            await pending


NODE = Check("node_id", ServiceScope.check_node)
NODES = Check("node_ids", ServiceScope.check_nodes)
USABLE_NODE = Check("node_id", ServiceScope.check_usable_node)
RUN = Check("run_id", ServiceScope.check_run)
JOB = Check("job_uid", ServiceScope.check_job)
DIALOG = Check("dialog_id", ServiceScope.check_dialog)
RESERVATION = Check("reservation_id", ServiceScope.check_reservation)
OWN_RESERVATION = Check("reservation_id", ServiceScope.check_own_reservation)


def _view_all(scope: ServiceScope, answer: Any) -> Any:
    return answer


def scoped(
    *checks: Check,
    ask: Callable[[MethodCall], Awaitable[Any]] = MethodCall.forward,
    view: View = _view_all,
    late_view: View | None = None,
) -> Rule:
    """The node is found in arguments by `checks`, in the answer by `view`, or by `ask`; `late_view` is the view of an
    answer that was lost and found later.

    Raises TypeError when nothing finds the node: the rule would let every caller through.
    """
    if not checks and ask is MethodCall.forward and view is _view_all:
        raise TypeError("a scoped method has a check, an ask or a view; one that concerns no node is `unscoped`")

    async def apply(call: MethodCall) -> Any:
        for check in checks:
            await check(call)
        try:
            return view(call.scope, await ask(call))
        except Conflict as error:
            raise call.scope.redact_conflict(error) from None
        except AnswerLost as lost:
            if lost.look is not None:
                lost.look = partial(_look_again, lost.look, call.scope, late_view or view)
            raise

    return apply


async def _look_again(look: Callable[[], Awaitable[Any]], scope: ServiceScope, view: View) -> Any:
    try:
        found = await look()
    except Conflict as error:
        raise scope.redact_conflict(error) from None
    return None if found is None else view(scope, found)


def opened(check: Check) -> Rule:
    """The same for a method that returns a context manager."""

    @asynccontextmanager
    async def apply(call: MethodCall) -> AsyncGenerator[Any]:
        await check(call)
        async with call.forward() as stream:
            yield stream

    return apply


def unscoped(call: MethodCall) -> Any:
    """The method concerns no node."""
    return call.forward()


async def _reserve(call: MethodCall) -> list[Reservation]:
    """With the caller's name in the message: it identifies a reservation whose answer was lost."""
    return await call.forward(message=f"{call['message']} ({call.scope.caller.folder})")


async def _end(call: MethodCall) -> Any:
    ended = await call.forward()
    call.scope.ownership.remove_reservation(call["reservation_id"])
    return ended


async def _get_job_owner(call: MethodCall) -> JobOwner:
    caller = call.scope.ownership.job_owner(call["job_uid"])
    return JobOwner(caller == call.scope.caller.name) if caller else await call.forward()


async def _get_failures(call: MethodCall) -> list[FailedRun]:
    """Each run names its node; a job without failed runs is checked by itself."""
    scope = call.scope
    found: list[FailedRun] = await call.forward()
    for run in found:
        scope.check_node(run.station)
    if not found and isinstance(scope.service, JobRunner):
        await scope.check_job(call["run_id"])
    return found


NODE_CAPABILITIES = (
    NodeInventory,
    NodeReservations,
    NodeQueue,
    Screenshots,
    RemoteControl,
    PowerControl,
    SerialConsole,
    JobRunner,
)
"""A service with none of these has no nodes."""

RULES: Mapping[type[Service], Mapping[str, Rule]] = {
    NodeInventory: {
        "list_nodes": scoped(view=ServiceScope.view_nodes),
        "get_node": scoped(NODE, view=ServiceScope.view_node),
    },
    NodeReservations: {
        "reserve": scoped(
            NODES, ask=_reserve, view=ServiceScope.own_reservations, late_view=ServiceScope.own_found_reservations
        ),
        "find_made": scoped(view=ServiceScope.own_made),
        "get_reservation": scoped(view=ServiceScope.view_reservation),
        "extend_reservation": scoped(OWN_RESERVATION),
        "end_reservation": scoped(OWN_RESERVATION, ask=_end),
        "give_back": scoped(OWN_RESERVATION, ask=_end),
        "interrupt_reservation": scoped(RESERVATION, ask=_end),
    },
    Screenshots: {
        "grab_screenshot": scoped(NODE),
    },
    RunScreenshots: {
        "get_run_screenshot": scoped(RUN),
    },
    NodeQueue: {
        "await_turn": scoped(NODE),
    },
    RemoteControl: {
        "press_key": scoped(USABLE_NODE),
    },
    PowerControl: {
        "switch_power": scoped(USABLE_NODE),
    },
    SerialConsole: {
        "read_console": scoped(USABLE_NODE),
    },
    JobRunner: {
        "run_tests": scoped(USABLE_NODE, view=ServiceScope.own_job),
        "get_job": scoped(view=ServiceScope.view_job),
        "get_node_job": scoped(NODE),
        "await_job": scoped(JOB),
        "stop_job": scoped(JOB),
        "get_job_owner": scoped(JOB, ask=_get_job_owner),
        "owns_job": unscoped,
    },
    JobFarm: {},
    OperatorDialogs: {
        "get_dialog": scoped(view=ServiceScope.view_dialog),
        "check_answer": unscoped,
        "answer_dialog": scoped(DIALOG),
    },
    TestPack: {
        "list_test_cases": unscoped,
    },
    RunArchive: {
        "list_runs": scoped(ask=list_runs),
        "get_run": scoped(view=ServiceScope.view_run),
        "get_failures": scoped(ask=_get_failures),
        "owns_run": unscoped,
    },
    UnitArchive: {},
    FailureArchive: {
        "list_failures": scoped(ask=list_failures),
    },
    HistoryFeed: {
        "identify": scoped(ask=history.identify),
        "read_back": history.read_pages,
        "read_new": history.read_pages,
        "read_failures": scoped(ask=history.read_failures),
        "count_runs": scoped(ask=history.count_runs),
        "read_measurements": history.read_measurements,
        "read_measurements_of": history.read_measurements,
    },
    RunExport: {
        "export_runs": scoped(ask=export_runs),
    },
    LogKeeper: {
        "open_log": opened(RUN),
    },
    ArtifactKeeper: {
        "list_artifacts": scoped(RUN),
        "open_artifact": opened(RUN),
    },
}


class ScopedService(Service):
    """Stands between the tools and a service, and calls its methods by `RULES`. Connections are the service's to close.

    Only `RULES` name the methods: whatever Service does not define goes through `__getattr__`.
    """

    def __init__(self, scope: ServiceScope) -> None:
        inner = scope.service
        super().__init__(inner.name)
        self.kind = inner.kind
        self.stands_in_as = frozenset(capability for capability in RULES if isinstance(inner, capability))
        self._inner = inner
        self._scope = scope

    @property
    def location(self) -> str:
        return self._inner.location

    @property
    def unscoped(self) -> Service:
        return self._inner

    async def probe(self) -> Health:
        return await self._inner.probe()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __getattr__(self, name: str) -> Any:
        declaring = [capability for capability in self.stands_in_as if hasattr(capability, name)]
        if not declaring:
            raise AttributeError(name)
        if not callable(getattr(declaring[0], name)):  # what an adapter says of itself concerns nobody's nodes
            return getattr(self._inner, name)
        rule = next((RULES[capability][name] for capability in declaring if name in RULES[capability]), None)
        if rule is None:
            raise Refused(f"{name} is not offered to callers over HTTP", "No rule says whose nodes it concerns", "")
        signature = inspect.signature(getattr(declaring[0], name))

        def call(*args: Any, **kwargs: Any) -> Any:
            return rule(MethodCall(self._scope, getattr(self._inner, name), signature.bind(self, *args, **kwargs)))

        return call


def scope_service(inner: Service, caller: Caller, ownership: OwnershipRegistry) -> Service:
    """The service as the caller has it. A service without nodes is not scoped: nothing in it belongs to one caller."""
    if not isinstance(inner, NODE_CAPABILITIES):
        return inner
    return ScopedService(ServiceScope(inner, caller, ownership))
