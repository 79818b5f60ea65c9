"""DuckDB in this process: bounded in memory and threads, and shut into one folder."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from testlab_tools.errors import LabError
from testlab_tools.extra import require_statistics

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY = "160MiB"
"""What all queries and writers of a process use together; what they need beyond goes to files, but for quantiles, which
need some 100 MiB for 1,000,000 values. One query or commit runs at a time."""
MAX_THREADS = 4
_SPILL = "spill-"
_SPILL_KEPT_S = 86_400
_ERRNO = re.compile(r'"errno":"(\d+)"')


class Engine:
    """One DuckDB, opened at the first use; each query has a cursor of its own."""

    def __init__(self, folder: Path) -> None:
        """`folder` is resolved, and the only one whose files can be read and written."""
        self._folder = folder
        self._connection: DuckDBPyConnection | None = None
        self._opening = threading.Lock()

    def cursor(self) -> DuckDBPyConnection:
        """A connection to the same tables. Blocks. Raises Unsupported where DuckDB is not installed,
        LabError where its folder cannot be made."""
        with self._opening:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.cursor()

    def close(self) -> None:
        """Give the memory back; the next cursor opens it anew, without its tables."""
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> DuckDBPyConnection:
        require_statistics("duckdb", "numpy")
        import duckdb

        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise write_error(error, self._folder) from None
        self._remove_spills()
        connection = duckdb.connect(
            config={
                "threads": min(MAX_THREADS, os.cpu_count() or 1),
                "memory_limit": MEMORY,
                "temp_directory": str(self._folder / f"{_SPILL}{token_hex(6)}"),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "preserve_insertion_order": False,
                "default_null_order": "postgres",
                "integer_division": True,
            }
        )
        for setting in (
            f"allowed_directories = [{quote(self._folder)}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        return connection

    def _remove_spills(self) -> None:
        """Those that a killed process left."""
        for spill in self._folder.glob(f"{_SPILL}*"):
            with suppress(OSError):
                if spill.stat().st_mtime < time.time() - _SPILL_KEPT_S:
                    shutil.rmtree(spill)


def quote(text: str | Path) -> str:
    """A text, or a path, as a literal of SQL."""
    return "'{}'".format((text.as_posix() if isinstance(text, Path) else text).replace("'", "''"))


def write_error(error: Exception, folder: Path) -> LabError:
    """The error when history cannot be written to its folder."""
    found = _ERRNO.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    why = os.strerror(number) if number else type(error).__name__
    return LabError(
        f"History cannot be written: {why}",
        "What was kept before is as it was",
        f"Make space where the archive is ({folder}), or move it with [archive] path.",
    )
