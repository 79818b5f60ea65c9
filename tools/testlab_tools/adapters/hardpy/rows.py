"""The rows of `GET /api/json_data`, one by one as they come: the panel answers all runs it has ever kept at once, and
has no other list."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any, cast

from testlab_tools.bounded_json import MAX_ELEMENTS

MAX_ROW_CHARS = 8 * 2**20
"""Of one document: a dialog's picture is in it."""
_BEGINNING = re.compile(r'\s*\{\s*"rows"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_MAX_BEGINNING = 200
_GROWTH = 1.5
"""A row that was incomplete is decoded again once there is so many times as much of it."""


class NotRows(Exception):
    """The answer does not begin as a list of rows; `text` is its beginning."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class BrokenRows(Exception):
    """A row is no JSON object with a document, too large, or the end is missing."""


async def read_rows(chunks: AsyncIterable[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """The documents of all rows, each dropped by whoever has read it.

    Raises:
        NotRows: it is no list of rows; of the answer no more than a screenful is read.
        BrokenRows: what came before is not the whole.
    """
    text, begun, enough = "", False, 0
    async with aclosing(_pieces(chunks)) as pieces:
        async for piece in pieces:
            text += piece
            if not begun:
                if not (head := _BEGINNING.match(text)):
                    if len(text) > _MAX_BEGINNING:
                        break
                    continue
                text, begun = text[head.end() :], True
            within_picture = "}" not in piece and len(text) <= MAX_ROW_CHARS
            if piece and (within_picture or len(text) < enough):
                continue
            at = 0
            while (found := _decode(text, at)) is not None:
                document, at = found
                if document is None:
                    return
                yield document
            text = text[at:]
            enough = min(int(len(text) * _GROWTH), MAX_ROW_CHARS + 1)
    if not begun:
        raise NotRows(text[:_MAX_BEGINNING])
    raise BrokenRows


async def _pieces(chunks: AsyncIterable[bytes]) -> AsyncGenerator[str, None]:
    """The text as it comes; an empty one is its end. Raises BrokenRows where it is no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        async for chunk in chunks:
            if piece := decoder.decode(chunk):
                yield piece
    except UnicodeDecodeError:
        raise BrokenRows from None
    yield ""


def _decode(text: str, at: int) -> tuple[dict[str, Any] | None, int] | None:
    """The next document and where its row ends; a document of None at the list's end, None where more must come."""
    between = _BETWEEN.match(text, at)
    start = between.end() if between else at
    if text[start : start + 1] == "]":
        return None, start
    if len(text) - start > MAX_ELEMENTS and sum(text.count(sign, start) for sign in ",[{") > MAX_ELEMENTS:
        raise BrokenRows
    try:
        row, end = json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError:
        if len(text) - start > MAX_ROW_CHARS:
            raise BrokenRows from None
        return None
    except (ValueError, RecursionError):
        raise BrokenRows from None
    document: object = cast("dict[str, object]", row).get("doc") if isinstance(row, dict) else None
    if not isinstance(document, dict):
        raise BrokenRows
    return cast("dict[str, Any]", document), end
