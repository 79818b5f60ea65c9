"""What ten and a hundred times the nodes, runs and sessions cost, in processor time."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.measures import Call, call_at_once, make_product
from bench.processes import cpu_seconds, memory_mib, run_http, run_stdio, run_upstream, write_config
from bench.sessions import StdioSession

NODES, RUNS, SESSIONS = (5, 50, 500), (100, 1_000, 10_000), (6, 60, 600)
ENOUGH = 1.0
"""Processor seconds that a figure is read from: Linux counts them in hundredths."""
CALLS = 1_200


class Growth(NamedTuple):
    """Milliseconds of processor time a call, and MiB with so many sessions, at 1, 10 and 100 times."""

    nodes: Sequence[float]
    runs: Sequence[float]
    sessions: Sequence[float]
    memory: Sequence[float]


def measure_growth(python: Path) -> Growth:
    """A server of its own for each size, on an upstream of that size."""
    lists = [asyncio.run(_measure_lists(python, nodes, runs)) for nodes, runs in zip(NODES, RUNS, strict=True)]
    loads = [asyncio.run(_measure_sessions(python, sessions)) for sessions in SESSIONS]
    return Growth(*zip(*lists, strict=True), *zip(*loads, strict=True))


async def _measure_lists(python: Path, nodes: int, runs: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, run_upstream(nodes, runs) as url:
        peer = make_product(python, write_config(Path(folder), url))
        async with run_stdio(peer.stdio) as session:
            return await _cost(session, peer.bulk["nodes"]), await _cost(session, peer.bulk["runs"])


async def _cost(session: StdioSession, call: Call) -> float:
    await session.call(*call)
    begun = cpu_seconds(session.pid)
    for calls in itertools.count(1):
        await session.call(*call)
        if (spent := cpu_seconds(session.pid) - begun) >= ENOUGH:
            return 1000 * spent / calls
    raise AssertionError


async def _measure_sessions(python: Path, count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, run_upstream() as url:
        peer = make_product(python, write_config(Path(folder), url))
        async with run_http(peer.http, count) as (pid, sessions):
            calls = peer.nodes()
            await call_at_once(sessions, calls, count)
            begun = cpu_seconds(pid)
            await call_at_once(sessions, calls, CALLS)
            return 1000 * (cpu_seconds(pid) - begun) / CALLS, memory_mib(pid)


def render_growth(growth: Growth) -> str:
    """A table: what a call costs at each size, and what a row of it or a session does."""
    return "\n".join(
        (
            "Growth, in processor time of a call (and of each row in the service's list):",
            "",
            "| | 1 × | 10 × | 100 × |",
            "| --- | --- | --- | --- |",
            _row("a list of {} nodes", NODES, growth.nodes, _per_row),
            _row("a list that {} runs match", RUNS, growth.runs, _per_row),
            _row("one node, {} sessions over HTTP", SESSIONS, growth.sessions, lambda cost, _: f"{cost:.2f} ms"),
            _row("memory with {} sessions", SESSIONS, growth.memory, lambda mib, _: f"{mib:.0f} MiB"),
        )
    )


def _per_row(cost: float, rows: int) -> str:
    return f"{cost:.1f} ms ({1000 * cost / rows:,.0f} µs)"


def _row(label: str, sizes: Sequence[int], costs: Sequence[float], tell: Callable[[float, int], str]) -> str:
    cells = (tell(cost, size) for cost, size in zip(costs, sizes, strict=True))
    return "| " + " | ".join((label.format(", ".join(f"{size:,}" for size in sizes)), *cells)) + " |"
