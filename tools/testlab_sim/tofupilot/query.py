"""Query strings of v2, the dates and durations in them, and the pages that lists are answered in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from testlab_sim.tofupilot.service import invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_MAX_CURSOR = 2**53
_PER_OWNER = 1 << 16
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")

T = TypeVar("T")
Owner = TypeVar("Owner")


class Query:
    """The query of one request; a value that cannot be read is a 400 that names its key."""

    def __init__(self, request: Request) -> None:
        self._params = request.query_params

    def text(self, key: str) -> str:
        return self._params.get(key, "")

    def many(self, key: str) -> frozenset[str]:
        """The values of a repeated key, in lower case."""
        return frozenset(value.lower() for value in self._params.getlist(key) if value)

    def choice(self, key: str, allowed: tuple[str, ...]) -> frozenset[str]:
        """The values of a repeated key out of an enumeration."""
        values = frozenset(self._params.getlist(key))
        if wrong := values - set(allowed):
            raise invalid(key, f"expected one of {'|'.join(allowed)}, got {min(wrong)!r}")
        return values

    def finds(self, *names: str) -> bool:
        """Whether `search_query` is a part of one of the names."""
        wanted = self.text("search_query").casefold()
        return any(wanted in name.casefold() for name in names)

    def descending(self, *by: str) -> bool:
        """The direction of the list; `by` are the keys it can be sorted by here."""
        for key, allowed in (("sort_by", by), ("sort_order", ("desc", "asc"))):
            if self.text(key) not in ("", *allowed):
                raise invalid(key, f"expected one of {'|'.join(allowed)}, got {self.text(key)!r}")
        return self.text("sort_order") != "asc"

    def flag(self, key: str) -> bool:
        return self.text(key).lower() == "true"

    def instant(self, key: str) -> float | None:
        text = self.text(key)
        return parse_instant(text, key) if text else None

    def bounds(self) -> tuple[int, int]:
        """`limit` and `cursor`."""
        return self._whole("limit", DEFAULT_LIMIT, 1, MAX_LIMIT), self._whole("cursor", 0, 0, _MAX_CURSOR)

    def _whole(self, key: str, default: int, low: int, high: int) -> int:
        text = self.text(key)
        if not text:
            return default
        if not re.fullmatch(r"\d+(\.0+)?", text) or not low <= int(float(text)) <= high:
            raise invalid(key, f"expected a whole number from {low} to {high}, got {text!r}")
        return int(float(text))


def page(query: Query, rows: Sequence[T], shape: Callable[[T], dict[str, Any]]) -> Response:
    """One page of `rows`; the cursor is the place in the list to go on from."""
    limit, cursor = query.bounds()
    after = cursor + limit
    return _reply([shape(row) for row in rows[cursor:after]], after if after < len(rows) else None)


def nested_page(
    query: Query, owners: Sequence[Owner], rows_of: Callable[[Owner], Iterable[dict[str, Any]]]
) -> Response:
    """One page of the rows of `owners` in order. The cursor holds owner and row, so no earlier owner is opened."""
    limit, cursor = query.bounds()
    at, skip = divmod(cursor, _PER_OWNER)
    found: list[dict[str, Any]] = []
    for place in range(at, len(owners)):
        for nth, row in enumerate(islice(rows_of(owners[place]), skip, None), skip):
            if len(found) == limit:
                return _reply(found, place * _PER_OWNER + nth)
            found.append(row)
        skip = 0
    return _reply(found, None)


def _reply(data: list[dict[str, Any]], after: int | None) -> Response:
    return JSONResponse({"data": data, "meta": {"has_more": after is not None, "next_cursor": after}})


def parse_instant(text: str, key: str) -> float:
    """ISO 8601 with zone or `Z` (without: UTC) to seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(key, f"expected an ISO 8601 datetime, got {text!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_duration(text: str, key: str) -> float:
    """ISO 8601 duration (`PT1H23M12S`) to seconds."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        raise invalid(key, f"expected an ISO 8601 duration, got {text!r}")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def duration(seconds: float) -> str:
    """Seconds to an ISO 8601 duration, to the millisecond: `PT1H23M12.5S`."""
    whole, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(whole), 60)
    text = f"{hours}H" * bool(hours) + f"{minutes}M" * bool(minutes)
    tail = f"{rest:.3f}".rstrip("0").rstrip(".")
    return f"PT{text}{tail}S" if tail != "0" or not text else f"PT{text}"
