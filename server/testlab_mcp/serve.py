"""`testlab-mcp serve`: MCP over stdio or Streamable HTTP."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import anyio

from testlab_mcp.config import Config, find_config, load_config, parse_config
from testlab_mcp.exposure import Policy
from testlab_tools.errors import ConfigError
from testlab_tools.lab import Lab

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def serve(config_file: str, demo: bool, http: str) -> int:
    """Serve until standard input closes (stdio) or a signal comes (HTTP).

    Raises:
        ConfigError: the config or the address is wrong; nothing was served.
    """
    if demo and config_file:
        raise ConfigError("--demo and --config exclude each other", "", "--demo brings its own lab.")
    host, port = _address(http) if http else ("", 0)
    with ExitStack() as stack:
        read = _starting(stack) if demo else _reading(config_file)
        # The SDK takes half a second to import: the simulated lab starts meanwhile.
        from testlab_mcp.app import build_server

        config = read()
        lab = config.lab()
        made = partial(build_server, lab, policy_of(config), config.folders(), clerk=config.clerk())
        if http:
            from testlab_mcp.access.gate import Gate
            from testlab_mcp.access.hosts import check_address
            from testlab_mcp.streamable import serve_http

            check_address(host, config.http, config.signs_in)
            gate = Gate.of(config)
            signal.signal(signal.SIGTERM, _unwind)
            serve_http(made(gate), lab, gate, host, port)
        else:
            anyio.run(_serve_stdio, made(), lab, stack)
    return 0


async def _serve_stdio(server: MCPServer[None], lab: Lab, stack: ExitStack) -> None:
    """Until standard input closes or a signal comes; either way the reservations made here are released."""
    async with anyio.create_task_group() as group:
        group.start_soon(_stop_on_signal, lab, stack)
        await server.run_stdio_async()
        group.cancel_scope.cancel()


async def _stop_on_signal(lab: Lab, stack: ExitStack) -> None:
    """The SDK reads standard input in a thread that nothing can interrupt, so the process ends from here."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await lab.aclose()
            stack.close()
            os._exit(0)


def _unwind(number: int, frame: FrameType | None) -> None:
    """uvicorn, once it has stopped, raises the signal anew; the default would end us before the simulated lab."""
    sys.exit(0)


def policy_of(config: Config) -> Policy:
    """The exposure policy that a config states."""
    server = config.server
    return Policy.of(server.access, server.toolsets, server.allow, server.deny)


def _reading(config_file: str) -> Callable[[], Config]:
    config = load_config(find_config(config_file))
    return lambda: config


def _starting(stack: ExitStack) -> Callable[[], Config]:
    """Start the simulated lab; the config can be had once it answers."""
    from testlab_mcp.simlab import SimLab

    sim = stack.enter_context(SimLab())
    return lambda: parse_config(sim.config_toml())


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError("--http takes HOST:PORT", "", "For example 127.0.0.1:8000.")
    return host.strip("[]"), int(port)
