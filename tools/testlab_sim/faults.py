"""Trouble on demand: what a service does instead of, or besides, answering a request; and who asked it for what.

A fault matches by service, method and the path after the service's prefix, and strikes `times` times (0: until it is
cleared); with `spreads`, it strikes all else of its lane as well once it has struck. `action` is one of:

status         answer `status` with `body` (and `Retry-After: retry_after`, `Location: location`) without handling it;
               a text is of `media_type` or plain; where no body is given, as the service itself words its errors
status-after   handle the request, then answer as `status` does
clock          handle the request, and answer with a `Date` that is `seconds` ahead
no-clock       handle the request, and answer without a `Date`
reset          close the connection before the request is handled
reset-after    handle the request, then close the connection without an answer
slow           wait `seconds`, then handle the request
hold           keep the request open until the faults are cleared, then handle it; or until its client hangs up
garbage        answer 200 with something that is not JSON
missing-field  handle the request and leave `field` (or several, with spaces between) out of its JSON answer, at every
               depth
truncated      handle the request, send half of the answer and close
slow-body      handle the request, then send a byte of the answer each `seconds`
huge           answer 200 with JSON of `bytes` bytes
bomb           answer 200 with a body that decompresses to `bytes` bytes

A request whose path begins with `/_lane/NAME` meets the faults of that lane alone, and is then handled without it: so
tests of different faults can share one lab.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testlab_sim.fault_actions import ACTIONS, Fault, add_date

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

    def cleared(self) -> Coroutine[Any, Any, Any]:
        """What to await until the faults that there are now are cleared."""
        return self._cleared.wait()

    def take(self, lane: str, service: str, method: str, path: str) -> Fault | None:
        fault = next((f for f in self._faults if f.matches(lane, service, method, path)), None)
        if fault is not None:
            fault.struck += 1
        return fault

    def json(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._faults]


@dataclass
class Count:
    """`handled` are those that no fault kept from the service; `peak_open` is the most that were ever being answered
    at the same time."""

    service: str
    method: str
    path: str
    count: int = 0
    handled: int = 0
    open: int = 0
    peak_open: int = 0

    def begin(self) -> None:
        self.count += 1
        self.open += 1
        self.peak_open = max(self.peak_open, self.open)


class Traffic:
    """Counts since the start or the last `clear`. A request still open when cleared is not counted again."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._total = Count("", "", "")
        self._counts: dict[tuple[str, str, str], Count] = {}

    @contextmanager
    def counted(self, service: str, method: str, path: str) -> Generator[tuple[Count, ...]]:
        counts = (self._total, self._counts.setdefault((service, method, path), Count(service, method, path)))
        for count in counts:
            count.begin()
        try:
            yield counts
        finally:
            for count in counts:
                count.open -= 1

    def json(self) -> dict[str, Any]:
        """`{"count", "open", "peak_open", "requests": […]}`, a request as `Count` has it."""
        total = self._total
        return {
            "count": total.count,
            "open": total.open,
            "peak_open": total.peak_open,
            "requests": [asdict(count) for count in self._counts.values()],
        }


class Interference:
    """ASGI middleware: counts every request to a service and lets a matching fault have it."""

    def __init__(self, app: ASGIApp, faults: Faults, traffic: Traffic) -> None:
        self._app = app
        self._faults = faults
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            await self._app(scope, receive, add_date(None, send))
            return
        lane, scope = _split_lane(scope)
        service, slash, rest = scope["path"].lstrip("/").partition("/")
        method, path = scope["method"], slash + rest
        with self._traffic.counted(service, method, path) as counts:

            async def handle(scope: Scope, receive: Receive, send: Send) -> None:
                for count in counts:
                    count.handled += 1
                await self._app(scope, receive, send)

            fault = self._faults.take(lane, service, method, path)
            send = add_date(fault, send)
            if fault is None:
                await handle(scope, receive, send)
            elif fault.action == HOLD:
                await self._hold(handle, scope, receive, send)
            else:
                await ACTIONS[fault.action](fault, handle, scope, receive, send)

    async def _hold(self, handle: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Takes the whole request first, to notice when its client hangs up, and gives it to the handler again."""
        tasks = [asyncio.ensure_future(self._faults.cleared())]  # first: they may be cleared while the request comes
        taken: list[Message] = []

        async def again() -> Message:
            return taken.pop(0) if taken else await receive()

        try:
            taken.append(await receive())
            while taken[-1].get("more_body"):
                taken.append(await receive())
            tasks.append(asyncio.ensure_future(receive()))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            released = tasks[0].done()
        finally:
            for task in tasks:
                task.cancel()
        if released:
            await handle(scope, again, send)


def _split_lane(scope: Scope) -> tuple[str, Scope]:
    """The lane of a request, and the request without it."""
    if not scope["path"].startswith(LANE):
        return "", scope
    lane, _, rest = scope["path"].removeprefix(LANE).partition("/")
    raw = scope["raw_path"].removeprefix(f"{LANE}{lane}".encode())
    return lane, {**scope, "path": f"/{rest}", "raw_path": raw}
