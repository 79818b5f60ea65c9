"""Many HTTP sessions at once, with mixed calls: no error, memory flat. `./do load` runs the whole of it.

Latencies are printed as ratios to those of one session, measured in the same run against the same server.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab

WHOLE = os.environ.get("TESTLAB_LOAD") == "whole"
SESSIONS, SECONDS = (1000, 60.0) if WHOLE else (40, 4.0)
PAUSE_S = 10.0 if WHOLE else 1.0
"""How long a session rests between two calls, at most: agents think."""
OPENING = 40
"""Sessions that open at the same time."""
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_nodes", {}),
    ("list_runs", {"limit": 5}),
    ("list_runs", {"service": "portal", "outcome": "fail", "limit": 10}),
    ("list_runs", {"service": "factory", "limit": 10, "since": "7d"}),
    ("get_failed_cases", {"run_id": "portal"}),
    ("get_run", {"run_id": "factory"}),
    ("list_test_cases", {"revision": "main", "search": "epg"}),
    ("grab_screenshot", {"run_id": "portal", "size": "thumbnail"}),
)


class Crowd:
    """Sessions, what they were answered, and how long each answer took in seconds."""

    def __init__(self, url: str, known: dict[str, str], sessions: int) -> None:
        self.url = url
        self.sessions = sessions
        self.known = known
        self.took: list[float] = []
        self.errors: Counter[str] = Counter()
        self.open = 0
        self.ready = anyio.Event()

    async def one(self, seed: int, until: anyio.Event, turn: anyio.Semaphore, pause_s: float) -> None:
        """A session of either protocol era that calls until the end."""
        chance = random.Random(seed)
        await turn.acquire()
        try:
            async with Client(self.url, mode="legacy" if seed % 2 else "2026-07-28") as client:
                turn.release()
                self.open += 1
                if self.open == self.sessions:
                    self.ready.set()
                while not until.is_set():
                    await self.call(client, *chance.choice(CALLS))
                    with anyio.move_on_after(chance.uniform(0, pause_s)):
                        await until.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted and fails the test
            self.errors[repr(error)[:200]] += 1
            self.ready.set()

    async def call(self, client: Client, tool: str, arguments: dict[str, Any]) -> None:
        if "run_id" in arguments:
            arguments = {**arguments, "run_id": self.known[arguments["run_id"]]}
        begun = time.perf_counter()
        result = await client.call_tool(tool, arguments)
        self.took.append(time.perf_counter() - begun)
        if result.is_error:
            self.errors[f"{tool}: {result.content}"[:200]] += 1


@pytest.fixture
def server(sim: SimLab, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a server over HTTP."""
    config = tmp_path / "config.toml"
    config.write_text(sim.config_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(config), "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", process.stderr.readline())
        assert found
        yield found[0], process.pid
        process.terminate()


def resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def some_runs(url: str) -> dict[str, str]:
    """A failed run of each of two services."""
    async with Client(url) as client:
        found = {}
        for service in ("portal", "factory"):
            answer = await client.call_tool("list_runs", {"service": service, "outcome": "fail", "limit": 1})
            assert answer.structured_content
            found[service] = answer.structured_content["runs"][0]["run_id"]
        return found


async def crowded(url: str, known: dict[str, str], sessions: int, seconds: float, pid: int) -> tuple[Crowd, list[int]]:
    """So many sessions for so long, counted from when all are open; and the server's memory each second."""
    crowd, until, turn, memory = Crowd(url, known, sessions), anyio.Event(), anyio.Semaphore(OPENING), list[int]()
    async with anyio.create_task_group() as group:
        for seed in range(sessions):
            group.start_soon(crowd.one, seed, until, turn, PAUSE_S if sessions > 1 else 0.0)
        await crowd.ready.wait()
        crowd.took.clear()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await anyio.sleep(min(1.0, seconds / 4))
            memory.append(resident_kb(pid))
        until.set()
    return crowd, memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process's memory is read from /proc")
async def test_many_sessions_at_once_meet_no_error_and_the_servers_memory_stays_flat(
    server: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    url, pid = server
    known = await some_runs(url)
    alone, _ = await crowded(url, known, 1, min(SECONDS / 4, 10.0), pid)
    crowd, memory = await crowded(url, known, SESSIONS, SECONDS, pid)
    first, last = statistics.mean(memory[: len(memory) // 4 or 1]), statistics.mean(memory[-(len(memory) // 4 or 1) :])
    median = statistics.median(alone.took)
    ratios = [quantile / median for quantile in (statistics.median(crowd.took), _tail(crowd.took))]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{SESSIONS} sessions, {SECONDS:.0f} s: {len(crowd.took)} calls, {sum(crowd.errors.values())} errors; "
            f"memory {first / 1024:.0f} MiB in the first quarter, {last / 1024:.0f} MiB in the last; "
            f"latency against one session's median: median {ratios[0]:.1f} x, 95th percentile {ratios[1]:.1f} x\n"
        )
    assert crowd.errors == alone.errors == Counter()
    assert len(crowd.took) >= SESSIONS
    assert last <= first * 1.1


def _tail(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[-1]
