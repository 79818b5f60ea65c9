"""The tables of history: runs, the failed cases of those that did not pass, and measurements.

Times are UTC and stored without zone. A text that the service does not tell is '', a number so is NULL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, NamedTuple

VERSION = 1
"""Of the tables; a store that was written with another is thrown away and filled again."""
Table = Literal["runs", "failures", "measurements"]
EndedAs = Literal["pass", "fail", "error", "timeout", "aborted", "skip", "stopped"]
"""Runs that have not ended are not kept."""
MAX_CHARS = 500
"""Of a text; a longer one keeps its beginning and a hash, so that two different texts stay different."""
_HASH_CHARS = 16


class Run(NamedTuple):
    """A run that has ended. `run_id` is the handle; `test` the procedure, test plan or test case as in `list_runs`.

    `station` is a node, station or stand; `sample` is '', `golden`, `failing` or `ignored`; `revision` that of the test
    pack, or the procedure's version; `created_at` when the service got it.
    """

    service: str
    run_id: str
    test: str
    ended_as: EndedAs
    started_at: datetime
    duration_s: float | None = None
    station: str = ""
    slot: str = ""
    unit: str = ""
    part: str = ""
    part_revision: str = ""
    batch: str = ""
    sample: str = ""
    revision: str = ""
    job_uid: str = ""
    category: str = ""
    reason: str = ""
    created_at: datetime | None = None


class Failure(NamedTuple):
    """A failed case of a run that did not pass, at its last attempt; `attempts` is how often the run tried it."""

    service: str
    run_id: str
    test: str
    started_at: datetime
    case_name: str
    reason: str = ""
    attempts: int | None = None


class Measurement(NamedTuple):
    """What a case measured at its last attempt: a number in `value`, anything else in `text`.

    `started_at` is that of the run; `outcome` is `pass`, `fail` or `unset`.
    """

    service: str
    run_id: str
    test: str
    started_at: datetime
    case_name: str
    name: str
    value: float | None = None
    text: str = ""
    units: str = ""
    low: float | None = None
    high: float | None = None
    outcome: str = "unset"


Row = Run | Failure | Measurement
Cell = str | float | int | datetime | None
ROWS: Mapping[Table, type[Run] | type[Failure] | type[Measurement]] = {
    "runs": Run,
    "failures": Failure,
    "measurements": Measurement,
}
TABLES: tuple[Table, ...] = tuple(ROWS)
_SQL_TYPES = {
    **dict.fromkeys(("started_at", "created_at"), "TIMESTAMP"),
    **dict.fromkeys(("duration_s", "value", "low", "high"), "DOUBLE PRECISION"),
    "attempts": "INTEGER",
}


def columns(table: Table) -> dict[str, str]:
    """The columns of a table in their order, with their SQL type."""
    return {name: _SQL_TYPES.get(name, "TEXT") for name in ROWS[table]._fields}


def clean(table: Table, rows: Iterable[Row]) -> list[list[Cell]]:
    """Rows as a store keeps them: texts valid and bounded, times without zone, numbers finite.

    Raises:
        TypeError: a row is not of the table, or a cell not of its column's type; a time lacks its zone.
    """
    kind = ROWS[table]
    cleaners = [_CLEANERS[sql_type] for sql_type in columns(table).values()]
    cleaned: list[list[Cell]] = []
    for row in rows:
        if not isinstance(row, kind):
            raise TypeError(f"a row of {table} is a {kind.__name__}, not a {type(row).__name__}")
        cells = [clean_cell(cell) for clean_cell, cell in zip(cleaners, row, strict=True)]
        if row.started_at is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise TypeError(f"a row of {table} needs its started_at")
        if isinstance(row, Measurement) and row.value is not None and cells[6] is None and not row.text:
            cells[7] = "nan" if row.value != row.value else "inf" if row.value > 0 else "-inf"
        cleaned.append(cells)
    return cleaned


def clean_text(text: object) -> str:
    """A text without NUL and lone surrogates, of bounded length: as it is kept, and as a query must ask for it."""
    if not isinstance(text, str):
        raise TypeError(f"a text is a str, not a {type(text).__name__}")
    if len(text) > MAX_CHARS:
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
        text = f"{text[: MAX_CHARS - _HASH_CHARS - 1]}…{digest}"
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _clean_time(moment: object) -> datetime | None:
    if moment is None:
        return None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise TypeError("a time is a datetime with its zone")
    return moment.astimezone(UTC).replace(tzinfo=None)


def _clean_number(number: object) -> float | None:
    if number is None:
        return None
    if not isinstance(number, int | float):
        raise TypeError(f"a number is a float, not a {type(number).__name__}")
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:  # an int beyond the floats
        return None


def _clean_count(count: object) -> int | None:
    if count is None:
        return None
    if not isinstance(count, int):
        raise TypeError(f"a count is an int, not a {type(count).__name__}")
    return min(max(count, 0), 2**31 - 1)


_CLEANERS: Mapping[str, Callable[[object], Cell]] = {
    "TEXT": clean_text,
    "TIMESTAMP": _clean_time,
    "DOUBLE PRECISION": _clean_number,
    "INTEGER": _clean_count,
}
