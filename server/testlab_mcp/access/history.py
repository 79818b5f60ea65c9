"""History of a caller's nodes: pages without the runs of others, kept under a name of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from testlab_mcp.access.service_scope import MethodCall
from testlab_tools.capabilities import FailuresRead, HistoryPage, MeasurementPage


async def identify(call: MethodCall) -> str:
    """HistoryFeed.identify: another for each set of nodes."""
    identity: str = await call.forward()
    scope = call.scope
    return identity if scope.allows_all else f"{identity} {sorted(set(scope.caller.nodes or ()))}"


async def read_pages(call: MethodCall) -> AsyncGenerator[HistoryPage, None]:
    """HistoryFeed.read_back and read_new."""
    scope = call.scope
    async with aclosing(call.forward()) as pages:
        async for page in pages:
            runs, running = ([run for run in some if scope.allows(run.station)] for some in (page.runs, page.running))
            yield page._replace(runs=runs, running=running)


async def read_failures(call: MethodCall) -> FailuresRead:
    """HistoryFeed.read_failures"""
    for run in call["runs"]:
        call.scope.check_node(run.station)
    return await call.forward()


async def count_runs(call: MethodCall) -> Mapping[str, int] | None:
    """HistoryFeed.count_runs: the service's own counts are of all nodes."""
    return await call.forward() if call.scope.allows_all else None


async def read_measurements(call: MethodCall) -> AsyncGenerator[MeasurementPage, None]:
    """HistoryFeed.read_measurements and read_measurements_of: no measurement names the node of its run."""
    if not call.scope.allows_all:
        raise call.scope.refusal()
    async with aclosing(call.forward()) as pages:
        async for page in pages:
            yield page
