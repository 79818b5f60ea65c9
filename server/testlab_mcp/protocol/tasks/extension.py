"""The extension itself: its methods, and the calls that may become tasks. Everything else is imported at the first."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types import HEADER_MISMATCH, INVALID_REQUEST, CallToolRequestParams, RequestParams
from pydantic import Field

from testlab_mcp.access.callers import caller_of
from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.protocol.tasks.long_calls import FOLLOWED, READING
from testlab_tools.durable.engine import Engine

if TYPE_CHECKING:
    from testlab_mcp.protocol.server import LabServer
    from testlab_mcp.protocol.tasks.execution import TaskExecution

EXTENSION = "io.modelcontextprotocol/tasks"
VERSIONS = frozenset({"2026-07-28"})
Ctx = ServerRequestContext[Any, Any]


class TaskParams(RequestParams):
    """What `tasks/get` and `tasks/cancel` take."""

    task_id: str = Field(alias="taskId", max_length=200)


class UpdateTaskParams(TaskParams):
    """What `tasks/update` takes."""

    input_responses: dict[str, Any] = Field(alias="inputResponses")


class Tasks(Extension):
    """Answers long calls with tasks, to clients that declare the extension. `server` must be set before any call."""

    identifier = EXTENSION
    server: LabServer

    def __init__(self, engine: Engine, guard: RequestGuard) -> None:
        """Tasks are stored in the engine's database, which is opened for the first of them."""
        self._engine = engine
        self._guard = guard
        self._opened: TaskExecution | None = None

    def methods(self) -> tuple[MethodBinding, ...]:
        """The three methods."""
        return (
            MethodBinding("tasks/get", TaskParams, self._get, VERSIONS),
            MethodBinding("tasks/update", UpdateTaskParams, self._update, VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, VERSIONS),
        )

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """Answer a call, with a task if it is a long one and the client can take it."""
        if (params.name in FOLLOWED or params.name in READING) and _declares(ctx):
            if how := FOLLOWED.get(params.name):
                return await self._execution.follow(how, params, ctx, call_next)
            return await self._execution.run(params, ctx, call_next)
        return await call_next(ctx)

    @asynccontextmanager
    async def notify(self, ctx: Ctx, task_ids: Sequence[str]) -> AsyncGenerator[Ctx]:
        """Send status notifications of these tasks on the stream that is the request's answer; gives the context to
        answer it in. Raises MCPError."""
        if not task_ids:
            yield ctx
            return
        require_client_extension(ctx, EXTENSION)
        from testlab_mcp.protocol.tasks.notifying import notify_of

        async with notify_of(self._execution, ctx, task_ids) as answering:
            yield answering

    async def aclose(self) -> None:
        """Leave what runs here to other processes."""
        if self._opened is not None:
            await self._opened.aclose()

    @property
    def _execution(self) -> TaskExecution:
        if self._opened is None:
            from testlab_mcp.protocol.tasks.execution import TaskExecution

            self._opened = TaskExecution(self._engine, self._guard, self.server)
        return self._opened

    async def _get(self, ctx: Ctx, params: TaskParams) -> dict[str, Any]:
        self._admit(ctx, params)
        return await self._execution.get(ctx, params.task_id)

    async def _update(self, ctx: Ctx, params: UpdateTaskParams) -> dict[str, Any]:
        self._admit(ctx, params)
        await self._execution.update(ctx, params.task_id, params.input_responses)
        return {"resultType": "complete"}

    async def _cancel(self, ctx: Ctx, params: TaskParams) -> dict[str, Any]:
        self._admit(ctx, params)
        await self._execution.cancel(ctx, params.task_id)
        return {"resultType": "complete"}

    def _admit(self, ctx: Ctx, params: TaskParams) -> None:
        """Raises MCPError unless the client declares the extension, the header names the task, and it does not ask too
        often. The SDK checks the header `Mcp-Name` of its own methods only."""
        require_client_extension(ctx, EXTENSION)
        headers = getattr(ctx.request, "headers", None)
        if headers is not None and decode_header_value(headers.get("mcp-name", "")) != params.task_id:
            raise MCPError(HEADER_MISMATCH, "Mcp-Name header does not match params.taskId")
        if text := self._guard.rate_refusal(caller_of(ctx.request), "tasks"):
            raise MCPError(INVALID_REQUEST, text)


def _declares(ctx: Ctx) -> bool:
    capabilities = ctx.session.client_capabilities if ctx.protocol_version in VERSIONS else None
    return bool(capabilities and capabilities.extensions and EXTENSION in capabilities.extensions)
