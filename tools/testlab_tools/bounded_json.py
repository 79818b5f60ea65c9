"""JSON from elsewhere, counted before it is built: 15 KB of `[[],[],…` packed by gzip are gigabytes of Python lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MAX_ELEMENTS = 250_000
"""Of one document: its commas, opening brackets and braces. As dicts and lists they take some 100 MB at most."""


class TooManyElements(ValueError):
    """The document has more than MAX_ELEMENTS."""


def load_json(
    data: bytes | str,
    *,
    max_elements: int = MAX_ELEMENTS,
    parse_constant: Callable[[str], object] | None = None,
    parse_float: Callable[[str], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], object] | None = None,
) -> Any:
    """Parse `data` as json.loads does, unless it holds too much.

    Raises:
        TooManyElements: it holds more than `max_elements`; nothing of it was built.
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    # Every comma and bracket is a byte of its own in UTF-8, and beside a zero byte in UTF-16 and UTF-32.
    octets = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    few = has_few_elements(octets, max_elements)
    if not few and _separators(_without_strings(octets, max_elements)) > max_elements:
        raise TooManyElements(f"more than {max_elements} elements")
    return json.loads(data, parse_constant=parse_constant, parse_float=parse_float, object_pairs_hook=object_pairs_hook)


def has_few_elements(octets: bytes, max_elements: int = MAX_ELEMENTS) -> bool:
    """Whether it holds at most so many, with all commas and brackets in its texts counted as well."""
    return len(octets) <= max_elements or _separators(octets) <= max_elements


def _separators(octets: bytes) -> int:
    return octets.count(b",") + octets.count(b"[") + octets.count(b"{")


def _without_strings(octets: bytes, max_elements: int) -> bytes:
    """The document with its strings cut out, so that commas in them do not count."""
    if b"\\" in octets:
        octets = octets.replace(b"\\\\", b"").replace(b'\\"', b"")
    if octets.count(b'"') > 4 * max_elements:
        raise TooManyElements(f"more than {2 * max_elements} texts")
    return b"".join(octets.split(b'"')[::2])
