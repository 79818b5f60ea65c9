"""The rows of `GET /api/json_data`, one by one as they come: the panel answers all runs it has ever kept at once, and
has no other list."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, cast

from testlab_tools.bounded_json import MAX_ELEMENTS

MAX_ROW_CHARS = 8 * 2**20
"""Of one document: a dialog's picture is in it."""
_BEGINNING = re.compile(r'\s*\{\s*"rows"\s*:\s*\[')
_BETWEEN = re.compile(r"[\s,]*")
_MAX_BEGINNING = 200


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
    text, begun = "", False
    decoder = codecs.getincrementaldecoder("utf-8")()
    async for chunk in chunks:
        try:
            piece = decoder.decode(chunk)
        except UnicodeDecodeError:
            raise BrokenRows from None
        text += piece
        if not begun:
            if not (head := _BEGINNING.match(text)):
                if len(text) > _MAX_BEGINNING:
                    break
                continue
            text, begun = text[head.end() :], True
        if "}" not in piece and len(text) <= MAX_ROW_CHARS:
            continue  # within a picture
        at = 0
        while (found := _decode(text, at)) is not None:
            document, at = found
            if document is None:
                return
            yield document
        text = text[at:]
    if not begun:
        raise NotRows(text[:_MAX_BEGINNING])
    raise BrokenRows


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
