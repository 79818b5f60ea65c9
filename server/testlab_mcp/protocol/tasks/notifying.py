"""Status notifications: on the stream of a client that listens to tasks, each of them as it is, and at each change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Literal

from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import SUBSCRIPTION_ID_META_KEY
from mcp_types import INTERNAL_ERROR, Notification, SubscriptionsAcknowledgedNotification

from testlab_mcp.protocol.tasks.execution import TaskExecution
from testlab_mcp.protocol.tasks.record import OPEN
from testlab_mcp.protocol.tasks.wire import POLL_FOLLOWED_MS

Ctx = ServerRequestContext[Any, Any]


class TaskStatusNotification(Notification[dict[str, Any], Literal["notifications/tasks"]]):
    """A task as `tasks/get` tells it."""

    method: Literal["notifications/tasks"] = "notifications/tasks"


@asynccontextmanager
async def notify_of(execution: TaskExecution, ctx: Ctx, task_ids: Sequence[str]) -> AsyncGenerator[Ctx]:
    """Notify a stream of those of these tasks that are the caller's; gives the context to answer its request in, whose
    acknowledgement names them. Raises MCPError where the database does not answer."""
    honored: list[str] = []
    for task_id in task_ids:
        try:
            await execution.get(ctx, task_id)
        except MCPError as error:
            if error.error.code == INTERNAL_ERROR:
                raise
        else:
            honored.append(task_id)
    session = _StreamSession(ctx.session, honored)
    loop = asyncio.get_running_loop()
    pushing = [loop.create_task(_push(execution, ctx, one, session), context=Context()) for one in honored]
    try:
        answering: Any = session
        yield dataclasses.replace(ctx, session=answering)
    finally:
        for each in pushing:
            each.cancel()
        await asyncio.gather(*pushing, return_exceptions=True)


async def _push(execution: TaskExecution, ctx: Ctx, task_id: str, session: _StreamSession) -> None:
    """Send a task once the stream is acknowledged, and at each change until it has ended or is gone."""
    await session.acknowledged.wait()
    told: dict[str, Any] = {}
    while True:
        pause_ms = POLL_FOLLOWED_MS
        try:
            task = await execution.get(ctx, task_id)
        except MCPError as error:
            if error.error.code != INTERNAL_ERROR:
                return
        else:
            now = {name: value for name, value in task.items() if name not in ("resultType", "ttlMs")}
            if now != told:
                params = {**now, "ttlMs": task["ttlMs"], "_meta": {SUBSCRIPTION_ID_META_KEY: ctx.request_id}}
                await session.send_notification(TaskStatusNotification(params=params), ctx.request_id)
                told = now
            if task["status"] not in OPEN:
                return
            pause_ms = task["pollIntervalMs"]
        await asyncio.sleep(pause_ms / 1000)


class _StreamSession:
    """A stream's session, whose acknowledgement names tasks too."""

    def __init__(self, session: ServerSession, task_ids: Sequence[str]) -> None:
        self.acknowledged = asyncio.Event()
        self._session = session
        self._task_ids = task_ids

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def send_notification(self, notification: Any, related_request_id: Any = None) -> None:
        if not isinstance(notification, SubscriptionsAcknowledgedNotification):
            await self._session.send_notification(notification, related_request_id)
            return
        notification = notification.model_copy(deep=True)
        if self._task_ids:
            notification.params.notifications = notification.params.notifications.model_copy(
                update={"taskIds": list(self._task_ids)}
            )
        await self._session.send_notification(notification, related_request_id)
        self.acknowledged.set()
