"""The files that a commit leaves: those kept, those written again without what is gone, new ones, and small ones made
one. A file that a manifest has named is never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from testlab_tools.archive.engine import quote
from testlab_tools.archive.manifest import StoredFile, as_utc, month_of, settle_file
from testlab_tools.archive.schema import TABLES, Table, columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SORTED_BY: dict[Table, str] = {
    "runs": "test, started_at, run_id",
    "failures": "test, case_name, started_at, run_id",
    "measurements": "test, name, started_at, run_id",
}
"""So that the parts of a file without the test or measurement that is asked for are passed over."""
MAX_SMALL_FILES = 8
"""Of a table and month; then they are made one."""
SMALL_ROWS = 500_000
_AS_PARQUET = "(FORMAT parquet, COMPRESSION zstd)"


class FileCommit:
    """Merges what a writer staged (`staged_TABLE`, and `gone_TABLE` with ids of runs) with the files there are."""

    def __init__(self, folder: Path, cursor: DuckDBPyConnection) -> None:
        self._folder = folder
        self._cursor = cursor
        self.written: list[StoredFile] = []
        """To be removed if the commit fails, or if they are not among its files in the end."""

    def merge(self, files: Sequence[StoredFile], before: datetime | None) -> list[StoredFile]:
        """The files of the next manifest; rows that started before a time are left out. Blocks.

        Raises:
            duckdb.Error, OSError: a file cannot be written.
        """
        self._cursor.execute(
            "DELETE FROM staged_runs WHERE position NOT IN (SELECT max(position) FROM staged_runs GROUP BY run_id)"
        )
        runs = [file for file in files if file.table == "runs"]
        merged: list[StoredFile] = []
        for table in TABLES:
            ours = [file for file in files if file.table == table]
            if self._rows(f"SELECT count(*) FROM gone_{table}")[0][0]:
                months = self._months_of_gone(table, runs)
                affected = self._holding_gone(table, [file for file in ours if file.month in months])
            else:
                affected = set[str]()
            kept = self._without_gone(table, ours, affected, before)
            merged += self._compact(table, [*kept, *self._write_staged(table)])
        return merged

    def _months_of_gone(self, table: Table, runs: Sequence[StoredFile]) -> set[str]:
        """The months that may hold rows of the runs that are gone: a row starts when its run does."""
        held = self._holding_gone(table, runs)
        return {month_of(month) for month in self._staged_months(table)} | {
            file.month for file in runs if file.name in held
        }

    def _holding_gone(self, table: Table, files: Sequence[StoredFile]) -> set[str]:
        """The names of the files with rows of runs that are gone from the table."""
        if not files:
            return set()
        found = self._rows(
            f"SELECT DISTINCT filename FROM read_parquet({self._listed(files)}, filename = true) "
            f"WHERE run_id IN (SELECT run_id FROM gone_{table})"
        )
        return {Path(name).name for (name,) in found}

    def _without_gone(
        self, table: Table, files: Sequence[StoredFile], affected: set[str], before: datetime | None
    ) -> list[StoredFile]:
        kept: list[StoredFile] = []
        for file in files:
            if before is not None and file.last < before:
                continue
            conditions = [f"run_id NOT IN (SELECT run_id FROM gone_{table})"] if file.name in affected else []
            if before is not None and file.first < before:
                conditions.append(f"started_at >= {_literal(before)}")
            if conditions:
                select = f"SELECT * FROM read_parquet({self._listed([file])}) WHERE {' AND '.join(conditions)}"
                kept += self._write(table, file.month, select)
            else:
                kept.append(file)
        return kept

    def _write_staged(self, table: Table) -> list[StoredFile]:
        names = ", ".join(f'"{name}"' for name in columns(table))
        return [
            file
            for month in self._staged_months(table)
            for file in self._write(
                table,
                month_of(month),
                f"SELECT {names} FROM staged_{table} WHERE date_trunc('month', started_at) = {_literal(as_utc(month))}",
            )
        ]

    def _staged_months(self, table: Table) -> list[datetime]:
        """The first moment of each month, oldest first."""
        found = self._rows(f"SELECT DISTINCT CAST(date_trunc('month', started_at) AS TIMESTAMP) FROM staged_{table}")
        return sorted(month for (month,) in found)

    def _compact(self, table: Table, files: Sequence[StoredFile]) -> list[StoredFile]:
        """The files, with the small ones of a month made one where they are many."""
        small: dict[str, list[StoredFile]] = {}
        for file in files:
            if file.rows < SMALL_ROWS:
                small.setdefault(file.month, []).append(file)
        compacted = list(files)
        for month, parts in small.items():
            if len(parts) >= MAX_SMALL_FILES:
                whole = self._write(table, month, f"SELECT * FROM read_parquet({self._listed(parts)})")
                compacted = [file for file in compacted if file not in parts] + whole
        return compacted

    def _write(self, table: Table, month: str, select: str) -> list[StoredFile]:
        """A new file with the rows of a SELECT; none where it has no rows."""
        path = self._folder / f"{table}-{month}-{token_hex(8)}.parquet"
        try:
            self._cursor.execute(f"COPY ({select} ORDER BY {SORTED_BY[table]}) TO {quote(path)} {_AS_PARQUET}")
            counted = self._rows(
                f"SELECT count(*), min(started_at), max(started_at) FROM read_parquet([{quote(path)}])"
            )
            rows, first, last = counted[0]
            if not rows:
                path.unlink()
                return []
            file = StoredFile(
                name=path.name,
                table=table,
                month=month,
                rows=rows,
                size_bytes=path.stat().st_size,
                crc=settle_file(path),
                first=as_utc(first),
                last=as_utc(last),
            )
        except BaseException:
            remove_files(self._folder, [path.name])
            raise
        self.written.append(file)
        return [file]

    def _listed(self, files: Sequence[StoredFile]) -> str:
        return f"[{', '.join(quote(self._folder / file.name) for file in files)}]"

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self._cursor.execute(sql).fetchall()


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files that no manifest names; one that cannot be removed now is when the history is next written."""
    for name in names:
        with suppress(OSError):
            (folder / name).unlink()


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=' ')}'"
