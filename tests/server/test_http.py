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
from testlab_mcp.http_session import AT_ONCE_S
from tests.fixture_types import RefusedCaller, ToolCaller
from tests.server_processes import server_command

JSON = {"Content-Type": "application/json"}


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


class WaitingCall:
    """The call with id 3, which waits for a job and tells its progress."""

    def __init__(self, post: Post, params: dict[str, Any]) -> None:
        self._post, self._params = post, params
        self.started = anyio.Event()
        self.said: list[dict[str, Any]] = []

    @classmethod
    async def of(cls, post: Post) -> WaitingCall:
        return cls(post, await _running_job(post) | {"_meta": {"progressToken": "p"}})

    async def read(self) -> None:
        async for message in self._post.stream(3, "tools/call", self._params):
            self.said.append(message)
            self.started.set()


@pytest.mark.parametrize("seconds", [0.0, AT_ONCE_S + 0.2])
async def test_a_cancelled_request_of_the_older_era_is_not_answered(seconds: float, url: str) -> None:
    """Clients call an answer to a request that they have dropped an error: its id is unknown to them."""
    async with old_session(url) as post:
        waiting = await WaitingCall.of(post)
        async with anyio.create_task_group() as group:
            group.start_soon(waiting.read)
            await waiting.started.wait()
            await anyio.sleep(seconds)  # until its answer is the SDK's
            assert (await post(None, "notifications/cancelled", {"requestId": 3})).status_code == 202
        assert {message["method"] for message in waiting.said} == {"notifications/progress"}
        assert answer(await post(4, "tools/call", {"name": "list_nodes"}))["structuredContent"]["nodes"]


async def test_an_answer_that_comes_soon_is_one_event_whose_length_is_said_before(url: str) -> None:
    async with old_session(url) as post:
        said = await post(2, "tools/call", {"name": "list_nodes"})
        assert said.headers["content-type"] == "text/event-stream"
        assert int(said.headers["content-length"]) == len(said.content)
        assert said.headers["mcp-session-id"] == post.headers["Mcp-Session-Id"]
        assert answer(said)["structuredContent"]["nodes"]


@pytest.mark.parametrize("seconds", [1, int(AT_ONCE_S) + 1])
async def test_the_head_and_the_progress_of_a_long_call_come_while_it_runs(seconds: int, url: str) -> None:
    async with old_session(url) as post:
        job = await _running_job(post)
        numbers: list[Any] = []
        async for message in post.stream(
            3,
            "tools/call",
            job | {"arguments": job["arguments"] | {"wait_seconds": seconds}, "_meta": {"progressToken": "p"}},
        ):
            numbers.append(message.get("id"))
        assert numbers[-1] == 3
        assert set(numbers[:-1]) == {None}


@pytest.mark.parametrize("seconds", [0.0, AT_ONCE_S + 0.2])
async def test_ending_a_session_ends_the_answers_that_it_has_begun(seconds: float, url: str) -> None:
    async with old_session(url) as post, httpx2.AsyncClient(trust_env=False) as http:
        waiting = await WaitingCall.of(post)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(waiting.read)
                await waiting.started.wait()
                await anyio.sleep(seconds)  # until its answer is the SDK's
                assert (await http.delete(url, headers=post.headers)).status_code == 200
        assert all("result" not in message for message in waiting.said)
        assert (await post(4, "tools/list", {})).status_code == 404


async def test_what_is_no_call_in_good_order_is_refused_as_the_sdk_does(url: str) -> None:
    async with old_session(url) as post, httpx2.AsyncClient(trust_env=False) as http:
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        unlisted = {name: value for name, value in post.headers.items() if name != "Mcp-Session-Id"}
        assert (await http.post(url, json=call, headers=post.headers | {"Accept": "text/html"})).status_code == 406
        assert (await http.post(url, content=b"{", headers=post.headers | JSON)).status_code == 400
        assert (await http.post(url, json=call, headers=unlisted)).status_code == 400
        assert (await http.post(url, json=call, headers=unlisted | {"Mcp-Session-Id": "other"})).status_code == 404


async def _running_job(post: Post) -> dict[str, Any]:
    nodes = answer(await post(2, "tools/call", {"name": "list_nodes", "arguments": {"text": "Node 3"}}))
    busy = next(node["node_id"] for node in nodes["structuredContent"]["nodes"] if node["state"] == "busy")
    return {"name": "get_job", "arguments": {"node_id": busy, "wait_seconds": 45}}


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
