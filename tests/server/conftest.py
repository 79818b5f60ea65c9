"""Fixtures of the server's tests: the simulated lab as a process, and real MCP clients of servers in front of it."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, TextContent

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from tests.answer_text import read_answer
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.lab_processes import LabProcess
from tests.server_processes import serve_over_http, server_command


@pytest.fixture(scope="session")
def sim() -> Iterator[SimLab]:
    """A simulated lab for tests that only look."""
    with LabProcess() as lab:
        lab.services()
        yield lab


@pytest.fixture
def fresh_sim() -> Iterator[SimLab]:
    """A simulated lab of its own, for a test that changes it."""
    with LabProcess() as lab:
        lab.services()
        yield lab


@pytest.fixture
def dead_url() -> str:
    """A URL on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """A client of a server made in this process from the text of a config."""

    @asynccontextmanager
    async def connected(config: str, mode: str = "auto") -> AsyncIterator[Client]:
        if "[files]" not in config:
            config += f"\n[files]\nsave_to = ['{tmp_path}']\n"
        if "[archive]" not in config:
            config += f"\n[archive]\npath = '{tmp_path / 'archive'}'\n"
        if "[durable]" not in config:
            config += f"\n[durable]\npath = '{tmp_path / 'deliveries.sqlite'}'\nanswer_within_seconds = 20\n"
        if "[audit]" not in config:
            config += f"\n[audit]\nfile = '{tmp_path / 'audit.jsonl'}'\n"
        read = parse_config(config)
        server = build_server(read.lab(), policy_of(read), read.folders(), audit=read.audit_logger())
        with one_error():
            async with Client(server, mode=mode) as client:
                yield client

    return connected


@pytest.fixture
def command() -> list[str]:
    """What starts `testlab-mcp`."""
    return server_command()


@pytest.fixture
def spawn(tmp_path: Path, command: list[str]) -> Connect:
    """A client of `testlab-mcp serve` as a process of its own, over stdio."""

    @asynccontextmanager
    async def spawned(config: str, mode: str = "auto") -> AsyncIterator[Client]:
        if "[archive]" not in config:
            config += f"\n[archive]\npath = '{tmp_path / 'archive'}'\n"
        if "[durable]" not in config:
            config += f"\n[durable]\npath = '{tmp_path / 'deliveries.sqlite'}'\nanswer_within_seconds = 20\n"
        if "[audit]" not in config:
            config += f"\n[audit]\nfile = '{tmp_path / 'audit.jsonl'}'\n"
        path = tmp_path / "config.toml"
        path.write_text(config, encoding="utf-8")
        program, *arguments = command
        server = StdioServerParameters(command=program, args=[*arguments, "serve", "--config", str(path)])
        with one_error():
            async with Client(server, mode=mode) as client:
                yield client

    return spawned


@contextmanager
def one_error() -> Iterator[None]:
    """A failed assertion inside a client comes out of its task groups as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


@pytest.fixture
def text_of() -> Callable[[CallToolResult], str]:
    """The text blocks of a result, joined."""
    return lambda result: "\n".join(b.text for b in result.content if isinstance(b, TextContent))


@pytest.fixture
def ask(text_of: Callable[[CallToolResult], str]) -> ToolCaller:
    """Call a tool that must succeed, and return its structured answer; its text says the same."""

    async def call(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, text_of(result)
        assert result.structured_content is not None
        assert read_answer(text_of(result)) == result.structured_content
        return result.structured_content

    return call


@pytest.fixture
def refused(text_of: Callable[[CallToolResult], str]) -> RefusedCaller:
    """Call a tool that must fail, and return what it says; its structure says the same."""

    async def call(client: Client, tool: str, **arguments: object) -> str:
        result = await client.call_tool(tool, arguments)
        assert result.is_error, text_of(result)
        assert result.structured_content is not None
        error = result.structured_content["error"]
        assert error["what"], "some clients show the model the structure alone"
        assert all(part in text_of(result) for part in error.values())
        return text_of(result)

    return call


@pytest.fixture
def word_for(refused: RefusedCaller) -> RefusedCaller:
    """What agrees to a call where the client cannot ask: the word in its refusal."""

    async def asked(client: Client, tool: str, **arguments: object) -> str:
        told = await refused(client, tool, **arguments)
        found = re.search(r"call again with confirm='([^']+)'", told)
        assert found, told
        return found[1]

    return asked


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as ever, without the pauses between them."""
    monkeypatch.setattr("testlab_tools.http.policy.RetryPolicy.backoff", lambda self, attempt: 0.0)


@pytest.fixture(scope="module")
def url(sim: SimLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over HTTP: a process of its own, on the simulated lab."""
    path: Path = tmp_path_factory.mktemp("http") / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    with serve_over_http(path) as at:
        yield at
