"""Histories in PostgreSQL, for servers on several machines: the same tables, with the history's key in front."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, LiteralString, cast

import anyio
import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier, Literal

from testlab_tools.archive.postgres_tables import LOCK_CLASS, SCHEMA, create_tables, list_columns, qualify
from testlab_tools.archive.schema import TABLES, Row, Table, clean
from testlab_tools.archive.staging import StagingWriter
from testlab_tools.archive.store import (
    HistoryBusy,
    HistoryState,
    TooLarge,
    as_plain,
    bind,
    check_key,
    finish_in_thread,
    with_tables,
)
from testlab_tools.durable.sessions import connect
from testlab_tools.errors import LabError

_LOCK_POLL_S = 0.1
_FOR_SUMMARIES = (
    SQL("SET enable_nestloop = off"),
    SQL("SET work_mem = '64MB'"),
    SQL("SET search_path = {}, pg_catalog").format(Identifier(SCHEMA)),
)
"""A summary joins many rows with many; PostgreSQL, which takes first attempts to be few, would look each up alone. And
`lower` is that of the tables' schema."""
_PARAMETER = re.compile(r"\$([a-z_]\w*)")


class PostgresStore:
    """Histories in one database. `url` is libpq's; it may hold a password, and is never quoted."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prepared = False
        self._preparing = Lock()

    def view(self, keys: Sequence[str]) -> PostgresView:
        return PostgresView(self, [check_key(key) for key in keys])

    async def read_state(self, key: str) -> HistoryState:
        return await asyncio.to_thread(self._read_state, check_key(key))

    @asynccontextmanager
    async def write(self, key: str, wait_s: float = 0.0) -> AsyncGenerator[PostgresWriter]:
        with as_lab_errors():
            session = await finish_in_thread(partial(self.connect, autocommit=True))
        try:
            await _lock(session, check_key(key), wait_s)
            with as_lab_errors():
                writer = await finish_in_thread(partial(PostgresWriter, session, key))
            yield writer
        finally:
            await finish_in_thread(partial(_release, session))

    async def list_keys(self) -> list[str]:
        def read() -> list[str]:
            with as_lab_errors(), self.connect() as session:
                found = session.execute(SQL("SELECT history FROM {} ORDER BY history").format(qualify("histories")))
                return [row[0] for row in found]

        return await asyncio.to_thread(read)

    async def discard(self, key: str) -> None:
        async with self.write(key) as writer:
            await finish_in_thread(writer.discard)

    def connect(self, *, autocommit: bool = False) -> Connection[tuple[Any, ...]]:
        """A session on a database that has the tables. Blocks. Raises psycopg.Error."""
        session = connect(self._url, autocommit=autocommit)
        try:
            with self._preparing:
                if not self._prepared:
                    with session.transaction():
                        create_tables(session)
                    self._prepared = True
        except BaseException:
            session.close()
            raise
        return session

    def _read_state(self, key: str) -> HistoryState:
        with as_lab_errors(), self.connect() as session:
            return read_state(session, key)


class PostgresView:
    """Reads what is committed, in transactions that can only read; one that keeps a table has a session of its own."""

    def __init__(
        self, store: PostgresStore, keys: Sequence[str], session: Connection[tuple[Any, ...]] | None = None
    ) -> None:
        self._store = store
        self._keys = keys
        self._session = session

    async def rows(self, sql: str, params: Mapping[str, object] = {}) -> list[tuple[Any, ...]]:
        with as_lab_errors():
            if self._session is not None:
                return await self._ask(self._session, "", sql, params)
            async with self._connect() as session:
                session.read_only = True
                return await self._ask(session, "", sql, params)

    @asynccontextmanager
    async def keep(self, name: str, sql: str, params: Mapping[str, object] = {}) -> AsyncGenerator[PostgresView]:
        with as_lab_errors():
            async with self._connect() as session:
                await self._ask(session, f'CREATE TEMP TABLE "{name}" AS ', sql, params)
                yield PostgresView(self._store, self._keys, session)

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Connection[tuple[Any, ...]]]:
        session = await asyncio.to_thread(self._store.connect)
        try:
            yield session
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(session.cancel_safe))
            raise
        finally:
            await finish_in_thread(session.close)

    async def _ask(
        self, session: Connection[tuple[Any, ...]], what: str, sql: str, params: Mapping[str, object]
    ) -> list[tuple[Any, ...]]:
        """The rows of a SELECT, or what is done with them."""
        return await asyncio.to_thread(self._read, session, what, sql, bind(sql, params))

    def _read(
        self, session: Connection[tuple[Any, ...]], what: str, sql: str, params: dict[str, object]
    ) -> list[tuple[Any, ...]]:
        keys = SQL(", ").join(map(Literal, self._keys or [""]))
        sources: dict[Table, str] = {
            table: SQL("SELECT {} FROM {} WHERE history IN ({})")
            .format(list_columns(table), qualify(table), keys)
            .as_string(session)
            for table in TABLES
        }
        for setting in _FOR_SUMMARIES:
            session.execute(setting)
        query = what + _PARAMETER.sub(r"%(\1)s", with_tables(sql, sources).replace("%", "%%"))
        found = session.execute(cast(LiteralString, query), params)
        return as_plain(found.fetchall()) if found.description else []


class PostgresWriter(StagingWriter):
    """Writes one history over a session that holds its lock; rows wait in temporary tables."""

    def __init__(self, session: Connection[tuple[Any, ...]], key: str) -> None:
        self._session = session
        self._key = key
        self.sync: dict[str, Any] = dict(read_state(session, key).sync)
        self.lost = ""
        for table in TABLES:
            session.execute(
                SQL("CREATE TEMP TABLE {} (LIKE {}, position BIGSERIAL)").format(
                    Identifier(f"staged_{table}"), qualify(table)
                )
            )
            session.execute(SQL("CREATE TEMP TABLE {} (run_id TEXT)").format(Identifier(f"gone_{table}")))

    async def commit(self) -> HistoryState:
        await self._finish(self._commit)
        return await finish_in_thread(partial(read_state, self._session, self._key))

    def discard(self) -> None:
        """Remove all rows of the history. Blocks."""
        with as_lab_errors(), self._session.transaction():
            for name in (*TABLES, "histories"):
                self._session.execute(SQL("DELETE FROM {} WHERE history = %s").format(qualify(name)), [self._key])

    async def _finish(self, call: Callable[[], None]) -> None:
        with as_lab_errors():
            await finish_in_thread(call)

    def _stage(self, table: Table, rows: Iterable[Row], *, replaces: bool) -> None:
        cleaned = clean(table, rows)
        staged, names = Identifier(f"staged_{table}"), list_columns(table)
        with self._session.transaction():
            with self._session.cursor().copy(SQL("COPY {} (history, {}) FROM STDIN").format(staged, names)) as copy:
                for row in zip(*cleaned.values(), strict=True):
                    copy.write_row([self._key, *row])
            if replaces:
                self._copy_gone([str(run_id) for run_id in cleaned["run_id"]], [table])

    def _mark_gone(self, run_ids: Sequence[str], tables: Sequence[Table]) -> None:
        with self._session.transaction():
            self._copy_gone(run_ids, tables)

    def _copy_gone(self, run_ids: Sequence[str], tables: Sequence[Table]) -> None:
        for table in tables:
            with self._session.cursor().copy(SQL("COPY {} FROM STDIN").format(Identifier(f"gone_{table}"))) as copy:
                for run_id in run_ids:
                    copy.write_row([run_id])

    def _delete_staged(self, limit: datetime) -> None:
        for table in TABLES:
            self._session.execute(
                SQL("DELETE FROM {} WHERE started_at < %s").format(Identifier(f"staged_{table}")), [limit]
            )

    def _commit(self) -> None:
        with self._session.transaction():
            changes = {table: self._merge(table) for table in TABLES}
            self._session.execute(
                SQL(
                    "INSERT INTO {histories} (history, sync, runs, failures, measurements) "
                    "VALUES (%(key)s, %(sync)s, %(runs)s, %(failures)s, %(measurements)s) "
                    "ON CONFLICT (history) DO UPDATE SET sync = excluded.sync, runs = histories.runs + excluded.runs, "
                    "failures = histories.failures + excluded.failures, "
                    "measurements = histories.measurements + excluded.measurements"
                ).format(histories=qualify("histories")),
                {"key": self._key, "sync": json.dumps(self.sync), **changes},
            )
            for table in TABLES:
                names = (Identifier(f"staged_{table}"), Identifier(f"gone_{table}"))
                self._session.execute(SQL("TRUNCATE {}, {}").format(*names))
        self._before = None

    def _merge(self, table: Table) -> int:
        """By how many rows the table has grown."""
        kept, staged, gone = qualify(table), Identifier(f"staged_{table}"), Identifier(f"gone_{table}")
        removed = self._session.execute(
            SQL("DELETE FROM {} WHERE history = %s AND run_id IN (SELECT run_id FROM {})").format(kept, gone),
            [self._key],
        ).rowcount
        if self._before is not None:
            limit = self._before.astimezone(UTC).replace(tzinfo=None)
            removed += self._session.execute(
                SQL("DELETE FROM {} WHERE history = %s AND started_at < %s").format(kept), [self._key, limit]
            ).rowcount
        latest = SQL("DISTINCT ON (run_id)") if table == "runs" else SQL("")
        order = SQL("ORDER BY run_id, position DESC") if table == "runs" else SQL("")
        added = self._session.execute(
            SQL("INSERT INTO {} SELECT {} history, {} FROM {} {}").format(
                kept, latest, list_columns(table), staged, order
            )
        ).rowcount
        return added - removed


def read_state(session: Connection[tuple[Any, ...]], key: str) -> HistoryState:
    """What is held of a history. Blocks. Raises psycopg.Error."""
    held = session.execute(
        SQL("SELECT sync, runs, failures, measurements FROM {} WHERE history = %s").format(qualify("histories")), [key]
    ).fetchone()
    if held is None:
        return HistoryState()
    span = SQL("SELECT min(started_at), max(started_at) FROM {} WHERE history = %s").format(qualify("runs"))
    first, last = cast(tuple[datetime | None, datetime | None], session.execute(span, [key]).fetchone())
    return HistoryState(
        rows=dict(zip(TABLES, held[1:], strict=True)),
        size_bytes=None,
        first=first and first.replace(tzinfo=UTC),
        last=last and last.replace(tzinfo=UTC),
        sync=json.loads(held[0]),
    )


@contextmanager
def as_lab_errors() -> Generator[None]:
    """Raise what psycopg raises as LabError, without the message: it may quote an address or a row."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise LabError(
            "History cannot be written: the database's disk is full",
            "What was kept before is as it was",
            "Make space where the PostgreSQL of [archive] database_url keeps its data.",
        ) from error
    except psycopg.errors.NumericValueOutOfRange:
        raise TooLarge.numbers() from None
    except psycopg.Error as error:
        raise LabError(
            f"The database of history does not answer as it should ({type(error).__name__})",
            "It is the PostgreSQL of [archive] database_url",
            "Check that it runs, that this server may create tables there, and try again.",
        ) from error


async def _lock(session: Connection[tuple[Any, ...]], key: str, wait_s: float) -> None:
    deadline = anyio.current_time() + wait_s
    query = SQL("SELECT pg_try_advisory_lock(%s, hashtext(%s))")
    while True:
        with as_lab_errors():
            row = await finish_in_thread(lambda: session.execute(query, [LOCK_CLASS, key]).fetchone())
        if row and row[0]:
            return
        if anyio.current_time() >= deadline:
            raise HistoryBusy.writing()
        await anyio.sleep(_LOCK_POLL_S)


def _release(session: Connection[tuple[Any, ...]]) -> None:
    """End the session, which drops what was staged; the server would free the lock a little later than we return."""
    with suppress(psycopg.Error):
        session.execute("SELECT pg_advisory_unlock_all()")
    session.close()
