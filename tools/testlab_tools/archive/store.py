"""What a store of history does, whatever keeps it: Parquet files that DuckDB reads, or PostgreSQL.

A history is what one service told one caller; its key names both. One process at a time writes a history, under its
lock; others read meanwhile what was last committed.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio

from testlab_tools.archive.schema import TABLES, Row, Table
from testlab_tools.errors import Conflict, LabError


class HistoryBusy(Conflict):
    """Another process, or another call of this one, writes this history. What was committed can be read."""

    @classmethod
    def writing(cls) -> HistoryBusy:
        """The error while the lock is held."""
        return cls(
            "This history is being written by another call or process",
            "One at a time fetches what is new",
            "Ask again in a moment.",
        )


class HistoryDamaged(LabError):
    """A history could not be read as it was written. It has been thrown away, and has to be filled again."""


class TooLarge(LabError):
    """A question that cannot be computed within the bounds of memory, disk or numbers."""

    @classmethod
    def numbers(cls) -> TooLarge:
        """The error where values overflow."""
        return cls(
            "The values are too large to compute with",
            "Their sum or spread is beyond the largest number there is",
            "Look at the values with get_run, and leave out what is no measurement.",
        )

    @classmethod
    def groups(cls) -> TooLarge:
        """The error where memory, or the disk space used in its place, does not suffice."""
        return cls(
            "The question needs more memory, or space on disk, than statistics may use",
            "It makes too many groups at once, or the disk of the archive is full",
            "Ask for a shorter span, or fewer groups.",
        )


@dataclass(frozen=True)
class HistoryState:
    """What a history holds. `sync` is what the last commit left in `HistoryWriter.sync`; empty before the first."""

    rows: Mapping[Table, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    size_bytes: int | None = 0
    """On disk; None where that is not known of one history."""
    first: datetime | None = None
    last: datetime | None = None
    """`started_at` of the earliest and the latest run held, with its zone."""
    sync: Mapping[str, Any] = field(default_factory=dict[str, Any])
    lost: str = ""
    """Why what was there is not used: `it was written by another version`. '' where nothing is wrong."""


class HistoryView(Protocol):
    """Histories to query, as they were last committed."""

    async def rows(self, sql: str, params: Mapping[str, object] = {}) -> list[tuple[Any, ...]]:
        """Rows of one SELECT over `runs`, `failures`, `measurements`: in the SQL that DuckDB and PostgreSQL share, with
        parameters as `$name`.

        Integers divide as integers do, text sorts by code point, NULLs last ascending and first descending. Times come
        back without zone and are UTC; decimals as int or float. A time in `params` has its zone, or is UTC.

        Raises:
            HistoryDamaged: it had to be thrown away.
            TooLarge: it cannot be computed.
        """
        ...

    def keep(self, name: str, sql: str, params: Mapping[str, object] = {}) -> AbstractAsyncContextManager[HistoryView]:
        """The view with the rows of a SELECT as one more table, for as long as it is open: computed once, for several
        questions of the same runs. `name` is an identifier that no table has."""
        ...


class HistoryWriter(Protocol):
    """Writes one history. Nothing is seen by others before `commit`, which is atomic: all of it, with `sync`, or none.

    Rows are taken in batches of any size, and kept out of memory; a commit of 20,000 to 500,000 rows is best.
    """

    sync: dict[str, Any]
    """State of syncing, as JSON: kept with the rows, as it stands at `commit`."""
    lost: str
    """Why what was held before has been thrown away on opening; '' where nothing was."""

    async def append(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows. A run is held once: the row that comes last counts, whichever commit it comes in."""
        ...

    async def replace(self, table: Table, rows: Iterable[Row]) -> None:
        """Add rows in place of those that the table held of the same runs at the last commit. A run that no longer has
        any is given to `delete`."""
        ...

    async def delete(self, run_ids: Iterable[str], tables: Sequence[Table] = TABLES) -> None:
        """Remove what the tables held of these runs at the last commit; rows of this commit stay."""
        ...

    async def delete_before(self, moment: datetime) -> None:
        """Remove the rows of all tables that started before a time with its zone."""
        ...

    async def commit(self) -> HistoryState:
        """Make all that was done since the last commit visible, and keep it over a crash.

        Raises:
            LabError: the disk is full, or the database refuses. What was committed before is as it was.
        """
        ...


class HistoryStore(Protocol):
    """Histories by key: `<service>-<fingerprint of url, credential and what the caller may see>`, of `[a-z0-9_-]`."""

    def view(self, keys: Sequence[str]) -> HistoryView:
        """The rows of these histories together; one that is not there has no rows."""
        ...

    async def read_state(self, key: str) -> HistoryState:
        """What is held; an empty state where there is nothing."""
        ...

    def write(self, key: str, wait_s: float = 0.0) -> AbstractAsyncContextManager[HistoryWriter]:
        """Hold the history's lock and write; what is not committed on leaving is dropped.

        Raises:
            HistoryBusy: another has the lock for longer than `wait_s`.
            LabError: it cannot be written at all.
        """
        ...

    async def list_keys(self) -> list[str]:
        """The histories that there are."""
        ...

    async def discard(self, key: str) -> None:
        """Remove a history, unless another writes it (HistoryBusy)."""
        ...


def open_store(place: Path | str) -> HistoryStore:
    """The store in a folder, or at a PostgreSQL URL. Nothing is opened yet."""
    if isinstance(place, str):
        from testlab_tools.archive.postgres import PostgresStore

        return PostgresStore(place)
    from testlab_tools.archive.parquet import ParquetStore

    return ParquetStore(place)


_T = TypeVar("_T")
_PARAMETER = re.compile(r"\$([a-z_]\w*)")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,150}")
_WITH = re.compile(r"\s*WITH\s+(RECURSIVE\s+)?", re.IGNORECASE)


def check_key(key: str) -> str:
    """The key, if it can name a folder. Raises ValueError."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"a history's key is of [A-Za-z0-9_-], not {key[:200]!r}")
    return key


def with_tables(sql: str, tables: Mapping[Table, str]) -> str:
    """A SELECT with the tables in front of its own common table expressions; `tables` has a SELECT for each."""
    found = _WITH.match(sql)
    recursive, rest = ("RECURSIVE " if found[1] else "", f", {sql[found.end() :]}") if found else ("", f" {sql}")
    if not tables:
        return sql
    heads = ", ".join(f"{name} AS NOT MATERIALIZED ({select})" for name, select in tables.items())
    return f"WITH {recursive}{heads}{rest}"


def bind(sql: str, params: Mapping[str, object]) -> dict[str, object]:
    """The parameters that the SQL names, times as the tables have them: UTC, without zone."""
    named = set(_PARAMETER.findall(sql))
    return {name: _as_stored(value) for name, value in params.items() if name in named}


def _as_stored(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def as_plain(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows with decimals as int where they are whole, else as float: the same from every store.

    Raises:
        TooLarge: a number is beyond the floats; none that is stored is.
    """
    return [tuple(_as_number(cell) if isinstance(cell, Decimal | float) else cell for cell in row) for row in rows]


def _as_number(value: Decimal | float) -> int | float:
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    if not math.isfinite(value):
        raise TooLarge.numbers()
    return float(value)


async def finish_in_thread(call: Callable[[], _T]) -> _T:
    """Call in a thread, and wait for its end even when cancelled: what it writes is nobody else's meanwhile."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled
    return work.result()
