"""The tasks that run in this process: they outlive their requests, and are cancelled with the process."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcp.server.context import HandlerResult, ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolRequestParams, InputRequiredResult

from testlab_mcp.protocol.tasks.record import TaskRecord
from testlab_mcp.protocol.tasks.wire import read_responses, to_json, to_questions
from testlab_mcp.protocol.tool import ALLOWED_S
from testlab_tools.durable.engine import Clock
from testlab_tools.durable.late_store import LateStore
from testlab_tools.errors import LabError

if TYPE_CHECKING:
    from testlab_mcp.protocol.server import LabServer
    from testlab_mcp.protocol.tasks.store import TaskStore

logger = logging.getLogger("testlab_mcp")

LONGEST_S = 600.0
"""What a call may take that goes on as a task."""
BEAT_S = 5.0
Call = asyncio.Task[HandlerResult]


class Running:
    """The calls of a process that go on as tasks, by their ids."""

    def __init__(self, store: LateStore[TaskStore], clock: Clock, server: LabServer) -> None:
        self.name = uuid4().hex
        self._store = store
        self._clock = clock
        self._server = server
        self._calls: dict[str, Call] = {}
        self._messages: dict[str, str] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    def call(self, task: TaskRecord, ctx: ServerRequestContext[Any, Any]) -> Call:
        """Begin a task's call, with the answers that it has by now."""
        self._messages[task.task_id] = task.message
        params = CallToolRequestParams(name=task.tool, arguments=task.arguments)
        if (told := task.questions) is not None:
            params.input_responses, params.request_state = read_responses(told), told.state
        session: Any = _TaskSession(ctx.session, self._messages, task.task_id)
        call = asyncio.create_task(self._answer(params, dataclasses.replace(ctx, session=session, method="tools/call")))
        call.add_done_callback(lambda _: self._messages.pop(task.task_id, None))
        return call

    def keep(self, task: TaskRecord, call: Call) -> None:
        """Let a call of a task that is stored go on, and store how it ends."""
        self._calls[task.task_id] = call
        end = asyncio.create_task(self._store_end(task, call))
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())

    def message(self, task_id: str) -> str | None:
        """How far a task is that runs here; None where it does not."""
        return self._messages.get(task_id, "") if task_id in self._calls else None

    def cancel(self, task_id: str) -> None:
        """End a task, if it runs here."""
        if call := self._calls.get(task_id):
            call.cancel()

    async def aclose(self) -> None:
        """End all tasks here, and leave them to other processes."""
        working = [*self._calls.values(), *self._ends, *([self._beating] if self._beating else [])]
        if not working:
            return
        for each in working:
            each.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        try:
            await self._store.ask(lambda store: store.release(self.name))
        except LabError as error:
            logger.warning("the tasks of this server are left to others only after a while: %s", error.what)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _answer(self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any]) -> HandlerResult:
        ALLOWED_S.set(LONGEST_S)
        return await self._server.answer_call(ctx, params)

    async def _store_end(self, task: TaskRecord, call: Call) -> None:
        """Store what a call came to, however long the database is away. One that was cancelled is so in the store."""
        try:
            await asyncio.wait([call])
            if call.cancelled():
                return
            to = {"message": "", "updated_at": self._now, **_outcome(call, task)}
            while True:
                try:
                    await self._store.ask(lambda store: store.change(task, **to))
                except LabError:
                    await asyncio.sleep(BEAT_S)
                else:
                    return
        finally:
            if self._calls.get(task.task_id) is call:
                del self._calls[task.task_id]

    async def _beat(self) -> None:
        while self._calls:
            await asyncio.sleep(BEAT_S)
            told = {task_id: self._messages.get(task_id, "") for task_id in self._calls}
            try:
                lost = await self._store.ask(lambda store: store.beat(self.name, told))  # noqa: B023
            except LabError:
                continue
            for task_id in lost:
                self.cancel(task_id)


def _outcome(call: Call, task: TaskRecord) -> dict[str, Any]:
    """How a call has ended, as it is stored."""
    error = call.exception()
    if error is None:
        result = call.result()
        if isinstance(result, InputRequiredResult):
            return {"status": "input_required", "questions": to_questions(result, task.questions)}
        return {"status": "completed", "outcome": to_json(result)}
    if isinstance(error, MCPError):
        told = to_json(error.error)
        return {"status": "failed", "outcome": told, "message": error.error.message}
    logger.error("a task failed in a way nobody foresaw", exc_info=error)
    return {"status": "failed", "outcome": {"code": INTERNAL_ERROR, "message": "Internal server error"}}


class _TaskSession:
    """A request's session, for a call that outlives it: there is nobody to send progress to, so it is kept."""

    def __init__(self, session: ServerSession, messages: dict[str, str], task_id: str) -> None:
        self._session = session
        self._messages = messages
        self._task_id = task_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        if self._task_id in self._messages:
            self._messages[self._task_id] = message or (f"{progress:g} of {total:g}" if total else f"{progress:g}")
