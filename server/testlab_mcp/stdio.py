"""MCP over standard input and output, for clients of either protocol era.

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
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import PROTOCOL_VERSION_META_KEY, JSONRPCRequest

from testlab_mcp.stdio_streams import Frame, Outlet, Wire, standard_streams

MAX_BEFORE = 8
"""Messages kept before the first request; the SDK keeps as many."""


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until standard input ends, standard output is closed, or a signal arrives. Waiting calls are then
    cancelled, nothing more is written, and the server's lifespan ends in its own time."""
    with standard_streams() as wire:
        async with anyio.create_task_group() as group:
            group.start_soon(_end_on_signal, wire)
            async with server.lifespan(server) as state:
                wire.start()
                await _serve(server, state, wire)
            group.cancel_scope.cancel()


async def _serve(server: Server[Any], state: Any, wire: Wire) -> None:
    options = server.create_initialization_options()
    before: list[Frame] = []
    async for frame in wire.frames:
        if _is_probe(frame):
            outlet = Outlet(wire)
            await serve_dual_era_loop(server, _Frames(_only(frame, outlet)), outlet, lifespan_state=state)
            continue
        if _is_request(frame) or len(before) < MAX_BEFORE:
            before.append(frame)
        if _is_request(frame):
            rest = _Frames(_with_rest(before, wire))
            await serve_dual_era_loop(server, rest, Outlet(wire), lifespan_state=state, init_options=options)
            return


async def _end_on_signal(wire: Wire) -> None:
    """End on the first signal. Further ones do not disturb the closing, except for a second ^C."""
    interrupts = 0
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            interrupts += number == signal.SIGINT
            if interrupts > 1:
                os._exit(130)
            wire.end()


def _is_request(frame: Frame) -> bool:
    return isinstance(frame, SessionMessage) and isinstance(frame.message, JSONRPCRequest)


def _is_probe(frame: Frame) -> bool:
    """Whether a frame is a `server/discover` of the modern era."""
    if not isinstance(frame, SessionMessage) or not isinstance(frame.message, JSONRPCRequest):
        return False
    meta = (frame.message.params or {}).get("_meta")
    return frame.message.method == "server/discover" and isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


async def _only(probe: Frame, outlet: Outlet) -> AsyncGenerator[Frame]:
    """The frames of a connection that ends once this request has been answered."""
    yield probe
    await outlet.answered.wait()


async def _with_rest(before: list[Frame], wire: Wire) -> AsyncGenerator[Frame]:
    for frame in before:
        yield frame
    async for frame in wire.frames:
        yield frame


class _Frames:
    """Frames as the read stream of one of the SDK's loops."""

    def __init__(self, frames: AsyncGenerator[Frame]) -> None:
        self._frames = frames

    async def receive(self) -> Frame:
        return await anext(self._frames)

    def __aiter__(self) -> _Frames:
        return self

    async def __anext__(self) -> Frame:
        return await anext(self._frames)

    async def aclose(self) -> None:
        await self._frames.aclose()

    async def __aenter__(self) -> _Frames:
        return self

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        await self.aclose()
