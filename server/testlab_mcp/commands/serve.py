"""`testlab-mcp serve`: MCP over stdio or Streamable HTTP."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import FrameType

import anyio

from testlab_mcp.access.policy import Policy
from testlab_mcp.config.config import Config
from testlab_mcp.config.loading import find_config, load_config, parse_config
from testlab_mcp.startup.early import Early
from testlab_tools.errors import ConfigError


def serve(
    config_file: str, demo: bool, http: str, folder: str = "", pictures: bool = True, early: Early | None = None
) -> int:
    """Serve until standard input closes (stdio) or a signal comes; without `pictures`, no answer holds an image. Over
    stdio, `early` gives the first answers meanwhile.

    Raises:
        ConfigError: the config or the address is wrong; nothing was served.
    """
    if demo and config_file:
        raise ConfigError("--demo and --config exclude each other", "", "--demo brings its own lab.")
    if folder and (demo or config_file):
        other = "--demo" if demo else "--config"
        raise ConfigError(f"--folder and {other} exclude each other", "", "A folder is a lab of its own.")
    host, port = _address(http) if http else ("", 0)
    with ExitStack() as stack:
        read = read_folder(folder) if folder else start_simlab(stack) if demo else read_config(config_file)
        # The SDK takes half a second to import: the simulated lab starts meanwhile.
        from testlab_mcp.protocol.server import build_server
        from testlab_mcp.telemetry import is_measured, start_telemetry

        config = read()
        lab = config.lab()
        policy = policy_of(config)
        policy = replace(policy, pictures=policy.pictures and pictures)
        if http:
            from testlab_mcp.metrics_page import check_page

            check_page(config.http, config.signs_in)
        telemetry = start_telemetry(lab, page=bool(http) and config.http.metrics)
        if telemetry is not None:
            stack.callback(telemetry.stop)
        measured = is_measured(telemetry)
        made = partial(build_server, lab, policy, config.folders(), audit=config.audit_logger(), measured=measured)
        gc.freeze()
        gc.enable()
        if http:
            from testlab_mcp.access.http_security import HttpSecurity
            from testlab_mcp.http import check_address, serve_http

            check_address(host, config.http, config.signs_in)
            security = HttpSecurity.from_config(config)
            signal.signal(signal.SIGTERM, _unwind)
            registry = telemetry.registry if telemetry is not None else None
            serve_http(made(security), lab, security, host, port, registry)
        else:
            anyio.run(made().run_stdio_async, early)
    return 0


def _unwind(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal again once it has stopped; by default that would end this process before the lab."""
    sys.exit(0)


def policy_of(config: Config) -> Policy:
    """The exposure policy that a config states."""
    server = config.server
    policy = Policy.from_table(server.access, server.toolsets, server.allow, server.deny)
    return replace(policy, unasked=server.unasked, pictures=server.pictures)


def read_config(config_file: str) -> Callable[[], Config]:
    config = load_config(find_config(config_file))
    return lambda: config


def read_folder(folder: str) -> Callable[[], Config]:
    from testlab_mcp.commands.folder import folder_config

    config = folder_config(folder)
    return lambda: config


def start_simlab(stack: ExitStack) -> Callable[[], Config]:
    """Start the simulated lab, and return what reads its config; the lab need not answer before that."""
    from testlab_mcp.commands.simlab import SimLab

    sim = stack.enter_context(SimLab(early=True))
    return lambda: parse_config(sim.config_toml(archive=True))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError("--http takes HOST:PORT", "", "For example 127.0.0.1:8000.")
    return host.strip("[]"), int(port)
