"""A long list a page at a time, with a cursor that notices when the list has changed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from typing import NamedTuple

from testlab_tools.errors import BadInput


class Page(NamedTuple):
    """`items` of the list; `cursor` asks for those that follow, and is empty on the last page."""

    items: list[str]
    cursor: str


def page_of(items: Sequence[str], limit: int, cursor: str) -> Page:
    """Up to `limit` items from where `cursor` says, or from the first.

    Raises:
        BadInput: the cursor was made for another list, or by nobody.
    """
    mark = blake2s("\n".join(items).encode("utf-8", "replace"), digest_size=6).hexdigest()
    start = _read(cursor, mark) if cursor else 0
    end = start + limit
    return Page(list(items[start:end]), f"{mark}-{end}" if end < len(items) else "")


def _read(cursor: str, mark: str) -> int:
    made_for, dash, start = cursor.partition("-")
    if not (dash and start.isascii() and start.isdecimal() and len(start) < 10):
        raise BadInput("The cursor is not one this tool gave", "", "Leave it out to start again.")
    if made_for != mark:
        raise BadInput(
            "The cursor belongs to other arguments, or the list has changed since",
            "",
            "Repeat the arguments, or leave the cursor out to start again.",
        )
    return int(start)
