"""What the audit keeps of a call's arguments and answer: no secrets, a bounded size, and the handles they name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from testlab_tools.untrusted import sanitize

MAX_CHARS = 200
"""Of a text; a longer text is cut, and its length and hash are added."""
MAX_MEMBERS = 20
MAX_DEPTH = 6
MAX_BYTES = 6_000
"""Of an argument; of a larger argument, only the length and hash are written."""
MAX_INPUT_CHARS = 30_000
"""Of an argument as received, if it is not a text; a larger argument is hashed without being redacted."""
MAX_REFUSED_CHARS = 2_000
"""Of all arguments of a refused call, which must not cost much."""

MASKED = "[masked]"
HASHED_ONLY = frozenset({"content"})
"""Arguments that hold whole reports."""

TARGET_ARGUMENTS = (
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
"""Arguments that name the target of a call, the most exact first."""

RESULT_HANDLES = ("run_id", "run_ids", "job_uid", "reservation_id", "delivery_id", "queued", "deleted", "saved_to")

_SECRET_NAME = re.compile(
    r"token|secret|passw|pwd|api.?key|apikey|credential|cookie|authori[sz]ation|bearer|private.?key|signature|session.?id",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"((?:bearer|token|basic|api[-_ ]?key|password|passwd|pwd|secret)[\"']?(?:\s*[:=]|\s)\s*[\"']?)[^\s\"',;]{6,}"
    r"|((?:token|password|passwd|pwd|secret)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]+"
    r"|([?&](?:x-amz-[a-z-]+|signature|sig|token|key|se|sp)=)[^&\s\"']+"
    r"|(\btlm_)[A-Za-z0-9_-]+"
    r"|(://)[^/\s@:]+:[^/\s@]+@",
    re.IGNORECASE,
)


def redact(arguments: Mapping[str, object]) -> dict[str, Any]:
    """The arguments for a line: without secrets, and of bounded size."""
    redacted: dict[str, Any] = {}
    for name, value in list(arguments.items())[:MAX_MEMBERS]:
        kept = _digest(value) if (name in HASHED_ONLY and value) or _is_large(value) else _redact_value(name, value, 0)
        redacted[_name(name)] = kept if len(json.dumps(kept)) <= MAX_BYTES else _digest(value)
    if len(arguments) > MAX_MEMBERS:
        redacted["…"] = f"{len(arguments) - MAX_MEMBERS} more"
    return redacted


def redact_refused(arguments: Mapping[str, object]) -> dict[str, Any]:
    """The same for a refused call. Beyond `MAX_REFUSED_CHARS`, long arguments, or all of them, are hashed."""
    redacted = redact(arguments)
    if len(json.dumps(redacted)) <= MAX_REFUSED_CHARS:
        return redacted
    small = {
        name: kept if len(json.dumps(kept)) <= MAX_CHARS else _digest(arguments.get(name, kept))
        for name, kept in redacted.items()
    }
    return small if len(json.dumps(small)) <= MAX_REFUSED_CHARS else _digest(redacted)


def target_of(arguments: Mapping[str, object]) -> str:
    """The target of a call: a handle, a serial number or nodes; empty when it names none."""
    for name in TARGET_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            return _short(value)
        if isinstance(value, list) and value:
            return _short(", ".join(str(item)[:MAX_CHARS] for item in cast(list[object], value)[:MAX_MEMBERS]))
    return ""


def handles_in(answer: Mapping[str, Any]) -> list[str]:
    """The handles in a tool's answer: what it made, ended or deleted."""
    found: list[str] = []
    reservations: object = answer.get("reservations")
    parts = [answer, *(cast(list[object], reservations) if isinstance(reservations, list) else [])]
    for part in [cast(Mapping[str, Any], part) for part in parts if isinstance(part, Mapping)]:
        for name in RESULT_HANDLES:
            value = part.get(name)
            found += [str(item) for item in cast(list[object], value)] if isinstance(value, list) else []
            found += [value] if isinstance(value, str) and value else []
    return [_short(handle) for handle in dict.fromkeys(found)][:MAX_MEMBERS]


def shorten(text: str) -> str:
    """A client's text about itself, made plain and cut to 80 characters."""
    return sanitize(text[:320])[:80]


def _redact_value(name: str, value: object, depth: int) -> Any:
    if _SECRET_NAME.search(name) and value not in ("", None, False):
        return MASKED
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return value if abs(value or 0) < 1e18 else "[a number too large to tell]"
    if depth >= MAX_DEPTH:
        return _digest(value)
    if isinstance(value, Mapping):
        members = list(cast(Mapping[object, object], value).items())
        kept = {_name(str(key)): _redact_value(str(key), inner, depth + 1) for key, inner in members[:MAX_MEMBERS]}
        return kept | ({"…": f"{len(members) - MAX_MEMBERS} more"} if len(members) > MAX_MEMBERS else {})
    if isinstance(value, Sequence):
        items = cast(Sequence[object], value)
        listed = [_redact_value(name, item, depth + 1) for item in items[:MAX_MEMBERS]]
        return listed + ([f"… {len(items) - MAX_MEMBERS} more"] if len(items) > MAX_MEMBERS else [])
    return type(value).__name__


def _text(text: str) -> Any:
    short = _short(text)
    return short if len(text) <= MAX_CHARS else {"text": short, **_digest(text)}


def _short(text: str) -> str:
    """Mask first, then cut: a part of a secret would not be recognised."""
    return _SECRET_TEXT.sub(_mask, sanitize(text[: 8 * MAX_CHARS]))[:MAX_CHARS]


def _mask(found: re.Match[str]) -> str:
    return f"{next(filter(None, found.groups()))}{MASKED}{'@' if found[5] else ''}"


def _is_large(value: object) -> bool:
    return isinstance(value, Mapping | list) and len(json.dumps(value, default=str)) > MAX_INPUT_CHARS


def _name(name: str) -> str:
    return sanitize(name[:60])


def _digest(value: object) -> dict[str, Any]:
    """Length and hash, by which a text can be recognised."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)
    return {"chars": len(text), "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}
