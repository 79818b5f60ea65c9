"""Encodes and decodes the audit's lines, each of which holds the hash of the line before.

A line is one JSON object in ASCII. Its last member, `hash`, is the SHA-256 of the line without it; the member before,
`prev`, is the hash of the previous line. The hashes are not keyed: anybody who may write the file can rewrite all of
it, which only a hash kept elsewhere shows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

GENESIS = "0" * 64
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_HASH_CHARS = len(',"hash":""}') + 64


class ChainPosition(NamedTuple):
    """A place in the chain: a line's number and its hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> ChainPosition | None:
        """From `SEQ:HASH`, as `str` writes it; None for another text."""
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text.strip())
        return cls(int(found[1]), found[2]) if found else None

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = ChainPosition(0, GENESIS)


@dataclass(frozen=True)
class Line:
    """A line as read; `intact` when it holds its own hash."""

    position: ChainPosition
    prev: str
    intact: bool
    record: Mapping[str, Any]


def encode_record(record: Mapping[str, object], after: ChainPosition, now: datetime) -> tuple[bytes, ChainPosition]:
    """The line of a record that follows `after`, with its line break, and its position."""
    time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"time": time, "seq": after.seq + 1, **record, "prev": after.hash}
    text = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return text[:-1] + f',"hash":"{digest}"}}\n'.encode(), ChainPosition(after.seq + 1, digest)


def decode_record(line: bytes) -> Line | None:
    """Decode a line without its line break; None when it is not a line of an audit."""
    body, tail = line[:-_HASH_CHARS] + b"}", _HASH.fullmatch(line[-_HASH_CHARS:])
    try:
        record: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if tail is None or not isinstance(record, dict):
        return None
    members = cast(dict[str, Any], record)
    seq, prev = members.get("seq"), members.get("prev")
    if type(seq) is not int or not isinstance(prev, str):
        return None
    digest = tail[1].decode()
    return Line(ChainPosition(seq, digest), prev, hashlib.sha256(body).hexdigest() == digest, members)
