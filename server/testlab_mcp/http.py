"""MCP over Streamable HTTP, with `/healthz` and `/readyz`: addresses and names, readiness, sessions, transport."""

from __future__ import annotations

import asyncio
import math
import socket
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import uvicorn
from mcp.server import streamable_http_manager
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_mcp import metrics_page
from testlab_mcp.access.authentication import SCOPES
from testlab_mcp.access.callers import ANONYMOUS, LOCAL, caller_of
from testlab_mcp.access.http_security import HttpSecurity
from testlab_mcp.config.settings import LOOPBACK, HttpSettings
from testlab_mcp.http_session import HttpSession
from testlab_mcp.metrics_page import MetricsPage
from testlab_mcp.protocol.server import LabServer
from testlab_tools.capabilities import Service
from testlab_tools.errors import AuthError, ConfigError, LabError
from testlab_tools.fanout import ask_all
from testlab_tools.lab import Lab

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def check_address(host: str, http: HttpSettings, sign_in: bool) -> None:
    """Raises ConfigError for an address that other machines can reach without sign-in or a public name."""
    if host in LOOPBACK:
        if http.public_url and not sign_in:
            raise ConfigError(
                "[http] public_url is set, and nobody would have to sign in",
                "Whoever reaches that address could do all that this server may",
                "Add [callers.…] (testlab-mcp token new NAME) or [http.oauth], or take public_url out.",
            )
        return
    if not sign_in:
        why, todo = "There is no sign-in in the config", "add [callers.…] (testlab-mcp token new NAME) or [http.oauth]"
    elif not http.public_url:
        why, todo = "The name that callers know it by is not in the config", "set [http] public_url"
    else:
        return
    raise ConfigError("--http serves on this machine only", why, f"Use 127.0.0.1:PORT, or {todo}.")


def allowed_names(host: str, http: HttpSettings) -> TransportSecuritySettings:
    """The Host and Origin headers to accept: the public name's, and this machine's on a loopback address."""
    hosts: list[str] = []
    origins = list(http.allowed_origins)
    if host in LOOPBACK:
        hosts += [f"{name}:*" for name in ("127.0.0.1", "localhost", "[::1]")]
        origins += [f"http://{name}" for name in hosts]
    if http.public_url:
        url = urlsplit(http.public_url)
        name = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
        usual = 443 if url.scheme == "https" else 80
        port = url.port or usual
        hosts += [f"{name}:{port}"] + ([name] if port == usual else [])
        origins += [f"{url.scheme}://{name}" + ("" if port == usual else f":{port}")]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)


PROBE_S = 2.0
CACHE_S = 5.0

State = Literal["ok", "no token", "refused", "down", "with a caller's token"]


class Readiness:
    """Probes the services, at most every CACHE_S; not those that take a caller's token."""

    def __init__(self, services: Collection[Service], callers_own: Collection[str]) -> None:
        self._services = services
        self._callers_own = callers_own
        self._lock = asyncio.Lock()
        self._known: dict[str, State] = {}
        self._known_at = float("-inf")

    async def states(self) -> dict[str, State]:
        """The state of each service, at most CACHE_S old."""
        async with self._lock:
            if time.monotonic() - self._known_at > CACHE_S:
                own = [service for service in self._services if service.name not in self._callers_own]
                answers = await ask_all(own, lambda service: service.probe(), PROBE_S)
                self._known = {s.name: self._state(s.name, answers.failed.get(s.name)) for s in self._services}
                self._known_at = time.monotonic()
            return self._known

    def _state(self, service: str, error: LabError | None) -> State:
        if service in self._callers_own:
            return "with a caller's token"
        match error:
            case None:
                return "ok"
            case ConfigError():
                return "no token"
            case AuthError():
                return "refused"
            case _:
                return "down"


def is_ready(states: dict[str, State]) -> bool:
    """Whether any service can be used: tools report the outage of a single service themselves."""
    return not states or any(state in ("ok", "with a caller's token") for state in states.values())


_Admit = Callable[[AuthorizationContext | None], StreamableHTTPServerTransport | None]


def limit_sessions(manager: StreamableHTTPSessionManager, most: int) -> None:
    """Limit each caller's sessions (protocol revisions before 2026-07-28) to `most`: a new one ends the idlest. 0 is no
    limit; the SDK limits only those of all callers together.

    A caller none of whose sessions is idle gets HTTP 503 for another, as beyond the SDK's own limit.
    """
    inner: Any = manager
    admit: _Admit = inner._admit_session

    def bounded(requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        if requestor is not None and most:
            sessions: dict[str, StreamableHTTPServerTransport] = inner._server_instances
            owners: dict[str, AuthorizationContext] = inner._session_owners
            theirs = [
                session
                for name, session in sessions.items()
                if _is_same_caller(owners.get(name), requestor) and not _is_ending(session)
            ]
            if len(theirs) >= most and not _end_idlest(theirs):
                return None
        return admit(requestor)

    inner._admit_session = bounded


def _is_same_caller(owner: AuthorizationContext | None, other: AuthorizationContext) -> bool:
    """Whether both are the same caller, perhaps with different clients."""
    if owner is None:
        return False
    who = "subject" if other["subject"] else "client_id"
    return (owner["issuer"], owner[who]) == (other["issuer"], other[who])


def _is_ending(session: StreamableHTTPServerTransport) -> bool:
    return session.idle_scope is not None and session.idle_scope.cancel_called


def _end_idlest(sessions: Sequence[StreamableHTTPServerTransport]) -> bool:
    """End the session whose last request was answered longest ago. False when each is answering a request."""
    scopes = [idle for session in sessions if (idle := session.idle_scope) and idle.deadline < math.inf]
    idlest = min(scopes, key=lambda scope: scope.deadline, default=None)
    if idlest is None:
        return False
    idlest.cancel()
    return True


streamable_http_manager.StreamableHTTPServerTransport = HttpSession  # pyright: ignore[reportPrivateImportUsage]

PATH = "/mcp"
STOP_SECONDS = 3
BACKLOG = 2048
IDLE_SECONDS = 75
"""Longer than clients keep an idle connection: the server must not close it while a request is on its way."""


def http_app(
    server: MCPServer[None],
    lab: Lab,
    security: HttpSecurity,
    host: str,
    registry: CollectorRegistry | None = None,
) -> Starlette:
    """The ASGI application, with `/metrics` of a registry. To a caller who has not signed in, the health routes give a
    status only."""
    readiness = Readiness(lab.services.values(), security.connect)

    @server.custom_route("/healthz", methods=["GET"], include_in_schema=False)
    async def healthz(_: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok"})

    @server.custom_route("/readyz", methods=["GET"], include_in_schema=False)
    async def readyz(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        states = await readiness.states()
        up, caller = is_ready(states), caller_of(request)
        body: dict[str, Any] = {"status": "ready" if up else "not ready"}
        if caller not in (LOCAL, ANONYMOUS):
            body["services"] = {name: state for name, state in states.items() if caller.may_use(name)}
        return JSONResponse(body, 200 if up else 503)

    names = allowed_names(host, security.http)
    if registry is not None:
        page = MetricsPage(registry, security.http, names)
        server.custom_route(metrics_page.PATH, methods=["GET"], include_in_schema=False)(page.show)
    app = server.streamable_http_app(streamable_http_path=PATH, host=host, transport_security=names)
    limit_sessions(server.session_manager, security.http.sessions_per_caller)
    auth = server.settings.auth
    if auth is not None and auth.resource_server_url is not None:
        # The SDK's route names only the required scope, and clients request the scopes that it names.
        app.router.routes[:0] = create_protected_resource_routes(
            auth.resource_server_url, [auth.issuer_url], list(SCOPES)
        )
    return app


class _Server(uvicorn.Server):
    """Ends the streams that would otherwise stay open when it is told to stop."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def serve_http(
    server: LabServer,
    lab: Lab,
    security: HttpSecurity,
    host: str,
    port: int,
    registry: CollectorRegistry | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Prints the address on stderr once it listens (port 0 takes a free port)."""
    app = http_app(server, lab, security, host, registry)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        lifespan="on",
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for a socket with a named protocol; with it, each answer takes 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            what = f"{host}:{port} cannot be served on ({error.strerror})"
            raise ConfigError(what, "", "Take another port.") from None
        bound = listener.getsockname()[1]
        print(f"testlab-mcp serves http://{host}:{bound}{PATH}", file=sys.stderr, flush=True)
        _Server(config, server.listeners.close).run(sockets=[listener])
