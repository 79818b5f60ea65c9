"""What is measured of a server in one round: figures by name."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import ROOT, count_requests, cpu_seconds, memory_mib, run_http, run_stdio
from bench.sessions import HttpSession, StdioSession
from bench.upstream import NODES, node_id
from testlab_mcp.commands.tools import count_tokens

Call = tuple[str, dict[str, Any]]
Figures = dict[str, float]
AT_ONCE, SESSIONS, PIECE = 16, 64, 50_000
NODE_PATHS = [f"/api/v2/nodes/{node_id(number)}" for number in range(NODES)]
BULK = {"nodes": "/api/v2/nodes", "runs": "/api/v2/results", "screenshot": f"{NODE_PATHS[0]}/screenshot.png"}


@dataclass(frozen=True)
class Size:
    """How often each thing is done in a round."""

    calls: int = 200
    calls_at_once: int = 1000
    bulk: int = 10


@dataclass(frozen=True)
class Peer:
    """A server to measure: what starts it over stdio and over HTTP, and its calls."""

    stdio: Sequence[str | Path]
    http: Sequence[str | Path]
    node: Callable[[str], Call]
    bulk: dict[str, Call]

    def nodes(self) -> Iterator[Call]:
        """Calls that read one node each, all of them in turn: no two outstanding ones are the same read."""
        return itertools.cycle([self.node(node_id(number)) for number in range(NODES)])


def make_product(python: Path, config: Path) -> Peer:
    """This server, with the upstream as its only service."""
    command = (python, "-m", "testlab_mcp", "serve", "--config", config)
    return Peer(
        command,
        (*command, "--http", "127.0.0.1:0"),
        lambda node: ("list_nodes", {"node_ids": [node]}),
        {
            "nodes": ("list_nodes", {}),
            "runs": ("list_runs", {}),
            "screenshot": ("grab_screenshot", {"node_id": node_id(0)}),
        },
    )


def make_plain(python: Path, url: str) -> Peer:
    """The plain server, in an environment of its own."""
    command = (python, ROOT / "bench/peers/plain_server.py", url)
    return Peer(
        command,
        (*command, "--http"),
        lambda node: ("get_node", {"node_id": node}),
        {
            "nodes": ("list_nodes", {}),
            "runs": ("list_results", {}),
            "screenshot": ("get_screenshot", {"node_id": node_id(0)}),
        },
    )


async def measure_peer(peer: Peer, url: str, size: Size) -> Figures:
    """All figures of a server: a new process over stdio, then one over HTTP."""
    figures: Figures = {}
    begun = time.perf_counter()
    async with run_stdio(peer.stdio) as session:
        listed = await session.request("tools/list", {})
        figures["start"] = time.perf_counter() - begun
        calls = peer.nodes()
        await session.call(*next(calls))
        figures["first call"] = time.perf_counter() - begun
        figures["memory"] = memory_mib(session.pid)
        figures |= count_answers(listed, [await session.call(*next(calls))])
        await time_calls(session, calls, size.calls // 10)
        figures["one call"] = statistics.median(await time_calls(session, calls, size.calls))
        figures |= await _load(session, calls, size, url)
        for what, call in peer.bulk.items():
            answer = await session.call(*call)
            figures[what] = statistics.median(await time_calls(session, itertools.repeat(call), size.bulk))
            if what != "screenshot":
                figures[f"tokens of {what}"] = count_text(answer)
    async with run_http(peer.http, SESSIONS) as (pid, sessions):
        await call_at_once(sessions, calls, size.calls_at_once // 10)
        cpu = cpu_seconds(pid)
        figures["sessions"] = await call_at_once(sessions, calls, size.calls_at_once)
        figures["sessions cpu"] = 1000 * (cpu_seconds(pid) - cpu) / size.calls_at_once
        figures["sessions memory"] = memory_mib(pid)
    return figures


async def _load(session: StdioSession, calls: Iterator[Call], size: Size, url: str) -> Figures:
    cpu, requests = cpu_seconds(session.pid), count_requests(url)
    rate = await call_at_once([session] * AT_ONCE, calls, size.calls_at_once)
    return {
        "at once": rate,
        "cpu": 1000 * (cpu_seconds(session.pid) - cpu) / size.calls_at_once,
        "requests": (count_requests(url) - requests) / size.calls_at_once,
    }


def measure_raw(python: Path, url: str, size: Size) -> Figures:
    """The same GETs by the HTTP library alone."""
    command = (python, ROOT / "bench/peers/raw_get.py", url)
    orders = {
        "warm": (NODE_PATHS, size.calls // 10, 1),
        "one call": (NODE_PATHS, size.calls, 1),
        "at once": (NODE_PATHS, size.calls_at_once, AT_ONCE),
        **{what: ([path], size.bulk, 1) for what, path in BULK.items()},
    }
    begun = time.perf_counter()
    subprocess.run([python, "-c", "import httpx2"], check=True)
    figures: Figures = {"start": time.perf_counter() - begun}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for what, (paths, calls, at_once) in orders.items():
            process.stdin.write(json.dumps({"paths": paths, "calls": calls, "at_once": at_once}) + "\n")
            process.stdin.flush()
            took = json.loads(process.stdout.readline())
            if what == "at once":
                figures |= {what: calls / took["seconds"], "cpu": 1000 * took["cpu_seconds"] / calls}
            else:
                figures[what] = statistics.median(took["times"])
        figures["memory"] = memory_mib(process.pid)
        process.stdin.close()
    del figures["warm"]
    return figures


async def time_calls(session: StdioSession | HttpSession, calls: Iterator[Call], count: int) -> list[float]:
    """Seconds of each call, one after the other."""
    times: list[float] = []
    for _ in range(count):
        begun = time.perf_counter()
        await session.call(*next(calls))
        times.append(time.perf_counter() - begun)
    return times


async def call_at_once(sessions: Sequence[StdioSession | HttpSession], calls: Iterator[Call], count: int) -> float:
    """Calls a second, with one call outstanding for each entry of `sessions`."""
    left = iter(range(count))

    async def work(session: StdioSession | HttpSession) -> None:
        for _ in left:
            await session.call(*next(calls))

    begun = time.perf_counter()
    await asyncio.gather(*(work(session) for session in sessions))
    return count / (time.perf_counter() - begun)


def count_answers(listed: bytes, one_node: Sequence[bytes]) -> Figures:
    """Tokens of an average tool's definition, and of one node."""
    tools = json.loads(listed)["result"]["tools"]
    shown = [{key: value for key, value in tool.items() if key not in ("title", "icons", "_meta")} for tool in tools]
    return {
        "tokens of a tool": sum(map(count_tokens, shown)) / len(tools),
        "tokens of a node": statistics.mean(map(count_text, one_node)),
    }


def count_text(answer: bytes) -> int:
    """Tokens of an answer's text, in pieces: the tokenizer refuses long ones."""
    content = json.loads(answer)["result"]["content"]
    text = "".join(block["text"] for block in content if block["type"] == "text")
    return sum(count_tokens(text[start : start + PIECE]) for start in range(0, len(text), PIECE))
