"""What an audit's line says of a call's arguments: enough to know what was asked, no secret, no report, never much."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from testlab_tools.untrusted import plain

MOST_CHARS = 200
"""Of one text; longer ones are cut, and told with their length and hash."""
MOST_MEMBERS = 20
DEEPEST = 6
MOST_BYTES = 6_000
"""Of one argument; a larger one is told by its length and hash alone."""
MOST_READ = 30_000
"""Characters of an argument that is no text, as it came: a larger one is not even looked through."""

MASKED = "[masked]"
NEVER = frozenset({"content"})
"""Arguments that hold whole reports: told by length and hash alone."""

TARGETS = (
    "run_id",
    "job_uid",
    "reservation_id",
    "delivery_id",
    "node_id",
    "node_ids",
    "serial_number",
    "path",
    "revision",
    "service",
    "uri",
)
"""The arguments that say what a call is about, the most exact first."""

MADE = ("run_id", "run_ids", "job_uid", "reservation_id", "delivery_id", "queued", "deleted", "saved_to")

_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|api.?key|apikey|credential|cookie|authori[sz]ation|bearer|private.?key|signature|session.?id",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"((?:bearer|token|basic|api[-_ ]?key|password|secret)(?:\s*[:=]|\s)\s*)[^\s\"',;]{6,}"
    r"|([?&](?:x-amz-[a-z-]+|signature|sig|token|key|se|sp)=)[^&\s\"']+"
    r"|(://)[^/\s@:]+:[^/\s@]+@",
    re.IGNORECASE,
)


def redacted(arguments: Mapping[str, object]) -> dict[str, Any]:
    """The arguments as a line tells them."""
    told: dict[str, Any] = {}
    for name, value in list(arguments.items())[:MOST_MEMBERS]:
        kept = _digest(value) if (name in NEVER and value) or _large(value) else _told(name, value, 0)
        told[_name(name)] = kept if len(json.dumps(kept)) <= MOST_BYTES else _digest(value)
    if len(arguments) > MOST_MEMBERS:
        told["…"] = f"{len(arguments) - MOST_MEMBERS} more"
    return told


def target_of(arguments: Mapping[str, object]) -> str:
    """What a call is about: a handle, a serial number, nodes; empty when it names nothing."""
    for name in TARGETS:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return _short(value)
        if isinstance(value, list) and value:
            return _short(", ".join(str(item)[:MOST_CHARS] for item in cast(list[object], value)[:MOST_MEMBERS]))
    return ""


def made_by(answer: Mapping[str, Any]) -> list[str]:
    """The handles that a tool's answer names: what it made, ended or deleted."""
    found: list[str] = []
    for part in (answer, *_parts(answer.get("reservations"))):
        for name in MADE:
            value = part.get(name)
            found += [str(item) for item in cast(list[object], value)] if isinstance(value, list) else []
            found += [value] if isinstance(value, str) and value else []
    return [_short(handle) for handle in dict.fromkeys(found)][:MOST_MEMBERS]


def shortened(text: str, most: int = 80) -> str:
    """A client's own words about itself: plain, and not many."""
    return plain(text[: 4 * most])[:most]


def _told(name: str, value: object, depth: int) -> Any:
    if _SECRET_NAME.search(name) and value not in ("", None, False):
        return MASKED
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value if abs(value or 0) < 1e18 else "[a number too large to tell]"
    if depth >= DEEPEST:
        return _digest(value)
    if isinstance(value, Mapping):
        members = list(cast(Mapping[object, object], value).items())
        told = {_name(str(key)): _told(str(key), inner, depth + 1) for key, inner in members[:MOST_MEMBERS]}
        return told | ({"…": f"{len(members) - MOST_MEMBERS} more"} if len(members) > MOST_MEMBERS else {})
    if isinstance(value, Sequence):
        items = cast(Sequence[object], value)
        listed = [_told(name, item, depth + 1) for item in items[:MOST_MEMBERS]]
        return listed + ([f"… {len(items) - MOST_MEMBERS} more"] if len(items) > MOST_MEMBERS else [])
    return type(value).__name__


def _text(text: str) -> Any:
    short = _short(text)
    return short if len(text) <= MOST_CHARS else {"text": short, **_digest(text)}


def _short(text: str) -> str:
    """Masked before it is cut: what is left of a secret would not look like one."""
    return _SECRET_TEXT.sub(_mask, plain(text[: 8 * MOST_CHARS]))[:MOST_CHARS]


def _mask(found: re.Match[str]) -> str:
    return f"{found[1] or found[2] or found[3]}{MASKED}{'@' if found[3] else ''}"


def _large(value: object) -> bool:
    return isinstance(value, Mapping | list) and len(json.dumps(value, default=str)) > MOST_READ


def _name(name: str) -> str:
    return plain(name[:60])


def _digest(value: object) -> dict[str, Any]:
    """Length and hash: whoever has the text can show that it was this one."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)
    return {"chars": len(text), "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}


def _parts(value: object) -> list[Mapping[str, Any]]:
    items = cast(list[object], value) if isinstance(value, list) else []
    return [cast(Mapping[str, Any], item) for item in items if isinstance(item, Mapping)]
