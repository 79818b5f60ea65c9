"""MCP over Streamable HTTP, with `/healthz` and `/readyz`. Old protocol revisions and 2026-07-28 share one path."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_mcp.access.callers import LOCAL, STRANGER, caller_of
from testlab_mcp.access.gate import Gate
from testlab_mcp.access.hosts import names
from testlab_mcp.access.readiness import Readiness, ready
from testlab_mcp.access.sign_in import SCOPES
from testlab_tools.errors import ConfigError
from testlab_tools.lab import Lab

PATH = "/mcp"
STOP_SECONDS = 3
BACKLOG = 2048
IDLE_SECONDS = 75
"""Longer than clients keep an idle connection: who closes first must not be us, as a request may be on its way."""


def http_app(server: MCPServer[None], lab: Lab, gate: Gate, host: str) -> Starlette:
    """The ASGI application. Neither health route says more to who has not signed in than whether."""
    readiness = Readiness(list(lab.services.values()), gate.connect)

    @server.custom_route("/healthz", methods=["GET"], include_in_schema=False)
    async def healthz(_: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok"})

    @server.custom_route("/readyz", methods=["GET"], include_in_schema=False)
    async def readyz(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        states = await readiness.states()
        well, caller = ready(states), caller_of(request)
        body: dict[str, Any] = {"status": "ready" if well else "not ready"}
        if caller not in (LOCAL, STRANGER):
            within = caller.policy.services if caller.policy else None
            body["services"] = {name: state for name, state in states.items() if within is None or name in within}
        return JSONResponse(body, 200 if well else 503)

    app = server.streamable_http_app(streamable_http_path=PATH, host=host, transport_security=names(host, gate.http))
    auth = server.settings.auth
    if auth is not None and auth.resource_server_url is not None:
        # The SDK's own would name only the scope that all need, and clients ask for those named.
        app.router.routes[:0] = create_protected_resource_routes(
            auth.resource_server_url, [auth.issuer_url], list(SCOPES)
        )
    return app


def serve_http(server: MCPServer[None], lab: Lab, gate: Gate, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Says on stderr where, once it listens (port 0 takes a free one)."""
    app = http_app(server, lab, gate, host)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        lifespan="on",
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where the protocol is named; with it on, each answer waits 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            raise ConfigError(
                f"{host}:{port} cannot be served on ({error.strerror})", "", "Take another port."
            ) from None
        bound = listener.getsockname()[1]
        print(f"testlab-mcp serves http://{host}:{bound}{PATH}", file=sys.stderr, flush=True)
        uvicorn.Server(config).run(sockets=[listener])
