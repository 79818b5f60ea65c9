"""Standard input and output as the wire of MCP: one JSON message a line, and nothing else.

Two threads read and write. The end waits for neither: a read without input, or a pipe that nobody empties, must not
keep the process alive.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from functools import partial
from typing import BinaryIO

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

Frame = SessionMessage | Exception
"""A message, or the error of a line that is not one."""


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
            after = written
            if not self._over.is_set():
                try:
                    _write_all(self._sink, line)
                except OSError:
                    self._over.set()
                    after = partial(_call_both, self.end, written)
            with suppress(*_LOOP_IS_GONE):
                from_thread.run_sync(after, token=token)


class Outlet:
    """A wire's output as the SDK's write stream; `answered` is set by the first answer."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.answered = anyio.Event()

    async def send(self, item: SessionMessage, /) -> None:
        """Write a message."""
        await self._wire.send(item)
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self.answered.set()

    async def aclose(self) -> None:
        """The wire outlives those who write to it."""

    async def __aenter__(self) -> Outlet:
        return self

    async def __aexit__(self, exc_type: object, exc_val: object, exc_tb: object) -> None:
        await self.aclose()


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


def _call_both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


_LOOP_IS_GONE = (RuntimeError, CancelledError, anyio.BrokenResourceError, anyio.ClosedResourceError)
