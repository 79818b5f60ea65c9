"""Writes a history's Parquet files. Rows wait in temporary tables of DuckDB, which go to disk when they are many, until
the commit. A file that was replaced is removed when nobody can be reading it any longer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from testlab_tools.archive.engine import write_error
from testlab_tools.archive.manifest import NAME, Manifest, StoredFile
from testlab_tools.archive.parquet_files import FileCommit, remove_files
from testlab_tools.archive.schema import TABLES, Cell, Row, Table, clean, columns
from testlab_tools.archive.staging import StagingWriter
from testlab_tools.archive.store import HistoryState, finish_in_thread

if TYPE_CHECKING:
    from testlab_tools.archive.parquet import ParquetStore

RETIRED_KEPT_S = 60.0
_SELECTED = {kind: f"CAST(nullif(\"{{}}\", 'nan') AS {kind})" for kind in ("DOUBLE PRECISION", "INTEGER")}
"""How a column comes out of an array: numpy has NaN where there is no number."""
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_NO_TIME = -(2**63)
"""NaT, as numpy has it."""


class ParquetWriter(StagingWriter):
    """Writes one history, whose lock its opener holds."""

    def __init__(self, store: ParquetStore, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest
        self._folder = store.folder_of(manifest.history)
        self._cursor = store.engine.cursor()
        self._position = 0
        self._changed = False
        self.sync: dict[str, Any] = json.loads(json.dumps(dict(manifest.sync)))
        self.lost = manifest.lost
        for table in TABLES:
            defined = ", ".join(f'"{name}" {sql_type}' for name, sql_type in columns(table).items())
            self._cursor.execute(f"CREATE TEMP TABLE staged_{table} ({defined}, position BIGINT)")
            self._cursor.execute(f"CREATE TEMP TABLE gone_{table} (run_id TEXT)")

    @classmethod
    def open(cls, store: ParquetStore, key: str) -> ParquetWriter:
        """A writer of what the manifest names. Where that is damaged, of nothing. Blocks.

        Raises:
            LabError: the folder cannot be written.
        """
        folder = store.folder_of(key)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            manifest = store.read_manifest(key)
            damage = manifest.lost or store.find_damage(key, manifest.files)
            if damage or not (folder / NAME).exists():  # before its first file is there
                manifest = Manifest(history=key, lost=damage)
                manifest.write(folder)
            belonging = {file.name for file in manifest.files} | set(manifest.retired)
            for path in folder.glob("*.parquet"):
                if path.name not in belonging:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(error, folder) from None
        return cls(store, manifest)

    async def commit(self) -> HistoryState:
        async with self._store.turn:
            await self._finish(self._commit)
        return self._manifest.state()

    def close(self) -> None:
        """Drop what was not committed."""
        self._cursor.close()

    async def _finish(self, call: Callable[[], None]) -> None:
        import duckdb

        try:
            await finish_in_thread(call)
        except (duckdb.Error, OSError) as error:
            raise write_error(error, self._folder) from error

    def _stage(self, table: Table, rows: Iterable[Row], *, replaces: bool) -> None:
        cleaned = clean(table, rows)
        if not (count := len(cleaned["run_id"])):
            return
        import numpy

        types = columns(table)
        batch = {name: _as_array(types[name], column) for name, column in cleaned.items()}
        batch["position"] = numpy.arange(self._position, self._position + count)
        self._position += count
        selected = ", ".join(
            f"CAST(nullif(\"{name}\", 'nan') AS {sql_type})"
            if sql_type in ("DOUBLE PRECISION", "INTEGER")
            else f'"{name}"'
            for name, sql_type in types.items()
        )
        self._cursor.register("batch", batch)
        try:
            self._cursor.execute(f"INSERT INTO staged_{table} SELECT {selected}, position FROM batch")
            if replaces:
                self._cursor.execute(f"INSERT INTO gone_{table} SELECT DISTINCT run_id FROM batch")
        finally:
            self._cursor.unregister("batch")
        self._changed = True

    def _mark_gone(self, run_ids: Sequence[str], tables: Sequence[Table]) -> None:
        if run_ids:
            self._cursor.register("batch", {"run_id": _as_array("TEXT", run_ids)})
            for table in tables:
                self._cursor.execute(f"INSERT INTO gone_{table} SELECT run_id FROM batch")
            self._cursor.unregister("batch")
            self._changed = True

    def _delete_staged(self, limit: datetime) -> None:
        for table in TABLES:
            self._cursor.execute(f"DELETE FROM staged_{table} WHERE started_at < $limit", {"limit": limit})

    def _commit(self) -> None:
        last = self._manifest
        if not (self._changed or self._before is not None or last.lost or self.sync != last.sync):
            return
        commit = FileCommit(self._folder, self._cursor)
        try:
            files = commit.merge(self._manifest.files, self._before)
            manifest = self._next_manifest(files)
            manifest.write(self._folder)
        except BaseException:
            remove_files(self._folder, [file.name for file in commit.written])
            raise
        remove_files(self._folder, [file.name for file in commit.written if file not in files])
        remove_files(self._folder, [name for name in self._manifest.retired if name not in manifest.retired])
        self._manifest, self._before, self._changed = manifest, None, False
        for table in TABLES:
            self._cursor.execute(f"DELETE FROM staged_{table}")
            self._cursor.execute(f"DELETE FROM gone_{table}")

    def _next_manifest(self, files: Sequence[StoredFile]) -> Manifest:
        now = time.time()
        last, kept = self._manifest, {file.name for file in files}
        retired = {name: since for name, since in last.retired.items() if now - since < RETIRED_KEPT_S}
        retired |= {file.name: now for file in last.files if file.name not in kept}
        return Manifest(
            history=last.history, generation=last.generation + 1, files=tuple(files), retired=retired, sync=self.sync
        )


def _as_array(sql_type: str, cells: Sequence[Cell]) -> Any:
    import numpy

    if sql_type == "TIMESTAMP":
        moments = [
            (cell - _EPOCH) // _MICROSECOND if isinstance(cell, datetime) else _NO_TIME  # much faster than numpy's own
            for cell in cells
        ]
        return numpy.array(moments, dtype="int64").view("datetime64[us]")
    return numpy.array(cells, dtype=object if sql_type == "TEXT" else float)
