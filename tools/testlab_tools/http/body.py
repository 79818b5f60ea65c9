"""Bodies as they come, unpacked in small pieces: some kilobytes of gzip are as many megabytes in one."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from weakref import WeakKeyDictionary

import httpx2

PIECE_BYTES = 64 * 2**10
LARGE_BYTES = 2**20
"""Bodies larger than this are read one at a time in the whole process, so that many at once do not fill the memory."""

_Turns = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
_reading: _Turns = WeakKeyDictionary()
_leaving: _Turns = WeakKeyDictionary()


async def iter_pieces(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The body, at most PIECE_BYTES at a time, unpacked where it is gzip or deflate (RFC 9110 section 8.4.1).

    Raises:
        httpx2.DecodingError: what came is not packed as its header says.
    """
    packed = response.headers.get("content-encoding", "").strip().casefold() in ("gzip", "deflate")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header: gzip's or zlib's
    first = True
    async for raw in response.aiter_raw():
        if not packed:
            for start in range(0, len(raw), PIECE_BYTES):
                yield raw[start : start + PIECE_BYTES]
            continue
        rest = raw
        while rest:
            try:
                piece = unpack.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                if not first:
                    raise httpx2.DecodingError(str(error)) from None
                # Some servers send deflate without zlib's header, which RFC 9110 section 8.4.1.2 notes.
                unpack, first = zlib.decompressobj(-zlib.MAX_WBITS), False
                continue
            first, rest = False, unpack.unconsumed_tail
            if piece:
                yield piece


async def read_whole(response: httpx2.Response, max_bytes: int) -> bytes | None:
    """The body unpacked; None where it is larger than `max_bytes`.

    Raises:
        httpx2.DecodingError: as `pieces`.
    """
    body = bytearray()
    async with AsyncExitStack() as turn:
        waited = False
        async for piece in iter_pieces(response):
            body += piece
            if len(body) > max_bytes:
                return None
            if len(body) > LARGE_BYTES:
                if not waited:
                    waited = True
                    await turn.enter_async_context(_turn(_reading))
                await asyncio.sleep(0)  # unpacking waits for nothing: let others have their turn
        if len(body) > PIECE_BYTES:  # it is parsed next, which waits for nothing either
            async with _turn(_leaving):
                await asyncio.sleep(0)
        return bytes(body)


def _turn(turns: _Turns) -> asyncio.Lock:
    return turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
