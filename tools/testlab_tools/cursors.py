"""Cursors: where a list goes on; and the pages of a list that is known whole.

A cursor is tied to what it was made for, and holds no readable text of it.
"""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from hashlib import blake2s
from typing import Any, NamedTuple

from testlab_tools.errors import BadInput

MAX_BYTES = 10_000
"""Of an unpacked cursor, so that a forged one cannot fill the memory."""


def encode_cursor(made_for: str, position: Any) -> str:
    """The cursor for a position (any JSON) in the list that the arguments `made_for` give."""
    return _pack([_digest(made_for), position])


def decode_cursor(cursor: str, made_for: str, stale: str = "The cursor belongs to other arguments") -> Any:
    """The position that `encode_cursor` was given.

    Raises:
        BadInput: it is no cursor, or was made for something else: then in the words of `stale`.
    """
    try:
        packed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        digest, position = json.loads(_unpack(packed))
    except (ValueError, TypeError, RecursionError, zlib.error):
        raise cursor_error() from None
    if cursor != _pack([digest, position]):  # bits that zlib ignores were altered
        raise cursor_error()
    if digest != _digest(made_for):
        raise BadInput(stale, "", "Repeat them, or leave the cursor out.")
    return position


def cursor_error() -> BadInput:
    """The error for a cursor, or a position in it, that nobody here has written."""
    return BadInput("The cursor is not one this tool gave", "", "Leave it out to start again.")


def _digest(made_for: str) -> str:
    return blake2s(made_for.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _pack(body: Any) -> str:
    packed = zlib.compress(json.dumps(body, separators=(",", ":")).encode(), 9)
    return urlsafe_b64encode(packed).decode().rstrip("=")


def _unpack(packed: bytes) -> bytes:
    """Unpack all of it: zlib's checksum, at the end of the stream, shows what was altered on the way."""
    stream = zlib.decompressobj()
    unpacked = stream.decompress(packed, MAX_BYTES)
    if not stream.eof:
        raise ValueError("the cursor was cut")
    return unpacked


class Page(NamedTuple):
    """`items` of the list; `cursor` asks for those that follow, and is empty on the last page."""

    items: list[str]
    cursor: str


def paginate(items: Collection[str], limit: int, cursor: str) -> Page:
    """Up to `limit` of the items, from where `cursor` says, or from the first.

    Raises:
        BadInput: it is no cursor, or was made for another list.
    """
    listed, made_for = list(items), "\n".join(items)
    stale = "The cursor belongs to other arguments, or the list has changed since"
    start = decode_cursor(cursor, made_for, stale) if cursor else 0
    if not isinstance(start, int) or start < 0:
        raise cursor_error()
    end = start + limit
    return Page(listed[start:end], encode_cursor(made_for, end) if end < len(listed) else "")
