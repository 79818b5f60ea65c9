"""MCP over standard input and output, for clients of either protocol era: one JSON message a line, and nothing else.

The SDK takes a connection's era from its first request, and a `server/discover` makes it a modern one for good. Some
clients send it only to probe, give up while the process starts, and use the old handshake (Vercel's AI SDK does after
one second). Each `server/discover` at the beginning is therefore answered as a connection of its own, and the first
other request decides the era.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from typing import Any

import anyio
from anyio.abc import ObjectSendStream
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from testlab_mcp.era import Frames, serve_in_era
from testlab_mcp.startup.conversation import is_probe
from testlab_mcp.startup.early import Early
from testlab_mcp.startup.recorder import Recorder
from testlab_mcp.startup.responder import Taken
from testlab_mcp.startup.streams import take_streams
from testlab_mcp.wire import Frame, Wire


async def serve_stdio(server: Server[Any], early: Early | None = None) -> None:
    """Serve until standard input ends, standard output is closed, or a signal arrives. Waiting calls are then
    cancelled, nothing more is written, and the server's lifespan ends in its own time. What was answered `early` is
    answered once more, and compared."""
    taken = early.take_over() if early is not None else Taken(*take_streams())
    recorder = Recorder(early, taken.answered) if early is not None else None
    if recorder is not None:
        server.middleware.insert(0, recorder.hold_lists)
    wire = Wire(taken)
    async with anyio.create_task_group() as group:
        group.start_soon(_end_on_signal, wire)
        if recorder is not None:
            group.start_soon(recorder.save_later)
        async with server.lifespan(server) as state:
            wire.start()
            frames = _answer_probes(server, state, wire, recorder)
            await serve_in_era(server, frames, Outlet(wire, recorder), state)
        group.cancel_scope.cancel()
    if recorder is not None:
        recorder.save()


async def _end_on_signal(wire: Wire) -> None:
    """End on the first signal. Further ones do not disturb the closing, except for a second ^C."""
    interrupts = 0
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            interrupts += number == signal.SIGINT
            if interrupts > 1:
                os._exit(130)
            wire.end()


async def _answer_probes(
    server: Server[Any], state: Any, wire: Wire, recorder: Recorder | None
) -> AsyncGenerator[Frame]:
    """The wire's frames, without the probes before the first other request, which are answered here."""
    undecided = True
    async for frame in wire.frames():
        request = frame.message if isinstance(frame, SessionMessage) else None
        if recorder is not None and not recorder.takes(request):
            continue
        if undecided and isinstance(request, JSONRPCRequest):
            if is_probe(request.method, request.params):
                outlet = Outlet(wire, recorder)
                await serve_dual_era_loop(server, Frames(_only(frame, outlet)), outlet, lifespan_state=state)
                continue
            undecided = False
        yield frame


async def _only(probe: Frame, outlet: Outlet) -> AsyncGenerator[Frame]:
    """The frames of a connection that ends once this request has been answered."""
    yield probe
    await outlet.answered.wait()


class Outlet(ObjectSendStream[SessionMessage]):
    """A wire's output as the SDK's write stream; `answered` is set by the first answer."""

    def __init__(self, wire: Wire, recorder: Recorder | None = None) -> None:
        self._wire, self._recorder = wire, recorder
        self.answered = anyio.Event()

    async def send(self, item: SessionMessage) -> None:
        """Write a message, unless the client has it already."""
        message = item.message if self._recorder is None else self._recorder.check(item.message)
        if message is not None:
            await self._wire.send(item if message is item.message else SessionMessage(message))
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.answered.set()

    async def aclose(self) -> None:
        """The wire outlives those who write to it."""
