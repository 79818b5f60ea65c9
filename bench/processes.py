"""The processes of a measurement: the upstream, and a server on it; what they cost, as Linux counts it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bench.sessions import HttpSession, StdioSession

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
CONFIG = """
[server]
access = "observe"
[services.portal]
kind = "stbtester"
url = "{url}"
token = "any"
"""


@contextmanager
def run_upstream(*sizes: int) -> Generator[str]:
    """A running upstream's URL. The sizes, where they are not its own: nodes and results in its lists."""
    command = [sys.executable, "-m", "bench.upstream", *map(str, sizes)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def count_requests(url: str) -> int:
    """How many requests the upstream has had."""
    with urllib.request.urlopen(f"{url}/count", timeout=10) as reply:
        return int(reply.read())


def write_config(folder: Path, url: str) -> Path:
    """A config with the upstream as its only service."""
    path = folder / "config.toml"
    path.write_text(CONFIG.format(url=url), encoding="utf-8")
    return path


@asynccontextmanager
async def run_stdio(command: Sequence[str | Path]) -> AsyncGenerator[StdioSession, None]:
    """A server and the one session with it; it ends with its standard input. What it logs goes to a file."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, limit=2**25, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        session = StdioSession(process)
        try:
            await session.initialize()
            yield session
        finally:
            await session.close()


@asynccontextmanager
async def run_http(command: Sequence[str | Path], sessions: int) -> AsyncGenerator[tuple[int, list[HttpSession]], None]:
    """A server that says on standard error where it serves; its process id, and so many sessions, each with its own
    connection."""
    with tempfile.NamedTemporaryFile("r+b") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=log, stdout=log)
        opened: list[HttpSession] = []
        try:
            port = await _find_port(Path(log.name), process)
            for _ in range(sessions):
                opened.append(await HttpSession.open(port))
            yield process.pid, opened
        finally:
            for session in opened:
                session.close()
            process.terminate()
            await process.wait()


async def _find_port(log: Path, process: asyncio.subprocess.Process) -> int:
    while not (found := re.search(rb"http://127\.0\.0\.1:(\d+)", log.read_bytes())):
        if process.returncode is not None:
            raise RuntimeError(f"the server ended: {log.read_text(errors='replace')[-500:]}")
        await asyncio.sleep(0.02)
    return int(found[1])


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far."""
    return _seconds(Path(f"/proc/{pid}/stat"))


def main_thread_seconds(pid: int) -> float:
    """Processor time of its first thread, in which the event loop runs."""
    return _seconds(Path(f"/proc/{pid}/task/{pid}/stat"))


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
