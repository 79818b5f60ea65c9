"""Trouble on demand: what a service does instead of, or besides, answering a request.

A fault matches by service, method and the path after the service's prefix, and strikes `times` times (0: until it is
cleared). `action` is one of:

status         answer `status` with `body` (and `Retry-After: retry_after`) without handling the request
reset          close the connection before the request is handled
reset-after    handle the request, then close the connection without an answer
slow           wait `seconds`, then handle the request
hold           keep the request open until the faults are cleared, then handle it; or until its client hangs up
garbage        answer 200 with something that is not JSON
missing-field  handle the request and leave `field` out of its JSON answer, at every depth
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, cast

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testlab_sim.traffic import Traffic

CONTROL = "/_sim/"


@dataclass
class Fault:
    """One fault as posted; `struck` counts how often it has."""

    action: str = "status"
    service: str = ""
    method: str = ""
    path_prefix: str = ""
    status: int = 500
    retry_after: str = ""
    body: object = None
    seconds: float = 1.0
    field: str = ""
    times: int = 1
    struck: int = 0

    def matches(self, service: str, method: str, path: str) -> bool:
        spent = 0 < self.times <= self.struck
        named = self.service in ("", service) and self.method.upper() in ("", method)
        return named and not spent and path.startswith(self.path_prefix)


class Faults:
    """The faults now set, in the order they were; the first that matches strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def cleared(self) -> None:
        """Wait until the faults now set are cleared."""
        await self._cleared.wait()

    def take(self, service: str, method: str, path: str) -> Fault | None:
        fault = next((f for f in self._faults if f.matches(service, method, path)), None)
        if fault is not None:
            fault.struck += 1
        return fault

    def json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]


class Interference:
    """ASGI middleware: counts every request to a service and lets a matching fault have it."""

    def __init__(self, app: ASGIApp, faults: Faults, traffic: Traffic) -> None:
        self._app = app
        self._faults = faults
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, send)
            return
        service, slash, rest = scope["path"].lstrip("/").partition("/")
        method, path = scope["method"], slash + rest
        with self._traffic.counted(service, method, path):
            fault = self._faults.take(service, method, path)
            if fault is None:
                await self._app(scope, receive, send)
            elif fault.action == HOLD:
                await self._hold(scope, receive, send)
            else:
                await ACTIONS[fault.action](fault, self._app, scope, receive, send)

    async def _hold(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the whole request first, to notice when its client hangs up, and gives it to the handler again."""
        taken = [await receive()]
        while taken[-1].get("more_body"):
            taken.append(await receive())

        async def again() -> Message:
            return taken.pop(0) if taken else await receive()

        cleared, gone = asyncio.ensure_future(self._faults.cleared()), asyncio.ensure_future(receive())
        try:
            await asyncio.wait((cleared, gone), return_when=asyncio.FIRST_COMPLETED)
            released = cleared.done()
        finally:
            cleared.cancel()
            gone.cancel()
        if released:
            await self._app(scope, again, send)


async def _status(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"retry-after": fault.retry_after} if fault.retry_after else None
    if isinstance(fault.body, str):
        response = Response(fault.body, fault.status, headers, "text/plain")
    else:
        response = JSONResponse(fault.body or {"message": "Fault injected by the test"}, fault.status, headers)
    await response(scope, receive, send)


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
    """Reset the TCP connection. ASGI has no word for this; uvicorn's `receive` belongs to an object that holds it."""
    transport: asyncio.Transport | None = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("only under uvicorn can a connection be reset")
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _slow(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(fault.seconds)
    await app(scope, receive, send)


async def _garbage(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    page = fault.body if isinstance(fault.body, str) else "<html><body>Bad gateway? No: \x00\ufffd{</body></html>"
    await Response(page, 200, media_type="text/html")(scope, receive, send)


async def _missing_field(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    status, chunks = 200, list[bytes]()

    async def keep(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    answer = _without(json.loads(b"".join(chunks)), fault.field)
    await JSONResponse(answer, status)(scope, receive, send)


def _without(value: object, field: str) -> object:
    if isinstance(value, dict):
        members = cast("dict[str, object]", value).items()
        return {name: _without(member, field) for name, member in members if name != field}
    if isinstance(value, list):
        return [_without(member, field) for member in cast("list[object]", value)]
    return value


Action = Callable[[Fault, ASGIApp, Scope, Receive, Send], Awaitable[None]]

ACTIONS: dict[str, Action] = {
    "status": _status,
    "reset": _reset,
    "reset-after": _reset_after,
    "slow": _slow,
    "garbage": _garbage,
    "missing-field": _missing_field,
}

HOLD = "hold"
"""An action of its own: it waits for what only `Faults` knows."""

ACTION_NAMES = (*ACTIONS, HOLD)
