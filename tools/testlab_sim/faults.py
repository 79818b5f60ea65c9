"""Trouble on demand: what a service does instead of, or besides, answering a request.

A fault matches by service, method and the path after the service's prefix, and strikes `times` times (0: until it is
cleared). `action` is one of:

status         answer `status` with `body` (and `Retry-After: retry_after`, `Location: location`) without handling it
reset          close the connection before the request is handled
reset-after    handle the request, then close the connection without an answer
slow           wait `seconds`, then handle the request
hold           keep the request open until the faults are cleared, then handle it; or until its client hangs up
garbage        answer 200 with something that is not JSON
missing-field  handle the request and leave `field` out of its JSON answer, at every depth
truncated      handle the request, send half of the answer and close
slow-body      handle the request, then send a byte of the answer each `seconds`
huge           answer 200 with JSON of `bytes` bytes
bomb           answer 200 with a body that decompresses to `bytes` bytes

A request whose path begins with `/_lane/NAME` meets the faults of that lane alone, and is then handled without it: so
tests of different faults can share one lab.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testlab_sim.traffic import Traffic
from testlab_sim.trouble import ACTIONS, Fault

CONTROL = "/_sim/"
LANE = "/_lane/"
HOLD = "hold"
"""An action of its own: it waits for what only `Faults` knows."""
ACTION_NAMES = (*ACTIONS, HOLD)


class Faults:
    """The faults now set, in the order they were; the first that matches strikes."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._cleared = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    def clear(self, lane: str = "") -> None:
        """Those of one lane, or all."""
        self._faults = [fault for fault in self._faults if lane and fault.lane != lane]
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def cleared(self) -> None:
        """Wait until faults are cleared."""
        await self._cleared.wait()

    def take(self, lane: str, service: str, method: str, path: str) -> Fault | None:
        fault = next((f for f in self._faults if f.matches(lane, service, method, path)), None)
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
        lane, scope = _lane_of(scope)
        service, slash, rest = scope["path"].lstrip("/").partition("/")
        method, path = scope["method"], slash + rest
        with self._traffic.counted(service, method, path):
            fault = self._faults.take(lane, service, method, path)
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


def _lane_of(scope: Scope) -> tuple[str, Scope]:
    """The lane of a request, and the request without it."""
    if not scope["path"].startswith(LANE):
        return "", scope
    lane, _, rest = scope["path"].removeprefix(LANE).partition("/")
    raw = scope["raw_path"].removeprefix(f"{LANE}{lane}".encode())
    return lane, {**scope, "path": f"/{rest}", "raw_path": raw}
