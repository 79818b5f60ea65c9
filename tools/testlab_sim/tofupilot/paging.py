"""Pages of v2: `limit`, and an integer `cursor` that is the place in the list to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from starlette.responses import Response

from testlab_sim.tofupilot.query import DEFAULT_LIMIT, MAX_LIMIT, Query
from testlab_sim.tofupilot.service import reply

T = TypeVar("T")
Owner = TypeVar("Owner")

_CEILING = 2**53
_PER_OWNER = 1 << 16


def page(query: Query, rows: Sequence[T], shape: Callable[[T], dict[str, Any]]) -> Response:
    """One page of `rows`."""
    limit, cursor = bounds(query)
    after = cursor + limit
    return _reply([shape(row) for row in rows[cursor:after]], after if after < len(rows) else None)


def bounds(query: Query) -> tuple[int, int]:
    """The request's limit and cursor."""
    return query.whole("limit", DEFAULT_LIMIT, 1, MAX_LIMIT), query.whole("cursor", 0, 0, _CEILING)


def nested_page(
    query: Query,
    owners: Sequence[Owner],
    parts: Callable[[Owner], Iterable[T]],
    shape: Callable[[Owner, T], dict[str, Any]],
) -> Response:
    """One page of the parts of `owners` in order. The cursor holds owner and part, so no earlier owner is opened."""
    limit, cursor = bounds(query)
    at, skip = divmod(cursor, _PER_OWNER)
    found: list[dict[str, Any]] = []
    for place in range(at, len(owners)):
        owner = owners[place]
        for nth, part in enumerate(islice(parts(owner), skip, None), skip):
            if len(found) == limit:
                return _reply(found, place * _PER_OWNER + nth)
            found.append(shape(owner, part))
        skip = 0
    return _reply(found, None)


def _reply(data: list[dict[str, Any]], after: int | None) -> Response:
    return reply({"data": data, "meta": {"has_more": after is not None, "next_cursor": after}})
