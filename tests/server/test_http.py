"""Over Streamable HTTP: the same tools, for old protocol revisions and for 2026-07-28."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller, ToolCaller
from tests.server_processes import server_command


class Post:
    """Sends messages of one session of the older era, as they are."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http, self._url = http, url
        self.headers = {"Accept": "application/json, text/event-stream"}

    def _request(self, number: int | None, method: str, params: dict[str, Any]) -> dict[str, Any]:
        numbered = {} if number is None else {"id": number}
        return {"headers": self.headers, "json": {"jsonrpc": "2.0", **numbered, "method": method, "params": params}}

    async def __call__(self, number: int | None, method: str, params: dict[str, Any]) -> httpx2.Response:
        return await self._http.post(self._url, **self._request(number, method, params))

    async def stream(self, number: int, method: str, params: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The messages of the answer's stream, as they come."""
        async with self._http.stream("POST", self._url, **self._request(number, method, params)) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])


@asynccontextmanager
async def old_session(url: str) -> AsyncIterator[Post]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        post = Post(http, url)
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        said = await post(1, "initialize", hello)
        post.headers |= {"Mcp-Session-Id": said.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-06-18"}
        await post(None, "notifications/initialized", {})
        yield post


def answer(response: httpx2.Response) -> dict[str, Any]:
    (data,) = [line[5:] for line in response.text.splitlines() if line.startswith("data:")]
    return json.loads(data)["result"]


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("2026-07-28", "2026-07-28")])
async def test_both_protocol_eras_list_and_call(mode: str, version: str, url: str, ask: ToolCaller) -> None:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == version
        assert {"list_runs", "run_tests"} <= {tool.name for tool in (await client.list_tools()).tools}
        nodes = await ask(client, "list_nodes")
        assert nodes["total"] >= 8


async def test_a_refused_call_leaves_the_session_alive(url: str, ask: ToolCaller, refused: RefusedCaller) -> None:
    async with Client(url) as client:
        assert "no argument" in await refused(client, "list_runs", serial="SN-1")
        assert (await ask(client, "list_nodes"))["nodes"]


async def test_a_cancelled_request_of_the_older_era_is_not_answered(url: str) -> None:
    """Clients call an answer to a request that they have dropped an error: its id is unknown to them."""
    async with old_session(url) as post:
        nodes = answer(await post(2, "tools/call", {"name": "list_nodes", "arguments": {"text": "Node 3"}}))
        busy = next(node["node_id"] for node in nodes["structuredContent"]["nodes"] if node["state"] == "busy")
        job = {"name": "get_job", "arguments": {"node_id": busy, "wait_seconds": 45}}
        started = anyio.Event()
        said: list[dict[str, Any]] = []

        async def wait() -> None:
            async for message in post.stream(3, "tools/call", job | {"_meta": {"progressToken": "p"}}):
                said.append(message)
                started.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await started.wait()
            assert (await post(None, "notifications/cancelled", {"requestId": 3})).status_code == 202
        assert {message["method"] for message in said} == {"notifications/progress"}
        assert answer(await post(4, "tools/call", {"name": "list_nodes"}))["structuredContent"]["nodes"]


@pytest.mark.parametrize("unknown", [99, "never", 1])
async def test_cancelling_an_id_that_is_not_known_any_more_is_no_error(unknown: int | str, url: str) -> None:
    async with old_session(url) as post:
        assert (await post(None, "notifications/cancelled", {"requestId": unknown})).status_code == 202
        assert answer(await post(2, "tools/call", {"name": "list_nodes"}))["structuredContent"]["nodes"]


async def test_a_health_check_needs_no_protocol(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        assert (await http.get(url.replace("/mcp", "/healthz"))).json() == {"status": "ok"}


async def test_a_foreign_host_name_is_turned_away(url: str) -> None:
    async with httpx2.AsyncClient() as http:
        reply = await http.post(url, headers={"Host": "lab.example.com"}, json={})
        assert reply.status_code == 421


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(url: str, tmp_path: Path, sim: SimLab) -> None:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    address = url.removeprefix("http://").removesuffix("/mcp")
    command = [*server_command(), "serve", "--config", str(path), "--http", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=20, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Take another port" in done.stderr


def test_a_demo_told_to_stop_takes_its_simulated_lab_and_folder_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--demo", "--http", "127.0.0.1:0"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment) as process:
        assert process.stderr
        url = process.stderr.readline().split()[-1]
        while not _answers(url.replace("/mcp", "/healthz")):
            assert process.poll() is None
        assert list(tmp_path.iterdir())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=8) == 0
    assert list(tmp_path.iterdir()) == []


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
