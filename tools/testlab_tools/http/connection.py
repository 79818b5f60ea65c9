"""A connection of `DirectGets`: what a socket has received, as a buffer that is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import httpx2

MAX_AHEAD_BYTES = 2**18
"""Received and not taken: beyond, the socket is not read."""


class Connection(asyncio.Protocol):
    """A connection, and what it has received that is not taken yet. One request at a time."""

    def __init__(self, open_: set[Connection]) -> None:
        self.received = bytearray()
        self.ended = False
        self.keeps = False
        self.idle_since = 0.0
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._paused = False
        self._open = open_

    @property
    def at_rest(self) -> bool:
        """Whether its answer has been read whole, and another request can be sent."""
        return self.keeps and not self.ended and not self.received

    def write(self, request: bytes) -> None:
        self.keeps = False
        self._transport.write(request)

    def close(self) -> None:
        self.ended = True
        self._transport.abort()

    async def body(self, length: int, seconds: float, keeps: bool) -> AsyncGenerator[bytes]:
        """A body of so many bytes, as it comes; `keeps` says whether another answer may come after it."""
        while length:
            if not self.received:
                if self.ended:
                    raise httpx2.RemoteProtocolError("The body broke off")
                await self.wait(seconds)
                continue
            piece = self.take(length)
            length -= len(piece)
            yield piece
        self.keeps = keeps

    def take(self, most: int | None = None) -> bytes:
        """What has been received, at most so much."""
        taken = bytes(self.received[:most])
        del self.received[: len(taken)]
        if self._paused and not self.ended:
            self._paused = False
            self._transport.resume_reading()
        return taken

    async def wait(self, seconds: float) -> None:
        """Wait until more is received or the connection has ended. Raises httpx2.TransportError where it broke."""
        if not self.ended:
            loop = asyncio.get_running_loop()
            waiting = self._waiting = loop.create_future()
            timer = loop.call_later(seconds, _expire, waiting)
            try:
                await waiting
            finally:
                timer.cancel()
                self._waiting = None
        if self._error is not None and not self.received:
            raise httpx2.ReadError(type(self._error).__name__)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) > MAX_AHEAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended, self._error = True, exc
        self._open.discard(self)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _expire(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_exception(httpx2.ReadTimeout(""))
