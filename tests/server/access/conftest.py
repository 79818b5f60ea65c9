"""Fixtures of the access tests: servers over real HTTP in a thread of this process, and clients that sign in."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from testlab_mcp.access.callers import digest_token
from testlab_mcp.access.http_security import HttpSecurity
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import parse_config
from testlab_mcp.http import http_app
from testlab_mcp.protocol.server import build_server

Serve = Callable[[str], str]
EVERYTHING = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'


def token_of(name: str) -> str:
    """A caller's token, the same in every test."""
    return f"tlm_of-{name}-and-nobody-else"


def table_of(name: str, **keys: object) -> str:
    """A caller's table of the config. Python's literals for texts and lists of them are TOML's as well."""
    lines = [f"{key} = {value!r}" for key, value in {"token_sha256": digest_token(token_of(name)), **keys}.items()]
    return "\n".join([f"[callers.{name}]", *lines, ""])


@contextmanager
def served(config: str) -> Iterator[str]:
    """A server of a config on a port of its own, in a thread; gives its URL."""
    read = parse_config(config)
    lab, security = read.lab(), HttpSecurity.from_config(read)
    server = build_server(lab, policy_of(read), read.folders(), security, read.audit_logger())
    app = http_app(server, lab, security, "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served_by = uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1)
        )
        thread = Thread(target=served_by.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            served_by.should_exit = True
            thread.join()


@asynccontextmanager
async def signed_in(
    url: str, who: str = "", mode: str = "auto", headers: Mapping[str, str] = {}, **client: Any
) -> AsyncIterator[Client]:
    """An MCP client that sends a caller's token, or another header of one's own."""
    sent = {**({"Authorization": f"Bearer {token_of(who)}"} if who else {}), **headers}
    try:
        async with (
            httpx2.AsyncClient(headers=sent, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode, **client) as connected,
        ):
            yield connected
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a config until the test ends."""
    with ExitStack() as stack:

        def start(config: str) -> str:
            if "[files]" not in config:
                config += f"\n[files]\nsave_to = ['{tmp_path / 'files'}']\n"
            if "[durable]" not in config:
                config += f"\n[durable]\npath = '{tmp_path / 'deliveries.sqlite'}'\nanswer_within_seconds = 20\n"
            return stack.enter_context(served(config))

        yield start


class Desk:
    """What the tests share: how a server is configured, served and signed in at."""

    everything = EVERYTHING
    token_of = staticmethod(token_of)
    table_of = staticmethod(table_of)
    served = staticmethod(served)
    signed_in = staticmethod(signed_in)


@pytest.fixture(scope="session")
def desk() -> Desk:
    """As Desk."""
    return Desk()
