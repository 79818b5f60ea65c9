"""How calls become tasks and go on: followed elsewhere, or run here; asked after, answered and cancelled anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, CallToolRequestParams, CallToolResult

from testlab_mcp.access.callers import caller_of
from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.protocol.tasks.following import Followed
from testlab_mcp.protocol.tasks.long_calls import FOLLOWED, Follow
from testlab_mcp.protocol.tasks.record import DEAD_S, OPEN, Questions, TaskRecord
from testlab_mcp.protocol.tasks.running import Running
from testlab_mcp.protocol.tasks.wire import describe_created, describe_task, read_answers, to_plain
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error
from testlab_tools.errors import LabError
from testlab_tools.telemetry import note_outcome

if TYPE_CHECKING:
    from testlab_mcp.protocol.server import LabServer
    from testlab_mcp.protocol.tasks.store import TaskStore
    from testlab_tools.durable.workflows import Workflows

Ctx = ServerRequestContext[Any, Any]
AT_ONCE_S = 0.5
"""A call that is answered so soon is no task, and what it asks so soon is asked on the request."""
MAX_OPEN = 10
"""Open tasks of one caller; further calls are answered as to a client without tasks."""
KEPT_S = 24 * 3600.0
"""How long a task is kept after it was made; and after it was last asked for, while its work goes on elsewhere."""
STEP_S = 3600.0
NOT_FOUND = "Failed to retrieve task: Task not found"


class TaskExecution:
    """The tasks of a server; they are in the engine's database, and those that run here have an asyncio task each."""

    def __init__(self, engine: Engine, guard: RequestGuard, server: LabServer) -> None:
        self._clock = engine.clock
        self._guard = guard
        self._server = server
        self._store: LateStore[TaskStore] = LateStore(engine, _open_store, _failure)
        self._running = Running(self._store, engine.clock, server)
        self._followed = Followed(guard, server)

    async def follow(self, how: Follow, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """Begin the work in this request, whoever is asked or refused; the answer is a task that follows it."""
        if "wait_seconds" in (params.arguments or {}):  # the task waits
            params.arguments = {**(params.arguments or {}), "wait_seconds": 0}
        result = await call_next(ctx)
        if not isinstance(result, CallToolResult) or result.is_error or self._lacks(ctx, how.tool):
            return result
        answer: dict[str, Any] = result.structured_content or {}
        if not (handle := answer.get(how.key)) or how.has_ended(answer):
            return result
        task = self._new(ctx, params, follows=handle, message=how.describe(answer))
        return describe_created(task) if await self._created(task) else result

    async def run(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        """The call's answer if it comes at once, else a task that goes on here when the request is over."""
        task = self._new(ctx, params, runner=self._running.name)
        call = self._running.call(task, ctx)
        try:
            done, _ = await asyncio.wait([call], timeout=AT_ONCE_S)
            if done:
                return call.result()
            made = await self._created(task)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if not made:
            call.cancel()
            return await call_next(ctx)
        self._running.keep(task, call)
        note_outcome("task", "")
        return describe_created(task)

    async def get(self, ctx: Ctx, task_id: str) -> dict[str, Any]:
        """`tasks/get`. Raises MCPError."""
        task = await self._find(ctx, task_id)
        if why := self._lacks(ctx, task.tool):
            raise MCPError(INVALID_REQUEST, f"Not allowed: {why}")
        if task.status == "working":
            task = await (self._look(ctx, task) if task.follows else self._keep_running(ctx, task))
        return describe_task(task)

    async def update(self, ctx: Ctx, task_id: str, responses: dict[str, Any]) -> dict[str, Any]:
        """`tasks/update`: answers to what is asked; other answers are ignored. Raises MCPError."""
        while True:
            task = await self._find(ctx, task_id)
            asked = task.questions
            if task.status != "input_required" or asked is None:
                return {}
            answers = read_answers(asked, responses)
            wanted = {key: request for key, request in asked.wanted.items() if key not in answers}
            now, told = self._now, {**asked.answers, **answers}
            to: dict[str, Any] = {"questions": asked.model_copy(update={"wanted": wanted, "answers": told})}
            if not wanted:
                to |= {"status": "working", "runner": self._running.name}
            if await self._ask(lambda store: store.change(task, updated_at=now, **to)):  # noqa: B023 - asked at once
                if not wanted:
                    again = task.model_copy(update={**to, "updated_at": now})
                    self._running.keep(again, self._running.call(again, ctx))
                return {}

    async def cancel(self, ctx: Ctx, task_id: str) -> dict[str, Any]:
        """`tasks/cancel`: ends what runs here, but no work elsewhere. Raises MCPError."""
        task = await self._find(ctx, task_id)
        if task.status in OPEN:
            message = "Cancelled"
            if task.follows:
                how = FOLLOWED[task.tool]
                message = f"No longer followed. It goes on: {how.stop}({how.key}={task.follows!r}) stops it."
            to = {"status": "cancelled", "message": message, "updated_at": self._now}
            if not await self._ask(lambda store: store.change(task, **to)):
                return await self.cancel(ctx, task_id)
            self._running.cancel(task_id)
        return {}

    async def aclose(self) -> None:
        """Leave what runs here to other processes."""
        await self._running.aclose()

    def _new(self, ctx: Ctx, params: CallToolRequestParams, **more: Any) -> TaskRecord:
        now = self._now
        given = {"caller": caller_of(ctx.request).name, "tool": params.name, "arguments": params.arguments or {}}
        times = {"created_at": now, "updated_at": now, "expires_at": now + KEPT_S}
        questions = None
        if params.request_state or params.input_responses:  # answered before there was a task
            told = {f"0.{key}": value for key, value in to_plain(params.input_responses).items()}
            questions = Questions(number=0, wanted={}, answers=told, state=params.request_state)
        return TaskRecord.model_validate(
            {"task_id": token_urlsafe(24), "questions": questions, **given, **times, **more}
        )

    async def _created(self, task: TaskRecord) -> bool:
        """Whether a task is stored: not where its caller has too many, or the database does not answer."""
        try:
            return await self._store.ask(lambda store: store.create(task, MAX_OPEN))
        except LabError:
            return False

    async def _find(self, ctx: Ctx, task_id: str) -> TaskRecord:
        """A task of the caller. Raises MCPError."""
        task = await self._ask(lambda store: store.read(task_id))
        if task is None or task.caller != caller_of(ctx.request).name:
            raise MCPError(INVALID_PARAMS, NOT_FOUND)
        if task.expires_at <= self._now:
            raise MCPError(INVALID_PARAMS, "Failed to retrieve task: Task has expired")
        return task

    async def _ask(self, question: Callable[[TaskStore], Any]) -> Any:
        """Ask the store. Raises MCPError."""
        try:
            return await self._store.ask(question)
        except LabError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None

    async def _look(self, ctx: Ctx, task: TaskRecord) -> TaskRecord:
        """A task as the work that it follows now is; its end is stored once."""
        look = await self._followed.look(ctx, task)
        now = self._now
        to: dict[str, Any] = {"message": look.message}
        if look.result is not None:
            to |= {"status": "completed", "outcome": look.result, "updated_at": now}
        if now + KEPT_S > task.expires_at + STEP_S:
            to |= {"expires_at": now + KEPT_S}
        if len(to) > 1 and not await self._ask(lambda store: store.change(task, **to)):
            return await self._find(ctx, task.task_id)
        return task.model_copy(update=to)

    async def _keep_running(self, ctx: Ctx, task: TaskRecord) -> TaskRecord:
        """A task that runs; here, if the process that ran it is dead."""
        if (message := self._running.message(task.task_id)) is not None:
            return task.model_copy(update={"message": message})
        name = self._running.name
        is_dead = abs(task.read_at - task.beat_at) > DEAD_S
        if is_dead and await self._ask(lambda store: store.take(task, name)):
            taken = task.model_copy(update={"runner": name})
            self._running.keep(taken, self._running.call(taken, ctx))
        return task

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _lacks(self, ctx: Ctx, tool: str) -> str:
        """Why the caller has not a tool; empty when it has."""
        return self._guard.refusal(caller_of(ctx.request), tool)


_failure = database_error(
    "tasks", "Try again in a minute. If it stays away, the operator mends [durable] in the config."
)


def _open_store(workflows: Workflows) -> TaskStore:
    from testlab_mcp.protocol.tasks.store import TaskStore

    return TaskStore(workflows)
