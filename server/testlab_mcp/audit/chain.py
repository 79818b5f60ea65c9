"""Lines that each hold the hash of the one before, so that none can be taken out, put in or altered unseen.

A line is one JSON object in ASCII. Its last member, `hash`, is the SHA-256 of the line without it; the member before,
`prev`, is the hash of the line before. The hashes are not keyed: whoever may write the file can write all of it anew,
which only a hash kept elsewhere shows.
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


class Link(NamedTuple):
    """A place in the chain: a line's number and its hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Link | None:
        """From `SEQ:HASH`, as `str` writes it; None when it is not one."""
        seq, _, digest = text.strip().partition(":")
        whole = re.fullmatch(r"[0-9]{1,18}", seq) and re.fullmatch(r"[0-9a-f]{64}", digest)
        return cls(int(seq), digest) if whole else None

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = Link(0, GENESIS)


@dataclass(frozen=True)
class Line:
    """A line as read: `genuine` when it holds its own hash."""

    link: Link
    prev: str
    genuine: bool
    said: Mapping[str, Any]


def sealed(said: Mapping[str, object], after: Link, now: datetime) -> tuple[bytes, Link]:
    """The line that says this and follows `after`, with its line break; and its place."""
    time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = {"time": time, "seq": after.seq + 1, **said, "prev": after.hash}
    text = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return text[:-1] + f',"hash":"{digest}"}}\n'.encode(), Link(after.seq + 1, digest)


def opened(line: bytes) -> Line | None:
    """A line, without its line break; None when it is no line of an audit at all."""
    body, tail = line[:-_HASH_CHARS] + b"}", _HASH.fullmatch(line[-_HASH_CHARS:])
    try:
        said: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if tail is None or not isinstance(said, dict):
        return None
    facts = cast(dict[str, Any], said)
    seq, prev = facts.get("seq"), facts.get("prev")
    if type(seq) is not int or not isinstance(prev, str):
        return None
    digest = tail[1].decode()
    return Line(Link(seq, digest), prev, hashlib.sha256(body).hexdigest() == digest, facts)
