"""Standard input and output as MCP's messages: one JSON message a line, read and written by the event loop.

The end waits for nobody: neither a read without input nor a pipe that nobody empties keeps the process alive. The files
are not made non-blocking, as who started the process may share them; they are asked whether they are ready, and a pipe
that is takes PIPE_BUF bytes at once (POSIX, `write`). What cannot be asked, a file and anything on Windows, is read and
written by a thread.
"""

from __future__ import annotations

import asyncio
import os
import queue
import select
import socket
import stat
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Protocol

from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from testlab_mcp.startup.responder import MAX_AHEAD, Taken

Frame = SessionMessage | Exception
"""A message, or the error of a line that is no message."""
_CHUNK = 2**16


class Wire:
    """Frames come from `frames`, which ends with the input, when the output is closed, and at `end`. Nothing is written
    after that: a client that has closed one stream does not use the other."""

    def __init__(self, taken: Taken) -> None:
        """`taken` is what was read of the streams before, and not written to them yet."""
        self._taken = taken
        self._lines = deque(taken.lines)
        self._arrived = asyncio.Event()
        self._over = False
        self._reader: _Reader | None = None
        self._writer: _Writer | None = None

    def start(self) -> None:
        """Begin to read. Called on the event loop."""
        self._writer = _make_writer(self._taken.sink, self.end)
        if self._taken.is_over:
            self._close()
        else:
            self._reader = _make_reader(self._taken, self._take, self._close)

    def end(self) -> None:
        """Take no more lines, not even those that have been read."""
        self._lines.clear()
        self._close()

    def _close(self) -> None:
        """The input has ended: what has been read is still taken."""
        if not self._over:
            self._over = True
            self._arrived.set()
            for side in (self._reader, self._writer):
                if side is not None:
                    side.stop()

    async def frames(self) -> AsyncGenerator[Frame]:
        """The messages, until the end."""
        if self._taken.unsent and self._writer is not None and not self._over:
            await self._writer.write(self._taken.unsent)
        while True:
            while self._lines:
                yield _frame(self._lines.popleft())
            if self._over:
                return
            if self._reader is not None:
                self._reader.resume()
            await self._arrived.wait()
            self._arrived.clear()

    async def send(self, message: SessionMessage) -> None:
        """Write a message; after the end it is dropped."""
        if not self._over and self._writer is not None:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            await self._writer.write(text.encode() + b"\n")

    def _take(self, line: bytes) -> bool:
        """Keep a line; returns whether more may come."""
        self._lines.append(line)
        self._arrived.set()
        return len(self._lines) < MAX_AHEAD


class _Reader(Protocol):
    """Gives lines to a function until it says that it has enough, and goes on at `resume`."""

    def resume(self) -> None: ...
    def stop(self) -> None: ...


class _Writer(Protocol):
    """Writes lines in the order given; returns when one is written, or will never be."""

    async def write(self, line: bytes) -> None: ...
    def stop(self) -> None: ...


class _LoopReader:
    """Reads when the event loop says that there is something."""

    def __init__(self, taken: Taken, take: Callable[[bytes], bool], end: Callable[[], None]) -> None:
        self._source, self._take, self._end = taken.source, take, end
        self._begun = taken.begun
        self._loop = asyncio.get_running_loop()
        self._is_reading = False
        self.resume()

    def resume(self) -> None:
        """Raises OSError or NotImplementedError for what cannot be waited for."""
        if not self._is_reading:
            self._loop.add_reader(self._source, self._read)
            self._is_reading = True

    def stop(self) -> None:
        if self._is_reading:
            self._loop.remove_reader(self._source)
            self._is_reading = False

    def _read(self) -> None:
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        head, *lines = data.split(b"\n")
        self._begun.append(head)
        wants_more = True
        for line in lines:
            wants_more = self._take(b"".join(self._begun))
            self._begun = [line]
        if not data:
            if last := b"".join(self._begun):
                self._take(last)
            self._end()
        elif not wants_more:
            self.stop()


class _LoopWriter:
    """Writes what the output takes at once, and the rest when the event loop says that it takes more."""

    def __init__(self, sink: int, end: Callable[[], None]) -> None:
        self._sink, self._end = sink, end
        self._rest: deque[tuple[memoryview, asyncio.Future[None]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(sink, select.POLLOUT)
        is_socket = stat.S_ISSOCK(os.fstat(sink).st_mode)
        self._socket = socket.socket(fileno=os.dup(sink)) if is_socket else None

    async def write(self, line: bytes) -> None:
        rest = memoryview(line)
        if not self._rest:
            try:
                while rest and (done := self._put(rest)):
                    rest = rest[done:]
            except OSError:
                return self._end()
            if not rest:
                return None
            self._loop.add_writer(self._sink, self._flush)
        written = self._loop.create_future()
        self._rest.append((rest, written))
        return await written

    def stop(self) -> None:
        with suppress(OSError):
            self._loop.remove_writer(self._sink)
        while self._rest:
            _finish(self._rest.popleft()[1])

    def _flush(self) -> None:
        try:
            while self._rest:
                line, written = self._rest[0]
                done = self._put(line)
                if not done:
                    return
                self._rest[0] = line[done:], written
                if done == len(line):
                    self._rest.popleft()
                    _finish(written)
            self._loop.remove_writer(self._sink)
        except OSError:
            self._end()

    def _put(self, line: memoryview) -> int:
        """How much of it is written without waiting."""
        if self._socket is not None:
            with suppress(BlockingIOError):
                return self._socket.send(line, socket.MSG_DONTWAIT)
            return 0
        return os.write(self._sink, line[: select.PIPE_BUF]) if self._poll.poll(0) else 0


def _finish(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)


class _ThreadReader:
    """Reads in a thread that nobody waits for."""

    def __init__(self, taken: Taken, take: Callable[[bytes], bool], end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._may_read = threading.Event()
        self._may_read.set()
        self._give = take
        threading.Thread(target=self._read, args=(taken, end), name="wire-in", daemon=True).start()

    def resume(self) -> None:
        self._may_read.set()

    def stop(self) -> None:
        """It ends with the process."""

    def _read(self, taken: Taken, end: Callable[[], None]) -> None:
        begun = b"".join(taken.begun)
        with suppress(OSError, RuntimeError):  # the loop is closed
            # closefd=False: the thread may still use it when the process ends.
            for line in os.fdopen(taken.source, "rb", closefd=False):
                self._may_read.wait()
                self._loop.call_soon_threadsafe(self._take, begun + line.removesuffix(b"\n"))
                begun = b""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(end)

    def _take(self, line: bytes) -> None:
        if not self._give(line):
            self._may_read.clear()


class _ThreadWriter:
    """Writes in a thread that nobody waits for."""

    def __init__(self, sink: int, end: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._is_over = threading.Event()
        self._lines: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write, args=(sink, end), name="wire-out", daemon=True).start()

    async def write(self, line: bytes) -> None:
        written = self._loop.create_future()
        self._lines.put((line, written))
        await written

    def stop(self) -> None:
        self._is_over.set()

    def _write(self, sink: int, end: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            while True:
                line, written = self._lines.get()
                if not self._is_over.is_set():
                    try:
                        rest = memoryview(line)
                        while rest:
                            rest = rest[os.write(sink, rest) :]
                    except OSError:
                        self._is_over.set()
                        self._loop.call_soon_threadsafe(end)
                self._loop.call_soon_threadsafe(_finish, written)


def _make_reader(taken: Taken, take: Callable[[bytes], bool], end: Callable[[], None]) -> _Reader:
    with suppress(OSError, NotImplementedError):
        return _LoopReader(taken, take, end)
    return _ThreadReader(taken, take, end)


def _make_writer(sink: int, end: Callable[[], None]) -> _Writer:
    return _ThreadWriter(sink, end) if sys.platform == "win32" else _LoopWriter(sink, end)


def _frame(line: bytes) -> Frame:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line.decode(errors="replace"), by_name=False))
    except ValueError as error:
        return error
