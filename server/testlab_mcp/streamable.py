"""MCP over Streamable HTTP, with `/healthz`. Old protocol revisions and 2026-07-28 share one path."""

from __future__ import annotations

import socket
import sys

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_tools.errors import ConfigError

PATH = "/mcp"
STOP_SECONDS = 3
BACKLOG = 2048
IDLE_SECONDS = 75
"""Longer than clients keep an idle connection: who closes first must not be us, as a request may be on its way."""


def serve_http(server: MCPServer[None], host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM. Says on stderr where, once it listens (port 0 takes a free one)."""

    @server.custom_route("/healthz", methods=["GET"], include_in_schema=False)
    async def healthz(_: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok"})

    app = server.streamable_http_app(streamable_http_path=PATH, host=host)
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
