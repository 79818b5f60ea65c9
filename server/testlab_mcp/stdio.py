"""MCP over standard input and output, for clients of either protocol era: one JSON message a line, and nothing else.

The SDK takes a connection's era from its first request, and a `server/discover` makes it a modern one for good. Some
clients send it only to probe, give up while the process starts, and use the old handshake (Vercel's AI SDK does after
one second). Each `server/discover` at the beginning is therefore answered as a connection of its own, and the first
other request decides the era.

Two threads read and write. The end waits for neither: a read without input, or a pipe that nobody empties, must not
keep the process alive.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import anyio
from anyio import from_thread
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import (
    PROTOCOL_VERSION_META_KEY,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

Frame = SessionMessage | Exception
"""A message, or the error of a line that is no message."""
_LOOP_IS_GONE = (RuntimeError, CancelledError, anyio.BrokenResourceError, anyio.ClosedResourceError)


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until standard input ends, standard output is closed, or a signal arrives. Waiting calls are then
    cancelled, nothing more is written, and the server's lifespan ends in its own time."""
    with standard_streams() as wire:
        async with anyio.create_task_group() as group:
            group.start_soon(_end_on_signal, wire)
            async with server.lifespan(server) as state:
                wire.start()
                frames = _Frames(_answer_probes(server, state, wire))
                options = server.create_initialization_options()
                await serve_dual_era_loop(server, frames, Outlet(wire), lifespan_state=state, init_options=options)
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
    async for frame in wire.frames:
        request = frame.message if isinstance(frame, SessionMessage) else None
        if undecided and isinstance(request, JSONRPCRequest):
            if _is_probe(request):
                outlet = Outlet(wire)
                await serve_dual_era_loop(server, _Frames(_only(frame, outlet)), outlet, lifespan_state=state)
                continue
            undecided = False
        yield frame


def _is_probe(request: JSONRPCRequest) -> bool:
    """Whether a request is a `server/discover` of the modern era."""
    meta = (request.params or {}).get("_meta")
    return request.method == "server/discover" and isinstance(meta, dict) and PROTOCOL_VERSION_META_KEY in meta


async def _only(probe: Frame, outlet: Outlet) -> AsyncGenerator[Frame]:
    """The frames of a connection that ends once this request has been answered."""
    yield probe
    await outlet.answered.wait()


class _Frames(ObjectReceiveStream[Frame]):
    """Frames as the read stream of one of the SDK's loops."""

    def __init__(self, frames: AsyncGenerator[Frame]) -> None:
        self._frames = frames

    async def receive(self) -> Frame:
        try:
            return await anext(self._frames)
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def aclose(self) -> None:
        await self._frames.aclose()


class Wire:
    """Incoming frames are received from `frames`, which ends with the input, when the output is closed, and at `end`.
    Nothing is written after that: a client that has closed one stream does not use the other."""

    frames: MemoryObjectReceiveStream[Frame]

    def __init__(self, source: BinaryIO, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._incoming, self.frames = anyio.create_memory_object_stream[Frame](0)
        self._outgoing: queue.SimpleQueue[tuple[bytes, Callable[[], None]]] = queue.SimpleQueue()
        self._over = threading.Event()

    def start(self) -> None:
        """Start the threads."""
        token = current_token()
        threading.Thread(target=self._read, args=(token,), name="wire-in", daemon=True).start()
        threading.Thread(target=self._write, args=(token,), name="wire-out", daemon=True).start()

    def end(self) -> None:
        """Behave as if the input had ended."""
        self._over.set()
        self._incoming.close()

    async def send(self, message: SessionMessage) -> None:
        """Write a message; after the end it is dropped."""
        text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        written = anyio.Event()
        if not self._over.is_set():
            self._outgoing.put((text.encode() + b"\n", written.set))
            await written.wait()

    def _read(self, token: EventLoopToken) -> None:
        with suppress(OSError, *_LOOP_IS_GONE):
            for line in self._source:
                from_thread.run(self._incoming.send, _frame(line), token=token)
        self._over.set()
        with suppress(*_LOOP_IS_GONE):
            from_thread.run_sync(self.end, token=token)

    def _write(self, token: EventLoopToken) -> None:
        while True:
            line, written = self._outgoing.get()
            if not self._over.is_set():
                try:
                    _write_all(self._sink, line)
                except OSError:
                    self._over.set()
                    with suppress(*_LOOP_IS_GONE):
                        from_thread.run_sync(self.end, token=token)
            with suppress(*_LOOP_IS_GONE):
                from_thread.run_sync(written, token=token)


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


@contextmanager
def standard_streams() -> Generator[Wire]:
    """The process's own streams as a wire. What else the process prints goes to standard error, and it reads nothing.
    The streams are not given back: nothing may be written to the wire after its end."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:
        os.dup2(nothing, 1)
    os.close(nothing)
    if sys.platform == "win32":
        from mcp.os.win32.utilities import rebind_std_handle_to_fd

        rebind_std_handle_to_fd(0)
        rebind_std_handle_to_fd(1)
    # closefd=False: a thread may still use it at the end.
    yield Wire(os.fdopen(source, "rb", closefd=False), sink)


def _frame(line: bytes) -> Frame:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False))
    except ValueError as error:
        return error


def _write_all(descriptor: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
