"""What a struck request gets instead of, or besides, its answer. See `testlab_sim.faults` for the words."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache
from typing import cast

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testlab_sim.tofupilot.service import error_body

WORDS = "Fault injected by the test"


@dataclass
class Fault:
    """One fault as posted; `struck` counts how often it has. One that `spreads` strikes every request of its lane once
    it has struck one."""

    action: str = "status"
    lane: str = ""
    service: str = ""
    method: str = ""
    path_prefix: str = ""
    status: int = 500
    retry_after: str = ""
    location: str = ""
    body: object = None
    media_type: str = ""
    seconds: float = 1.0
    bytes: int = 2**21
    field: str = ""
    times: int = 1
    spreads: bool = False
    struck: int = 0

    def matches(self, lane: str, service: str, method: str, path: str) -> bool:
        spent = 0 < self.times <= self.struck
        if self.spreads and self.struck:
            return self.lane == lane and not spent
        named = self.lane == lane and self.service in ("", service) and self.method.upper() in ("", method)
        return named and not spent and path.startswith(self.path_prefix)


async def _status(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    told = {"retry-after": fault.retry_after, "location": fault.location}
    headers = {name: value for name, value in told.items() if value}
    body = _own_error(scope["path"], fault.status) if fault.body is None else fault.body
    if isinstance(body, str):
        response = Response(body, fault.status, headers, fault.media_type or "text/plain")
    else:
        response = JSONResponse(body, fault.status, headers, fault.media_type or None)
    await response(scope, receive, send)


def _own_error(path: str, status: int) -> object:
    """The error as the service at that path of the lab words its own."""
    return error_body(path, status, WORDS) if path.startswith("/tofupilot/api/") else {"message": WORDS}


async def _status_after(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _capture_answer(app, scope, receive)
    await _status(fault, app, scope, receive, send)


async def _handle(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """For what is done to the head of the answer alone; see `add_date`."""
    await app(scope, receive, send)


async def _reset(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Takes the whole request first: a client still sending might not see the reset as one."""
    while (await receive()).get("more_body"):
        pass
    await _hang_up(receive)


async def _reset_after(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def swallow(message: Message) -> None:
        pass

    await app(scope, receive, swallow)
    await _hang_up(receive)


async def _hang_up(receive: Receive) -> None:
    """Reset the TCP connection."""
    transport = _find_transport(receive)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    await _wait_for_disconnect(receive)


async def _slow(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(fault.seconds)
    await app(scope, receive, send)


async def _garbage(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    page = fault.body if isinstance(fault.body, str) else "<html><body>Bad gateway? No: \x00\ufffd{</body></html>"
    await Response(page, 200, media_type="text/html")(scope, receive, send)


async def _missing_field(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What is no JSON stays as it is."""
    start, body = await _capture_answer(app, scope, receive)
    headers = MutableHeaders(raw=start["headers"])
    if headers.get("content-type", "").startswith("application/json"):
        whole = json.loads(body)
        for field in fault.field.split():
            whole = _remove_field(whole, field)
        await JSONResponse(whole, start["status"])(scope, receive, send)
        return
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _truncated(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    start, body = await _capture_answer(app, scope, receive)
    MutableHeaders(raw=start["headers"])["content-length"] = str(len(body) + 10)
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    _find_transport(receive).close()


async def _slow_body(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A byte at a time, until the client has gone."""
    start, body = await _capture_answer(app, scope, receive)
    await send(start)
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    for at in range(len(body)):
        if gone.done():
            return
        await send({"type": "http.response.body", "body": body[at : at + 1], "more_body": True})
        await asyncio.wait([gone], timeout=fault.seconds)
    await send({"type": "http.response.body", "body": b""})
    gone.cancel()


async def _huge(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """JSON of `bytes` bytes, in pieces."""
    gone = asyncio.ensure_future(_wait_for_disconnect(receive))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    piece, sent = b'["' + b"x" * 65_000 + b'"],', 0
    await send({"type": "http.response.body", "body": b"[", "more_body": True})
    while sent < fault.bytes and not gone.done():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        sent += len(piece)
        await asyncio.sleep(0)  # or a client that has gone would not be noticed: `send` to it waits for nothing
    await send({"type": "http.response.body", "body": b"[]]"})
    gone.cancel()


async def _bomb(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A small body that is `bytes` long once it is decompressed."""
    packed = _compress_spaces(fault.bytes)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    await Response(packed, 200, headers)(scope, receive, send)


@cache
def _compress_spaces(size: int) -> bytes:
    return gzip.compress(b" " * size)


async def _capture_answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """The answer as it would have been: its head, and its body whole."""
    messages = list[Message]()

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _find_transport(receive: Receive) -> asyncio.Transport:
    """ASGI has no word for a connection; uvicorn's `receive` belongs to an object that holds it."""
    transport: asyncio.Transport | None = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("only under uvicorn can a connection be ended")
    return transport


def _remove_field(value: object, field: str) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return {name: _remove_field(member, field) for name, member in members if name != field}
    if isinstance(value, list):
        return [_remove_field(member, field) for member in cast("list[object]", value)]
    return value


def add_date(fault: Fault | None, send: Send) -> Send:
    """`send` that adds the Date every server tells; a fault may shift it, or leave it out."""
    action = fault.action if fault else ""
    ahead = fault.seconds if fault and action == "clock" else 0.0

    async def send_with_date(message: Message) -> None:
        if message["type"] == "http.response.start" and action != "no-clock":
            message = {**message, "headers": [*message["headers"], (b"date", _format_date(ahead))]}
        await send(message)

    return send_with_date


def _format_date(ahead: float) -> bytes:
    return formatdate(time.time() + ahead, usegmt=True).encode()


Action = Callable[[Fault, ASGIApp, Scope, Receive, Send], Awaitable[None]]

ACTIONS: dict[str, Action] = {
    "status": _status,
    "status-after": _status_after,
    "clock": _handle,
    "no-clock": _handle,
    "reset": _reset,
    "reset-after": _reset_after,
    "slow": _slow,
    "garbage": _garbage,
    "missing-field": _missing_field,
    "truncated": _truncated,
    "slow-body": _slow_body,
    "huge": _huge,
    "bomb": _bomb,
}
