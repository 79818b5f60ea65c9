"""Histories as Parquet files, which DuckDB reads: one folder a history, with a manifest of what belongs to it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from testlab_tools.archive.engine import Engine, quote
from testlab_tools.archive.manifest import NAME, Manifest, StoredFile, describe_damage, read_manifest
from testlab_tools.archive.schema import TABLES, Table, columns
from testlab_tools.archive.store import (
    HistoryBusy,
    HistoryDamaged,
    HistoryState,
    TooLarge,
    as_plain,
    bind,
    check_key,
    finish_in_thread,
    with_tables,
)
from testlab_tools.errors import LabError
from testlab_tools.files.lock import FileLock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from testlab_tools.archive.parquet_writer import ParquetWriter

MAX_READS = 5
"""Of a manifest, while others write: a query is rarely overtaken once."""
_LOCK_POLL_S = 0.02


class ParquetStore:
    """Histories below one folder, which several servers of this machine share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.engine = Engine(self.folder)
        self.turn = asyncio.Lock()
        """Held while a question is computed, or a commit: each may use all of the engine's memory."""
        self._intact: set[tuple[str, int]] = set()

    def view(self, keys: Sequence[str]) -> ParquetView:
        return ParquetView(self, [check_key(key) for key in keys])

    async def read_state(self, key: str) -> HistoryState:
        return (await asyncio.to_thread(self.read_manifest, key)).state()

    @asynccontextmanager
    async def write(self, key: str, wait_s: float = 0.0) -> AsyncGenerator[ParquetWriter]:
        from testlab_tools.archive.parquet_writer import ParquetWriter

        async with self._lock(key, wait_s):
            writer = await finish_in_thread(partial(ParquetWriter.open, self, key))
            try:
                yield writer
            finally:
                await finish_in_thread(writer.close)

    async def list_keys(self) -> list[str]:
        return sorted(path.parent.name for path in self.folder.glob(f"*/{NAME}"))

    async def discard(self, key: str) -> None:
        async with self._lock(key, 0):
            await finish_in_thread(partial(shutil.rmtree, self.folder_of(key), ignore_errors=True))

    def folder_of(self, key: str) -> Path:
        """Where a history's files are."""
        return self.folder / check_key(key)

    def read_manifest(self, key: str) -> Manifest:
        """What belongs to a history. Blocks."""
        return read_manifest(self.folder_of(key), key)

    def find_damage(self, key: str, files: Sequence[StoredFile]) -> str:
        """What is wrong with the first file that is not as it was written, '' if all are. Each is read through once in
        this process, and again if its time changes. Blocks."""
        folder = self.folder_of(key)
        for file in files:
            if damage := describe_damage(folder, file, content=False):
                return damage
            with suppress(FileNotFoundError):
                seen = (f"{key}/{file.name}", (folder / file.name).stat().st_mtime_ns)
                if seen not in self._intact:
                    if damage := describe_damage(folder, file, content=True):
                        return damage
                    self._intact.add(seen)
        return ""

    async def throw_away(self, seen: Manifest, damage: str) -> None:
        """Leave an empty history that says what was wrong, unless another has written since it was seen."""
        with suppress(HistoryBusy):
            async with self._lock(seen.history, 0):
                await finish_in_thread(partial(self._empty, seen, damage))

    def _empty(self, seen: Manifest, damage: str) -> None:
        if self.read_manifest(seen.history) == seen:
            with suppress(OSError):  # on a full disk, the next who reads finds the same
                Manifest(history=seen.history, lost=damage).write(self.folder_of(seen.history))

    @asynccontextmanager
    async def _lock(self, key: str, wait_s: float) -> AsyncGenerator[None]:
        lock = FileLock(self.folder / f"{check_key(key)}.lock")
        deadline = anyio.current_time() + wait_s
        try:
            while not lock.acquire():
                if anyio.current_time() >= deadline:
                    raise HistoryBusy.writing()
                await anyio.sleep(_LOCK_POLL_S)
        except OSError as error:
            raise LabError(
                f"History cannot be written: {error.strerror or type(error).__name__}",
                "The system does not let its folder be written to",
                f"Make {self.folder} one that the server's user may write to, or move it with [archive] path.",
            ) from None
        try:
            yield
        finally:
            lock.release()


class ParquetView:
    """Reads what the manifests of some histories name, all of it anew for each query; one that keeps a table has a
    connection of its own, where that table is."""

    def __init__(self, store: ParquetStore, keys: Sequence[str], cursor: DuckDBPyConnection | None = None) -> None:
        self._store = store
        self._keys = keys
        self._cursor = cursor

    async def rows(self, sql: str, params: Mapping[str, object] = {}) -> list[tuple[Any, ...]]:
        return await self._ask("", sql, params)

    @asynccontextmanager
    async def keep(self, name: str, sql: str, params: Mapping[str, object] = {}) -> AsyncGenerator[ParquetView]:
        cursor = await asyncio.to_thread(self._store.engine.cursor)
        try:
            kept = ParquetView(self._store, self._keys, cursor)
            await kept._ask(f'CREATE TEMP TABLE "{name}" AS ', sql, params)
            yield kept
        finally:
            cursor.close()

    async def _ask(self, what: str, sql: str, params: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """The rows of a SELECT, or what is done with them."""
        async with self._store.turn:
            cursor = self._cursor or await asyncio.to_thread(self._store.engine.cursor)
            try:
                found = await asyncio.to_thread(self._read, cursor, what, sql, bind(sql, params))
            except asyncio.CancelledError:
                cursor.interrupt()
                raise
        if isinstance(found, list):
            return found
        manifest, damage = found
        await self._store.throw_away(manifest, damage)
        raise HistoryDamaged(
            f"The history kept of a service could not be used: {damage}",
            "It has been thrown away, and is fetched anew",
            "Ask again.",
        )

    def _read(
        self, cursor: DuckDBPyConnection, what: str, sql: str, params: dict[str, object]
    ) -> list[tuple[Any, ...]] | tuple[Manifest, str]:
        """The rows; or, where a history is damaged, its manifest and how."""
        import duckdb

        tables: list[Table] = [table for table in TABLES if table in sql]
        manifests = self._read_manifests()
        for _ in range(MAX_READS):
            damaged = self._find_damage(manifests, tables)
            if damaged is None:
                try:
                    complete = what + with_tables(sql, self._sources(manifests, tables))
                    return as_plain(cursor.execute(complete, params).fetchall())
                except duckdb.OutOfMemoryException:
                    raise TooLarge.groups() from None
                except (duckdb.OutOfRangeException, duckdb.ConversionException):
                    raise TooLarge.numbers() from None
                except duckdb.IOException:
                    if (latest := self._read_manifests()) == manifests and self._find_damage(manifests, tables) is None:
                        raise TooLarge.groups() from None
            elif (latest := self._read_manifests()) == manifests:
                return damaged
            manifests = latest
        raise HistoryBusy("History changes faster than it can be read", "", "Ask again in a moment.")

    def _read_manifests(self) -> list[Manifest]:
        return [self._store.read_manifest(key) for key in self._keys]

    def _find_damage(self, manifests: Sequence[Manifest], tables: Sequence[Table]) -> tuple[Manifest, str] | None:
        for manifest in manifests:
            files = [file for file in manifest.files if file.table in tables]
            if damage := manifest.lost or self._store.find_damage(manifest.history, files):
                return manifest, damage
        return None

    def _sources(self, manifests: Sequence[Manifest], tables: Sequence[Table]) -> dict[Table, str]:
        return {
            table: source(
                table,
                [self._store.folder_of(one.history) / file.name for one in manifests for file in one.files_of(table)],
            )
            for table in tables
        }


def source(table: Table, paths: Sequence[Path]) -> str:
    """A SELECT of the table's rows in some files."""
    if not paths:
        nothing = ", ".join(f'CAST(NULL AS {sql_type}) AS "{name}"' for name, sql_type in columns(table).items())
        return f"SELECT {nothing} WHERE false"
    names = ", ".join(f'"{name}"' for name in columns(table))
    return f"SELECT {names} FROM read_parquet([{', '.join(map(quote, paths))}])"
