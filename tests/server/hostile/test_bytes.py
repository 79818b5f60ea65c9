"""A service sends what fills memory and time: every tool answers, so does /healthz, and memory stays bounded."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from tests.service_samples import SERVICE_SAMPLES

MAX_MEMORY_MIB = 300
MAX_SILENCE_S = 5.0
"""Of /healthz while other tests share the processors; alone it answers within a second, as is printed."""


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


SHAPES: dict[str, Callable[[], bytes]] = {
    "empty lists": lambda: b"[" + b"[]," * 5_000_000 + b"[]]",
    "empty objects": lambda: b"[" + b"{}," * 5_000_000 + b"{}]",
    "empty objects as data": lambda: b'{"data":[' + b"{}," * 120_000 + b'{}],"meta":{}}',
    "nulls": lambda: b"[" + b"null," * 3_000_000 + b"null]",
    "numbers": lambda: b"[" + b"1," * 8_000_000 + b"1]",
    "digits": lambda: b"[" + b"9" * 15_000_000 + b"]",
    "floats": lambda: b"[" + b"1e308," * 150_000 + b"1e999]",
    "empty texts": lambda: b"[" + b'"",' * 5_000_000 + b'""]',
    "one text": lambda: b'["' + b"a" * 7_500_000 + b'"]',
    "escapes": lambda: b'["' + b"\\ud800" * 1_200_000 + b'"]',
    "members": lambda: b"{" + b",".join(b'"%d":0' % n for n in range(240_000)) + b"}",
    "nested lists": lambda: deep(8_000_000),
    "nested objects": lambda: b'{"data":' * 1_000_000 + b"1" + b"}" * 1_000_000,
    "addresses": lambda: json.dumps(
        {"message": "http://" * 500_000, "error": {"message": "http://" * 500_000}}
    ).encode(),
    "runs": lambda: b"[" + b",".join(b'{"result_id":"%d","start_time":"x"}' % n for n in range(80_000)) + b"]",
    "zeros": lambda: bytes(60_000_000),
    "spaces": lambda: b" " * 60_000_000,
    "lines": lambda: b"\n" * 60_000_000,
    "markup": lambda: b"<a>" * 5_000_000,
    "unfinished": lambda: b'{"data":[' + b'{"id":"a","a":[' * 1_000_000,
}
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_runs", {}),
    ("list_runs", {"service": "portal", "limit": 100}),
    ("list_runs", {"service": "factory", "limit": 100}),
    ("list_runs", {"service": "old", "unit": "SN-1"}),
    ("list_runs", {"service": "cloud", "limit": 100}),
    *[
        (tool, {"run_id": run})
        for tool in ("get_run", "get_failed_cases", "read_log", "get_artifact", "explain_failure")
        for run in ("portal:/a/b/2026-11-20_08.00.00", "factory:550e8400-e29b-41d4-a716-446655440000", "cloud:6f")
    ],
    ("get_unit", {"serial_number": "SN-1"}),
    ("triage", {}),
    ("list_nodes", {}),
    ("list_nodes", {"node_ids": ["stb-tester-1"], "detail": True}),
    ("grab_screenshot", {"node_id": "portal:stb-tester-1"}),
    ("list_test_cases", {"revision": "main"}),
    ("get_job", {"job_uid": "portal:1"}),
    ("list_catalog", {"service": "factory"}),
    ("export_runs", {"save_to": "runs.csv", "since": "24h", "service": "portal"}),
)


@pytest.fixture(scope="module")
def origin() -> Iterator[Any]:
    """A server that answers every GET with one body, packed by gzip."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece: between two, the kernel waits for 40 ms
        body = b""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(Handler.body)))
            self.end_headers()
            self.wfile.write(Handler.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        server.answer = lambda body: setattr(Handler, "body", gzip.compress(body, 9))  # type: ignore[attr-defined]
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def server(origin: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """URL and process id of a server whose services are that origin."""
    folder = tmp_path_factory.mktemp("bytes")
    url = f"http://127.0.0.1:{origin.server_address[1]}"
    samples = SERVICE_SAMPLES.values()
    tables = "".join(sample.table(url, token="t0ken-of-it", timeout_seconds=20) for sample in samples)
    config = folder / "config.toml"
    config.write_text(
        '[server]\ntoolsets = ["all"]\n[durable]\nenabled = false\n[audit]\nenabled = false\n'
        f"[files]\nsave_to = ['{folder}']\n{tables}",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(config), "--http", "127.0.0.1:0"]
    log = folder / "log.txt"
    with log.open("w") as err, subprocess.Popen(command, stderr=err, text=True) as process:
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/mcp", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield found[0], process.pid
        process.terminate()


def highest_mib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024


async def watch(url: str, until: Callable[[], bool]) -> float:
    """Ask /healthz again and again; the longest that an answer took, in seconds."""
    slowest = 0.0
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        while not until():
            begun = time.perf_counter()
            assert (await client.get(url)).status_code == 200
            slowest = max(slowest, time.perf_counter() - begun)
            await asyncio.sleep(0.02)
    return slowest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process's highest memory is read from /proc")
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_tool_that_reads_outlives_what_a_service_sends(
    shape: str, origin: Any, server: tuple[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    url, pid = server
    await asyncio.to_thread(origin.answer, SHAPES[shape]())
    told: Counter[str] = Counter()
    async with Client(url, read_timeout_seconds=120) as client:

        async def call(tool: str, arguments: dict[str, Any]) -> None:
            result = await client.call_tool(tool, arguments)
            told["errors" if result.is_error else "answers"] += 1

        calls = asyncio.gather(*(call(tool, arguments) for tool, arguments in CALLS))
        slowest = await watch(url.replace("/mcp", "/healthz"), calls.done)
        await calls
    highest = highest_mib(pid)
    with capsys.disabled():
        sys.stdout.write(f"\n{shape}: {dict(told)}, slowest /healthz {slowest:.2f} s, highest memory {highest} MiB ")
    assert told.total() == len(CALLS)
    assert highest < MAX_MEMORY_MIB
    assert slowest < MAX_SILENCE_S
