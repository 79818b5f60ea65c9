"""The MCP server: the exposed tools of a lab, its resources, prompts and completions, over the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver import server as sdk_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    Resource,
    ResourceTemplate,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl

from testlab_mcp import __version__
from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.access.http_security import HttpSecurity
from testlab_mcp.access.policy import Policy, exposed_tools
from testlab_mcp.access.scopes import ScopeCache
from testlab_mcp.audit.log import AuditLogger
from testlab_mcp.logs import set_up_logging
from testlab_mcp.protocol.admission import Admission
from testlab_mcp.protocol.availability import current_availability
from testlab_mcp.protocol.call_telemetry import CallTelemetry
from testlab_mcp.protocol.completion import Completer
from testlab_mcp.protocol.prompts import list_prompts, write_prompt
from testlab_mcp.protocol.resources import list_resources, list_templates, read_resource
from testlab_mcp.protocol.service_names import INSTRUCTIONS
from testlab_mcp.protocol.skills import FRESH_MS, Skills
from testlab_mcp.protocol.subscriptions import Subscriptions
from testlab_mcp.protocol.tasks.extension import Tasks
from testlab_mcp.protocol.tool import LabTool, LabTools
from testlab_mcp.startup.early import Early
from testlab_mcp.stdio import serve_stdio
from testlab_tools.files.folders import Folders
from testlab_tools.files.transfers import MEGA
from testlab_tools.lab import Lab
from testlab_tools.leases.keeper import LeaseKeeper
from testlab_tools.telemetry import switch_on
from testlab_tools.tools import all_tools


def _leave_logging_alone(level: object = None) -> None:
    """In place of the SDK's own, which imports rich where it is installed, to log local variables too."""


LISTS: tuple[CacheableMethod, ...] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
)
FRESH = CacheHint(ttl_ms=FRESH_MS, scope="private")
"""Of lists: they differ by caller, and change when the server starts anew. What is read of the lab is stale at once."""

sdk_server.configure_logging = _leave_logging_alone  # pyright: ignore[reportPrivateImportUsage]


class LabServer(MCPServer[None]):
    """A server whose resources, prompts and completions are those available to the caller.

    The SDK makes resources and prompts of functions, with one MIME type per template and errors of its own; its public
    methods are overridden instead, so nothing is built before somebody asks.
    """

    def __init__(self, name: str, listeners: Subscriptions, tools: LabTools, **options: Any) -> None:
        super().__init__(name, subscriptions=False, **options)
        self._tool_manager = tools
        self.listeners = listeners
        self.completion()(Completer())
        handle = self._lowlevel_server.add_request_handler
        handle("subscriptions/listen", SubscriptionsListenRequestParams, listeners.listen)
        handle("resources/subscribe", SubscribeRequestParams, listeners.subscribe)
        handle("resources/unsubscribe", UnsubscribeRequestParams, listeners.unsubscribe)

    async def run_stdio_async(self, early: Early | None = None) -> None:
        """Serve over standard input and output until either ends. `early` has given the first answers."""
        await serve_stdio(self._lowlevel_server, early)

    def find_tool(self, name: str) -> LabTool:
        """A tool that is exposed."""
        return cast(LabTool, self._tool_manager.get_tool(name))

    async def answer_call(
        self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        """Answer a call that has been admitted. Raises MCPError."""
        return await self._handle_call_tool(ctx, params)

    async def list_resources(self) -> list[Resource]:
        """The resources that have a URI of their own."""
        return list_resources(current_availability())

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """The templates whose tool is exposed."""
        return list_templates(current_availability())

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents]:
        """The contents behind a URI. Raises MCPError."""
        return await read_resource(current_availability(), str(uri))

    async def list_prompts(self) -> list[Prompt]:
        """The prompts whose tools are exposed."""
        return list_prompts(current_availability())

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult:
        """A prompt's messages. Raises MCPError."""
        return await write_prompt(current_availability(), name, arguments or {})


def _make_keeper(lab: Lab, scopes: ScopeCache, audit: AuditLogger, over_http: bool) -> LeaseKeeper | None:
    """What gives back reservations at the services that this server has a token of its own for."""
    if lab.reservations.store is None:
        return None
    shared = [service for service in scopes.services if service.name not in scopes.callers_own]
    return LeaseKeeper(lab.reservations.store, shared, lab.idle_s, over_http, audit.write_ending)


def _make_lifespan(
    lab: Lab, scopes: ScopeCache, guard: RequestGuard, audit: AuditLogger, tasks: Tasks | None, over_http: bool
) -> Callable[[MCPServer[None]], AbstractAsyncContextManager[None]]:
    """What begins and ends with the server."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncGenerator[None, None]:
        if lab.outbox is not None:
            lab.outbox.resume()
        restoring = asyncio.ensure_future(scopes.restore_ownership())
        keeper = _make_keeper(lab, scopes, audit, over_http)
        try:
            if keeper is not None:
                keeper.start()
            yield
        finally:
            restoring.cancel()
            if tasks is not None:
                await tasks.aclose()
            if keeper is not None:
                await keeper.aclose()
            await audit.aclose()
            await guard.aclose()
            await lab.aclose()

    return lifespan


def build_server(
    lab: Lab,
    policy: Policy,
    files: Folders,
    security: HttpSecurity | None = None,
    audit: AuditLogger | None = None,
    measured: bool = False,
) -> LabServer:
    """A server of the tools that `policy` exposes over the services of `lab`. Over HTTP, `security` knows the callers
    and bounds their calls. `audit` records the calls; they are traced and counted if `measured`."""
    over_http = security is not None
    security, audit = security or HttpSecurity(), audit or AuditLogger()
    tools = all_tools()
    http = security.http
    scopes = ScopeCache(lab, files, security.connect, http.transfers_per_caller, http.megabytes_per_caller * MEGA)
    guard = RequestGuard(scopes, policy, tools, http)

    tasks = Tasks(lab.work.engine, guard) if lab.work is not None else None
    set_up_logging()
    server = LabServer(
        "testlab",
        Subscriptions(lab.watcher, guard, tasks),
        LabTools(exposed_tools(tools, scopes.services, policy), lambda tool: LabTool.of(tool, guard, audit)),
        title="Test lab",
        instructions=INSTRUCTIONS,
        version=__version__,
        lifespan=_make_lifespan(lab, scopes, guard, audit, tasks, over_http),
        middleware=[Admission(guard, audit, tools)],
        extensions=[Skills(), *([tasks] if tasks is not None else [])],
        cache_hints=dict.fromkeys(LISTS, FRESH),
        log_level="WARNING",
        auth=security.token_verifier.settings if security.token_verifier else None,
        token_verifier=security.token_verifier,
        request_state_security=security.request_state,
    )
    if tasks is not None:
        tasks.server = server
    # The first is the SDK's own tracing.
    server.middleware[:1] = [CallTelemetry([tool.name for tool in tools])] if measured else []
    if measured:
        switch_on()
    return server
