"""Runs of a caller's nodes, asked for node by node and merged: nothing in the answer, its totals included, is of
another node."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import Any, TypeVar

from testlab_mcp.access.service_scope import MethodCall, ServiceScope
from testlab_tools.capabilities import Export, Failures, NodeInventory, Runs
from testlab_tools.errors import BadInput, BadReply, Refused
from testlab_tools.fanout import gather_all
from testlab_tools.models.lab import Outcome, Run
from testlab_tools.models.requests import RunQuery

T = TypeVar("T")
MAX_NODES = 40
"""Nodes asked for one call."""
MAX_CONCURRENT = 4


async def list_runs(call: MethodCall) -> Runs:
    """RunArchive.list_runs"""
    if call.scope.allows_all:
        return await call.forward()
    lists = [_allowed_runs(call.scope, runs) for runs in await _ask_each_node(call)]
    return _merge_runs(lists, call["limit"], call["query"])


async def list_failures(call: MethodCall) -> Failures:
    """FailureArchive.list_failures"""
    scope = call.scope
    if scope.allows_all:
        return await call.forward()
    answers: tuple[Failures, ...] = await _ask_each_node(call)
    lists = [found._replace(failures=[f for f in found.failures if scope.allows(f.run.station)]) for found in answers]
    return _merge_failures(lists, call["limit"])


async def export_runs(call: MethodCall) -> Export:
    """RunExport.export_runs, of one node: not every form names the node of a run, so the runs are counted instead."""
    scope, query = call.scope, call["query"]
    if scope.allows_all:
        return await call.forward()
    if not query.station:
        raise BadInput(
            "You may export the runs of your nodes only, one node at a time",
            f"[callers.{scope.caller.name}] nodes names them",
            "Give station.",
        )
    (node,) = await _stations(scope, query)
    written: Export = await call.forward(query=replace(query, station=node))
    if written.runs > written.listed:
        name = scope.service.name
        raise BadReply(
            name,
            f"The report of {name} holds more runs than it lists of your node",
            "Some ended meanwhile, or the report is not only of your node",
            "Nothing was saved. Call again, with until.",
        )
    return written


async def _ask_each_node(call: MethodCall) -> tuple[Any, ...]:
    """The answer for each node. The first error is raised."""
    places = asyncio.Semaphore(MAX_CONCURRENT)

    async def ask(node: str) -> Any:
        async with places:
            return await call.forward(query=replace(call["query"], station=node, explain_empty=False))

    return await gather_all(*[ask(node) for node in await _stations(call.scope, call["query"])])


async def _stations(scope: ServiceScope, query: RunQuery) -> list[str]:
    """The nodes that a query is asked of.

    Raises Refused for a station that is not allowed or does not exist, and for a filter that could reach other nodes;
    BadInput for too many nodes.
    """
    name, limited = scope.service.name, f"[callers.{scope.caller.name}] nodes limits you to some nodes"
    if query.text:
        raise Refused(
            "You cannot filter in the service's own grammar", limited, "Use test, station, outcome, since and until."
        )
    nodes = await scope.service.list_nodes() if isinstance(scope.service, NodeInventory) else []
    names = {scope.native(node.node_id): node.name.casefold() for node in nodes}
    allowed = {node: name for node, name in names.items() if scope.allows(node)}
    if query.station:
        wanted = query.station.casefold()
        found = [node for node, name in allowed.items() if wanted in (node.casefold(), name)][:1]
        if not found:
            raise scope.refusal()
        return found
    if not allowed:
        raise Refused(f"None of the nodes of {name} is one you may use", limited, "")
    if len(allowed) > MAX_NODES:
        raise BadInput(
            f"Runs of your nodes are looked for node by node, of at most {MAX_NODES} at once",
            f"{limited}, {len(allowed)} of {name}",
            "Give one of them as station.",
        )
    return list(allowed)


def _allowed_runs(scope: ServiceScope, found: Runs) -> Runs:
    """The runs of allowed nodes. A total that counts other runs is dropped."""
    kept = [run for run in found.runs if scope.allows(run.station)]
    if len(kept) == len(found.runs):
        return found
    return Runs(kept, found.more, None, found.at_least)


def _merge_runs(lists: Sequence[Runs], limit: int, query: RunQuery) -> Runs:
    """The first `limit` runs of all lists."""

    def place(run: Run) -> tuple[Any, str]:
        return (run.duration_s if query.longest_first else run.started_at, run.run_id)

    merged = _merge([(found.runs, found.more) for found in lists], place, query.oldest_first)
    totals = [found.total for found in lists]
    total = None if None in totals else sum(known for known in totals if known is not None)
    given = sum(len(found.runs) for found in lists)
    more = len(merged[:limit]) < given or any(found.more for found in lists)
    counted = [found.by_outcome for found in lists if found.by_outcome is not None]
    counts = sum(map(Counter, counted), Counter[Outcome]()) if len(counted) == len(lists) else None
    at_least, note = any(found.at_least for found in lists), next((found.note for found in lists if found.cut), "")
    cut = any(found.cut for found in lists) and not more
    return Runs(merged[:limit], more, total, at_least, by_outcome=counts, note=note, cut=cut)


def _merge_failures(lists: Sequence[Failures], limit: int) -> Failures:
    """The failures of the newest `limit` runs of all lists."""
    merged = _merge([(found.failures, found.more) for found in lists], lambda failure: failure.run.started_at)
    newest = set(islice(dict.fromkeys(failure.run.run_id for failure in merged), limit))
    kept = [failure for failure in merged if failure.run.run_id in newest]
    more = len(kept) < sum(len(found.failures) for found in lists) or any(found.more for found in lists)
    return Failures(kept, len(newest), more, min(sum(found.unread for found in lists), len(newest)))


def _merge(lists: Sequence[tuple[Sequence[T], bool]], place: Callable[[T], Any], oldest_first: bool = False) -> list[T]:
    """The items of all lists in order, up to the end of each incomplete list (True): its later items are missing."""
    merged = list(merge(*(items for items, _ in lists), key=place, reverse=not oldest_first))
    for end in [place(items[-1]) for items, more in lists if more and items]:
        merged = [item for item in merged if (place(item) <= end if oldest_first else place(item) >= end)]
    return merged
