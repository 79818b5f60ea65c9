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

from testlab_mcp.era import Frames, has_envelope, serve_in_era
from testlab_mcp.wire import Frame, Wire, standard_streams


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until standard input ends, standard output is closed, or a signal arrives. Waiting calls are then
    cancelled, nothing more is written, and the server's lifespan ends in its own time."""
    with standard_streams() as wire:
        async with anyio.create_task_group() as group:
            group.start_soon(_end_on_signal, wire)
            async with server.lifespan(server) as state:
                wire.start()
                await serve_in_era(server, _answer_probes(server, state, wire), Outlet(wire), state)
            group.cancel_scope.cancel()


async def _end_on_signal(wire: Wire) -> None:
    """End on the first signal. Further ones do not disturb the closing, except for a second ^C."""
    interrupts = 0
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            interrupts += number == signal.SIGINT
            if interrupts > 1:
                os._exit(130)
            wire.end()


async def _answer_probes(server: Server[Any], state: Any, wire: Wire) -> AsyncGenerator[Frame]:
    """The wire's frames, without the probes before the first other request, which are answered here."""
    undecided = True
    async for frame in wire.frames():
        request = frame.message if isinstance(frame, SessionMessage) else None
        if undecided and isinstance(request, JSONRPCRequest):
            if _is_probe(request):
                outlet = Outlet(wire)
                await serve_dual_era_loop(server, Frames(_only(frame, outlet)), outlet, lifespan_state=state)
                continue
            undecided = False
        yield frame


def _is_probe(request: JSONRPCRequest) -> bool:
    """Whether a request is a `server/discover` of the modern era."""
    return request.method == "server/discover" and has_envelope(request)


async def _only(probe: Frame, outlet: Outlet) -> AsyncGenerator[Frame]:
    """The frames of a connection that ends once this request has been answered."""
    yield probe
    await outlet.answered.wait()


class Outlet(ObjectSendStream[SessionMessage]):
    """A wire's output as the SDK's write stream; `answered` is set by the first answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.answered = anyio.Event()

    async def send(self, item: SessionMessage) -> None:
        """Write a message."""
        await self._wire.send(item)
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.answered.set()

    async def aclose(self) -> None:
        """The wire outlives those who write to it."""
