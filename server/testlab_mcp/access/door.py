"""The door to the lab: each request's caller, which tools it may call and how often, and the room it is let into."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from mcp.server.mcpserver import Context

from testlab_mcp.access.brought import brought
from testlab_mcp.access.callers import LOCAL, Caller, caller_of
from testlab_mcp.access.rates import Rates
from testlab_mcp.access.rooms import Rooms
from testlab_mcp.exposure import Policy, exposed, reach, refusal
from testlab_tools.registry import Call, ToolSpec
from testlab_tools.watch import Progress


class Door:
    """Of one server: its rooms, the deployment's policy, and the bound on calls."""

    def __init__(self, rooms: Rooms, policy: Policy, tools: Sequence[ToolSpec], rates: Rates | None = None) -> None:
        self._rooms = rooms
        self._policy = policy
        self._tools = {tool.name: tool for tool in tools}
        self._rates = rates or Rates(0)

    def listed(self, caller: Caller) -> list[str]:
        """Names of the tools that the caller may see and call, in the catalog's order."""
        found = exposed(self._tools.values(), self._rooms.services, self._policy, caller.policy)
        return [tool.name for tool in found]

    def turned_away(self, caller: Caller, tool: str) -> str:
        """Why a call goes no further, in a sentence or two; empty when it does. A call let through is counted."""
        if text := self.too_many(caller):
            return text
        if tool not in self._tools:
            return self._no_such_tool(caller, tool)
        why = self.refusal(caller, tool)
        return f"Not allowed: {why}" if why else ""

    def too_many(self, caller: Caller, apart: str = "") -> str:
        """Why a request of this caller has to wait; empty when it has not. One that has not is counted, with calls or,
        of a sort named by `apart`, by itself."""
        if caller == LOCAL or not (wait := self._rates.wait_s(f"{caller.name} {apart}".strip())):
            return ""
        most = f"[http] calls_per_minute allows each caller {self._rates.per_minute}"
        return f"Too many calls: {most}. Call again in {wait} s."

    def refusal(self, caller: Caller, tool: str) -> str:
        """Why a caller has not a tool of the catalog, by its name; empty when it has. Nothing is counted."""
        return refusal(self._tools[tool], self._rooms.services, self._policy, caller.policy)

    @asynccontextmanager
    async def call(self, context: Context[Any, Any]) -> AsyncGenerator[Call]:
        """The call of a tool by whoever made the request, in its room."""
        async with self.enter(context.request_context.request, context.report_progress) as call:
            yield call

    @asynccontextmanager
    async def enter(self, request: Any, progress: Progress) -> AsyncGenerator[Call]:
        """What handlers are given, for an HTTP request or None."""
        caller = caller_of(request)
        access, raising = reach(self._policy, caller.policy)
        async with self._rooms.enter(caller, brought(request, self._rooms.callers_own)) as room:
            yield Call(room.lab, room.files, progress, access, raising, caller.name)

    async def aclose(self) -> None:
        """Close the rooms."""
        await self._rooms.aclose()

    def _no_such_tool(self, caller: Caller, name: str) -> str:
        listed = self.listed(caller)
        near = get_close_matches(name, listed, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(listed)}."
        return f"There is no such tool. {hint}"
