"""The tables of history: runs, the failed cases of those that did not pass, and measurements.

Times are UTC and stored without zone. A text that the service does not tell is '', a number so is NULL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal, NamedTuple, cast

VERSION = 2
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
    pack, or the procedure's version; `created_at` when the service got it; `attempt` which start of its unit it was.
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
    attempt: int | None = None


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
    **dict.fromkeys(("attempt", "attempts"), "INTEGER"),
}


def columns(table: Table) -> dict[str, str]:
    """The columns of a table in their order, with their SQL type."""
    return {name: _SQL_TYPES.get(name, "TEXT") for name in ROWS[table]._fields}


def clean(table: Table, rows: Iterable[Row]) -> dict[str, list[Cell]]:
    """The columns of rows as a store keeps them: texts valid and bounded, times without zone, numbers finite.

    Raises:
        TypeError: a row is not of the table, or a cell not of its column's type; a time lacks its zone.
    """
    kind = ROWS[table]
    given = list(rows)
    for row in given:
        if not isinstance(row, kind):
            raise TypeError(f"a row of {table} is a {kind.__name__}, not a {type(row).__name__}")
    types = columns(table)
    cells = zip(*given, strict=True) if given else [()] * len(types)
    cleaned = {name: _CLEANERS[sql_type](column) for (name, sql_type), column in zip(types.items(), cells, strict=True)}
    if None in cleaned["started_at"]:
        raise TypeError(f"a row of {table} needs its started_at")
    if table == "measurements":
        _write_out(cast(list[Measurement], given), cleaned)
    return cleaned


def _write_out(rows: Sequence[Measurement], cleaned: Mapping[str, list[Cell]]) -> None:
    """Give a number that is none a text that says which."""
    for number, (row, value) in enumerate(zip(rows, cleaned["value"], strict=True)):
        if value is None and row.value is not None and not row.text:
            cleaned["text"][number] = "nan" if row.value != row.value else "inf" if row.value > 0 else "-inf"


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


def _clean_texts(column: Sequence[object]) -> list[Cell]:
    kept = {text: clean_text(text) for text in set(column)}  # most texts of a column are few
    return [kept[text] for text in column]


def _clean_times(column: Sequence[object]) -> list[Cell]:
    return [None if moment is None else _clean_time(moment) for moment in column]


def _clean_time(moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise TypeError("a time is a datetime with its zone")
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).replace(tzinfo=None)


def _clean_numbers(column: Sequence[object]) -> list[Cell]:
    return [None if number is None else _clean_number(number) for number in column]


def _clean_number(number: object) -> float | None:
    if not isinstance(number, int | float):
        raise TypeError(f"a number is a float, not a {type(number).__name__}")
    try:
        return float(number) if math.isfinite(number) else None
    except OverflowError:  # an int beyond the floats
        return None


def _clean_counts(column: Sequence[object]) -> list[Cell]:
    return [None if count is None else _clean_count(count) for count in column]


def _clean_count(count: object) -> int:
    if not isinstance(count, int):
        raise TypeError(f"a count is an int, not a {type(count).__name__}")
    return min(max(count, 0), 2**31 - 1)


_CLEANERS: Mapping[str, Callable[[Sequence[object]], list[Cell]]] = {
    "TEXT": _clean_texts,
    "TIMESTAMP": _clean_times,
    "DOUBLE PRECISION": _clean_numbers,
    "INTEGER": _clean_counts,
}
