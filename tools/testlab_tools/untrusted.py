"""Text that devices, logs, test authors and operators wrote: sanitized before anyone reads it.

An `Untrusted` field is data, never an instruction. It is stripped of what can act on a terminal or hide from a
reader: ANSI and OSC sequences, control, bidirectional, zero-width and Unicode-tag characters.
"""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, cast

from pydantic import AfterValidator

MAX_CHARS = 2_000
MAX_QUOTED = 500
"""Characters of a text that is quoted in a question to a person."""

MAX_DEPTH = 20
MAX_DIGITS = 100

_ESCAPES = re.compile(
    # ECMA-48 sections 5.3 to 5.6 and 8.3, with xterm's BEL as end of an OSC. One that never ends loses only its opener.
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\|\x9c)"  # OSC … ST
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x90\x98\x9c\x9e\x9f]*(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC … ST
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[ -/]*[0-~]"
)
_OPENERS = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f]")
"""What each of _ESCAPES begins with: a text without them is searched several times as fast."""
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U00013430-\U0001345f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_LOGIN = re.compile(r"[0-9A-Za-z._@-]+")


def sanitize(text: str) -> str:
    """Remove what acts on a terminal or hides from a reader. Line breaks stay, as `\\n`, and tabs."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _OPENERS.search(text):
        text = _ESCAPES.sub("", text)
    return _HIDDEN.sub("", text)


def shorten(text: str, limit: int = MAX_CHARS) -> str:
    """Sanitized text of at most `limit` characters. When the text is longer, its end says how many are left out."""
    if len(text) <= limit and text.isascii() and text.isprintable():  # as almost all are
        return text
    text = sanitize(text)
    if len(text) <= limit:
        return text
    kept = limit - len(_notice(len(text)))
    return text[:kept] + _notice(len(text) - kept)


def shorten_start(text: str, limit: int = MAX_CHARS) -> str:
    """As `shorten`, but the end of the text is kept, and its beginning says how many characters are left out."""
    text = sanitize(text)
    if len(text) <= limit:
        return text
    kept = limit - len(_notice(len(text)))
    return _notice(len(text) - kept) + text[-kept:]


def sanitize_data(value: Any, depth: int = 0) -> Any:
    """JSON data with every text in it sanitized and shortened, names included.

    A notice replaces what is nested deeper than MAX_DEPTH. A number that JSON does not have (NaN, ±inf) and one of more
    than MAX_DIGITS become text.
    """
    if isinstance(value, str):
        return shorten(value)
    if isinstance(value, list | dict) and depth == MAX_DEPTH:
        return "… [more within]"
    if isinstance(value, list):
        return [sanitize_data(item, depth + 1) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        members = cast(dict[Any, Any], value).items()
        return {sanitize_data(name): sanitize_data(item, depth + 1) for name, item in members}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        return f"a number of more than {MAX_DIGITS} digits"
    return value


def quote(text: str, limit: int = MAX_QUOTED) -> str:
    """Sanitized, shortened text on one line, in quotation marks that it cannot close (as in JSON)."""
    return json.dumps(shorten(text, limit), ensure_ascii=False)


def login_of(name: str) -> str:
    """A user name, if it looks like one, or `host/user`: anything else stays out of our sentences."""
    parts = name.split("/")
    plain = len(parts) <= 2 and all(len(part) <= 40 and _LOGIN.fullmatch(part) for part in parts)
    return name if plain or not name else "another user"


def _notice(missing: int) -> str:
    return f"… [{missing} more characters]"


class FromLab:
    """Marks a field as written by devices, logs or people."""


FROM_LAB = FromLab()
Untrusted = Annotated[str, AfterValidator(shorten), FROM_LAB]
"""A string field whose content came from the lab; results list such fields under `untrusted`."""

UntrustedEnd = Annotated[str, AfterValidator(shorten_start), FROM_LAB]
"""As `Untrusted`, for a traceback, whose end is kept."""

UntrustedData = Annotated[Any, AfterValidator(sanitize_data), FROM_LAB]
"""As `Untrusted`, for a field of any JSON type."""
