"""Where deliveries are kept, and the lock under which one process at a time runs them.

Neither needs DBOS: a server that has nothing to deliver finds that out with what Python has.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from testlab_tools.locking import lock

SCHEMA = "testlab_deliveries"
_WAITING = "SELECT 1 FROM {table} WHERE status IN ('ENQUEUED', 'PENDING', 'DELAYED') LIMIT 1"
_LOCK_KEY = 0x7E57_1AB0


class Database(ABC):
    """A place for deliveries: `url` is SQLAlchemy's; `look_s` is how often `waiting` may be asked, in seconds."""

    url: str
    look_s: float

    @abstractmethod
    def prepare(self) -> None:
        """Make ready for DBOS to create its tables."""

    @abstractmethod
    def waiting(self) -> bool:
        """Whether anything is still to be delivered; False where there is no database yet."""

    @abstractmethod
    def lock(self) -> RunnerLock:
        """A lock of this database's own, not taken yet."""


class RunnerLock(ABC):
    """Held by the process that runs the deliveries; the system frees it when that process dies."""

    @abstractmethod
    def acquire(self) -> bool:
        """Take it, if nobody has it. Does not wait."""

    @abstractmethod
    def held(self) -> bool:
        """Whether it is still ours."""

    @abstractmethod
    def release(self) -> None:
        """Give it back; no error when it was not ours."""


class SqliteDatabase(Database):
    """One file, which several servers on this machine share."""

    look_s = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def prepare(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def waiting(self) -> bool:
        if not self.path.exists():
            return False
        with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True)) as connection:
            try:
                return connection.execute(_WAITING.format(table="workflow_status")).fetchone() is not None
            except sqlite3.OperationalError:  # no such table: another server is just creating it
                return False

    def lock(self) -> RunnerLock:
        return FileLock(self.path.with_name(f"{self.path.name}.lock"))


class FileLock(RunnerLock):
    """A file beside the database, locked by the kernel; it holds the process id, for people."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            lock(descriptor)
        except OSError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return True

    def held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class PostgresDatabase(Database):
    """A PostgreSQL database, which servers on several machines can share; they must name their services alike."""

    look_s = 5.0

    def __init__(self, url: str) -> None:
        self.url = url

    def prepare(self) -> None:
        """DBOS creates the database, if it may and has to."""

    def waiting(self) -> bool:
        import psycopg
        from psycopg.sql import SQL, Identifier

        try:
            with psycopg.connect(self.url, connect_timeout=5) as connection:
                query = SQL(_WAITING).format(table=Identifier(SCHEMA, "workflow_status"))
                return connection.execute(query).fetchone() is not None
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return False

    def lock(self) -> RunnerLock:
        return AdvisoryLock(self.url)


class AdvisoryLock(RunnerLock):
    """A lock of one database session: PostgreSQL frees it when the session's connection ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: Any = None

    def acquire(self) -> bool:
        import psycopg

        try:
            session = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError:
            return False
        row = session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
        if row is None or not row[0]:
            session.close()
            return False
        self._session = session
        return True

    def held(self) -> bool:
        import psycopg

        try:
            return self._session is not None and bool(self._session.execute("SELECT 1").fetchone())
        except psycopg.OperationalError:
            return False

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
