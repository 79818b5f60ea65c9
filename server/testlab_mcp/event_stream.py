"""Answers to POSTs of the older protocol era, as event streams with few tasks.

The SDK answers each by sse-starlette, whose tasks send pings and watch for the client's leaving and the server's end.
What is answered at once needs none of them; what is not goes on as sse-starlette has it.
"""

from __future__ import annotations

from typing import Any, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from sse_starlette import EventSourceResponse
from sse_starlette.event import ensure_bytes  # pyright: ignore[reportUnknownVariableType]
from starlette.types import Message, Receive, Scope, Send

AT_ONCE_S = 0.5


class EventStream(EventSourceResponse):
    """An answer by sse-starlette that does without its watching tasks for its first AT_ONCE_S."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, as they come."""
        events, write = cast(object, self.body_iterator), self.data_sender_callable  # pyright: ignore[reportUnknownMemberType]
        if scope["method"] != "POST" or write is None or not isinstance(events, MemoryObjectReceiveStream):
            await super().__call__(scope, receive, send)
            return
        stream = cast(MemoryObjectReceiveStream[Any], events)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            if not await self._send_at_once(stream, send):
                self.data_sender_callable = None
                await super().__call__(scope, receive, _without_start(send))
            group.cancel_scope.cancel()

    async def _send_at_once(self, events: MemoryObjectReceiveStream[Any], send: Send) -> bool:
        """Send what comes soon; returns whether that was all."""
        until = anyio.current_time() + AT_ONCE_S
        while anyio.current_time() < until:
            event: Any = None
            with anyio.CancelScope(deadline=until):
                try:
                    event = await events.receive()
                except anyio.EndOfStream:
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                    return True
            if event is not None:
                await send({"type": "http.response.body", "body": ensure_bytes(event, self.sep), "more_body": True})
        return False


def _without_start(send: Send) -> Send:
    async def send_rest(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    return send_rest
