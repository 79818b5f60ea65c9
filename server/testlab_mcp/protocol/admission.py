"""Which requests of a caller are answered: a middleware in front of the SDK's handlers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, INVALID_REQUEST
from pydantic import BaseModel

from testlab_mcp.access.callers import Caller, caller_of
from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.audit.log import AuditLogger
from testlab_mcp.protocol.availability import Availability, ToolUnavailable, find_tool, use_availability
from testlab_mcp.protocol.prompts import PROMPTS
from testlab_mcp.protocol.resources import find_tool_behind
from testlab_mcp.protocol.results import to_refusal_result
from testlab_mcp.protocol.service_names import describe_services, name_services
from testlab_tools.registry import ToolSpec

COMPLETE = "completion/complete"
"""Sent as the user types, and counted apart from calls."""
GREETINGS = frozenset({"initialize", "server/discover"})
READS = frozenset({"resources/read", "prompts/get", "skills/get"})
LISTEN = "subscriptions/listen"
"""Answered for as long as the client listens, and so not counted among calls at once."""
LISTENS = frozenset({LISTEN, "resources/subscribe"})
LISTS = frozenset({"resources/list", "resources/templates/list", "prompts/list", "skills/list"})
SCOPED = frozenset({*READS, *LISTENS, *LISTS, COMPLETE})
"""Requests that are answered from the caller's `Availability`; calls of tools enter its scope by themselves."""


class Admission:
    """Lists to each caller its own tools, and refuses what it may not call or calls too often; refusals are audited."""

    def __init__(self, guard: RequestGuard, audit: AuditLogger, tools: Sequence[ToolSpec]) -> None:
        self._guard = guard
        self._audit = audit
        self._tools = {tool.name: tool for tool in tools}

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Answer a request, or refuse it. Raises MCPError for an unknown tool, and for a refused read."""
        caller = caller_of(ctx.request)
        if ctx.method in GREETINGS:
            instructions = describe_services(self._guard.visible_services(caller))
            greeting = _without_list_changes(_to_json(await call_next(ctx)))
            return {**greeting, "instructions": instructions}
        if ctx.method == "tools/list":
            return _filter_tools(_to_json(await call_next(ctx)), self._guard.services_by_tool(caller))
        if ctx.method in SCOPED:
            await self._check_rate(ctx, caller)
            with nullcontext() if ctx.method == LISTEN else self._guard.counted(caller):
                return await self._answer_scoped(ctx, call_next, caller)
        name = (ctx.params or {}).get("name") if ctx.method == "tools/call" else None
        if name is None:
            return await call_next(ctx)
        if isinstance(name, str) and (text := self._refuse_call(caller, name)):
            await self._audit.write_refusal(
                self._tools[name], (ctx.params or {}).get("arguments"), caller.name, ctx.session
            )
            return to_refusal_result(text)
        with self._guard.counted(caller):
            return await call_next(ctx)

    def _refuse_call(self, caller: Caller, name: str) -> str:
        """Why a call is refused; empty when it goes ahead. Raises MCPError for an unknown tool."""
        text = self._guard.rate_refusal(caller)
        if name in self._tools:
            why = self._guard.refusal(caller, name)
            return text or (f"Not allowed: {why}" if why else "")
        if text:
            raise MCPError(INVALID_REQUEST, text)
        raise MCPError(INVALID_PARAMS, self._guard.unknown_tool(caller, name))

    async def _answer_scoped(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, caller: Caller
    ) -> HandlerResult:
        async with self._guard.enter(ctx.request, _ignore_progress) as call:
            audited = partial(self._audit.call, who=caller.name, session=ctx.session)
            with use_availability(Availability(call, partial(self._guard.refusal, caller), audited)):
                try:
                    return await call_next(ctx)
                except ToolUnavailable as error:
                    await self._audit.write_refusal(find_tool(error.tool), ctx.params, caller.name, ctx.session)
                    raise

    async def _check_rate(self, ctx: ServerRequestContext[Any, Any], caller: Caller) -> None:
        if ctx.method == COMPLETE and (text := self._guard.rate_refusal(caller, COMPLETE)):
            raise MCPError(INVALID_REQUEST, text)
        if ctx.method in READS | LISTENS and (text := self._guard.rate_refusal(caller)):
            if tool := _find_needed_tool(ctx.method, ctx.params or {}):
                await self._audit.write_refusal(find_tool(tool), ctx.params, caller.name, ctx.session)
            raise MCPError(INVALID_REQUEST, text)


def _find_needed_tool(method: str, params: Mapping[str, Any]) -> str:
    """The tool whose right a read needs first; empty where it needs none, or what is to be read does not exist."""
    if method != "prompts/get":
        return find_tool_behind(str(params.get("uri", "")))
    return next((prompt.needs[0] for prompt in PROMPTS if prompt.name == params.get("name")), "")


def _filter_tools(result: dict[str, Any], able: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The tools that the caller has, `able` of which names the services that can do each."""
    listed = [tool for tool in result["tools"] if tool["name"] in able]
    tools = [{**tool, "inputSchema": name_services(tool["inputSchema"], able[tool["name"]])} for tool in listed]
    return {**result, "tools": tools}


def _without_list_changes(greeting: dict[str, Any]) -> dict[str, Any]:
    """A greeting that does not declare what never happens: nothing that is listed here changes."""
    declared = {
        name: {**facts, "listChanged": False} if "listChanged" in facts else facts
        for name, facts in greeting.get("capabilities", {}).items()
    }
    return {**greeting, "capabilities": declared}


def _to_json(result: HandlerResult) -> dict[str, Any]:
    """A result as it is sent; the SDK's middleware may get it as a model."""
    if isinstance(result, BaseModel):
        return result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return result or {}


async def _ignore_progress(done: float, total: float | None = None, words: str | None = None) -> None:
    """Nobody watches the progress of a read."""
