"""A long list a page at a time."""

from __future__ import annotations

import pytest

from testlab_tools.cursors import encode_cursor, paginate
from testlab_tools.errors import BadInput

ITEMS = [f"item {n}" for n in range(7)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_the_cursors_lead_through_every_item_once(limit: int) -> None:
    seen, cursor, pages = [], "", 0
    while cursor or not pages:
        items, cursor = paginate(ITEMS, limit, cursor)
        seen += items
        pages += 1
    assert seen == ITEMS
    assert pages == -(-7 // limit)


def test_an_empty_list_is_one_empty_page() -> None:
    assert paginate([], 10, "") == ([], "")


def test_a_cursor_notices_that_the_list_has_changed() -> None:
    _, cursor = paginate(ITEMS, 3, "")
    with pytest.raises(BadInput, match="or the list has changed since"):
        paginate([*ITEMS, "item 7"], 3, cursor)


@pytest.mark.parametrize("cursor", ["x", "-", "abc-", "abc--1", "abc-1e3", "abc-٣", "abc-99999999999999999999"])
def test_what_is_no_cursor_is_told(cursor: str) -> None:
    with pytest.raises(BadInput, match="not one this tool gave"):
        paginate(ITEMS, 3, cursor)


def test_a_cursor_past_the_end_is_an_empty_last_page() -> None:
    cursor = encode_cursor("\n".join(ITEMS), 30)
    assert paginate(ITEMS, 3, cursor) == ([], "")
