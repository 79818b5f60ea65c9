"""Sessions of the older protocol era over HTTP, whose calls' answers go straight to their response.

In the SDK an answer passes three memory streams and as many tasks before it is sent. What comes within AT_ONCE_S passes
none here; what does not goes on as the SDK has it, with pings and a watch for the client's leaving. A POST that is
anything but a call in good order, and what is sent outside of calls, are the SDK's from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import anyio
import pydantic_core
from anyio.abc import ObjectSendStream
from mcp.server.streamable_http import EventMessage, StreamableHTTPServerTransport, check_accept_headers
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

AT_ONCE_S = 3.0
"""Longer than calls in many hundred sessions take: an answer that comes later costs twice as much."""
BUFFER = 16
"""Messages that wait for a slow client, as the SDK has it."""
HEADERS = {"Cache-Control": "no-cache, no-transform", "Connection": "keep-alive", "Content-Type": "text/event-stream"}
SESSION = "mcp-session-id"


class Answer:
    """What is said to a request, until its response takes it."""

    def __init__(self) -> None:
        self.messages: list[JSONRPCMessage] = []
        self.ended = False
        self._changed: asyncio.Future[None] | None = None

    def add(self, message: JSONRPCMessage) -> None:
        """Say this; a result or an error is the last."""
        self.messages.append(message)
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self.ended = True
        self._wake()

    def end(self) -> None:
        """Say no more, though nothing was the last."""
        self.ended = True
        self._wake()

    def take(self) -> list[JSONRPCMessage]:
        """What was said since it was last taken."""
        taken, self.messages = self.messages, []
        return taken

    async def wait(self, until: float) -> None:
        """Wait for something to take, for the end, or until that time of the event loop."""
        if self.messages or self.ended:
            return
        loop = asyncio.get_running_loop()
        self._changed = loop.create_future()
        timer = loop.call_at(until, self._wake)
        try:
            await self._changed
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)


class Answers(ObjectSendStream[SessionMessage]):
    """The stream that a session's server writes to: to the answers that wait, and the rest to the SDK's stream."""

    def __init__(self, rest: WriteStream[SessionMessage], waiting: dict[str, Answer]) -> None:
        self._rest = rest
        self._waiting = waiting

    async def send(self, item: SessionMessage) -> None:
        answer = self._waiting.get(_asked_by(item))
        if answer is None:
            await self._rest.send(item)
        else:
            answer.add(item.message)

    async def aclose(self) -> None:
        await self._rest.aclose()


def _asked_by(said: SessionMessage) -> str:
    """The id of the request that a message belongs to; "" without one."""
    message, metadata = said.message, said.metadata
    if isinstance(message, JSONRPCResponse | JSONRPCError):
        return "" if message.id is None else str(message.id)
    if isinstance(metadata, ServerMessageMetadata) and metadata.related_request_id is not None:
        return str(metadata.related_request_id)
    return ""


class HttpSession(StreamableHTTPServerTransport):
    """A session as the SDK has it, less what stands between a call's answer and its response.

    A request that was cancelled is not answered: "Receivers of a cancellation notification SHOULD … not send a response
    for the cancelled request" (MCP 2025-11-25, Cancellation), and clients report an answer to an id they have dropped.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._answers: dict[str, Answer] = {}

    @asynccontextmanager
    async def connect(
        self,
    ) -> AsyncGenerator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
        """The streams for the session's server."""
        async with super().connect() as (read, write):
            try:
                yield read, Answers(write, self._answers)
            finally:
                self._end_answers()

    async def terminate(self) -> None:
        """End the session, and the responses that wait."""
        self._end_answers()
        await super().terminate()

    def _end_answers(self) -> None:
        for answer in self._answers.values():
            answer.end()

    async def _terminate_unanswered_request(self, request_id: str | int) -> None:
        name = str(request_id)
        if (answer := self._answers.get(name)) is not None:
            answer.end()
        elif (streams := self._request_streams.get(name)) is not None:
            streams[0].close()

    async def _handle_post_request(self, scope: Scope, request: Request, receive: Receive, send: Send) -> None:
        call = await self._read_call(request)
        if call is None:
            await super()._handle_post_request(scope, request, receive, send)
            return
        name = str(call.id)
        answer = self._answers[name] = Answer()
        try:
            if not await self._ask(call, request):
                refusal = self._create_error_response("Not Found: Session has been terminated", HTTPStatus.NOT_FOUND)
                await refusal(scope, receive, send)
            elif not await self._send_at_once(answer, send):
                await self._send_later(name, answer, request, send)
        finally:
            self._forget(name, answer)

    async def _read_call(self, request: Request) -> JSONRPCRequest | None:
        """The request that a POST brings, if nothing about it is the SDK's to judge."""
        if self._event_store or self.is_json_response_enabled or self._read_stream_writer is None:
            return None
        headers = request.headers
        if headers.get(SESSION) != self.mcp_session_id or not self._check_content_type(request):
            return None
        if check_accept_headers(request) != (True, True):
            return None
        try:
            sent = pydantic_core.from_json(await request.body())
            if not isinstance(sent, dict) or "result" in sent or "error" in sent:
                return None
            call = JSONRPCRequest.model_validate(sent, by_name=False)
        except (ValueError, ValidationError, ClientDisconnect):
            return None
        return None if call.method == "initialize" else call

    async def _ask(self, call: JSONRPCRequest, request: Request) -> bool:
        """Pass a request to the session's server; False when the session has ended."""
        assert self._read_stream_writer is not None
        settled = partial(self._terminate_unanswered_request, call.id)
        metadata = self._message_metadata(request, on_request_unanswered=settled)
        try:
            await self._read_stream_writer.send(SessionMessage(call, metadata=metadata))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def _send_at_once(self, answer: Answer, send: Send) -> bool:
        """Send what comes soon, the head with it; returns whether that was all."""
        now = asyncio.get_running_loop().time
        until, started = now() + AT_ONCE_S, False
        while True:
            await answer.wait(until)
            body, ended = b"".join(map(_event, answer.take())), answer.ended
            if not started:
                length = {"Content-Length": str(len(body))} if ended else {}
                await send({"type": "http.response.start", "status": 200, "headers": self._head(length)})
                started = True
            await send({"type": "http.response.body", "body": body, "more_body": not ended})
            if ended or now() >= until:
                return ended

    async def _send_later(self, name: str, answer: Answer, request: Request, send: Send) -> None:
        """Send the rest as the SDK does."""
        said = answer.take()
        write, read = anyio.create_memory_object_stream[EventMessage](max(BUFFER, len(said)))
        for message in said:
            write.send_nowait(EventMessage(message))
        if answer.ended:
            write.close()
        self._request_streams[name] = write, read
        self._forget(name, answer)
        event_writer, events = anyio.create_memory_object_stream[Any](0)
        self._sse_stream_writers[name] = event_writer
        relay = partial(self._run_sse_writer, name, event_writer, read, None)
        async with event_writer, events:
            response = EventSourceResponse(events, data_sender_callable=relay)
            await response(request.scope, request.receive, _without_start(send))

    def _forget(self, name: str, answer: Answer) -> None:
        if self._answers.get(name) is answer:
            del self._answers[name]

    def _head(self, more: dict[str, str]) -> list[tuple[bytes, bytes]]:
        fields = {**HEADERS, "X-Accel-Buffering": "no", SESSION: self.mcp_session_id or "", **more}
        return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in fields.items() if value]


def _event(message: JSONRPCMessage) -> bytes:
    return b"event: message\r\ndata: %b\r\n\r\n" % message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def _without_start(send: Send) -> Send:
    async def send_rest(message: Message) -> None:
        if message["type"] != "http.response.start":
            await send(message)

    return send_rest
