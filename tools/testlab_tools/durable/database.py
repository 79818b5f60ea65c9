"""Where workflows are stored, and the lock of the one process that runs them. Whether any waits is found out without
DBOS: a server without work never imports it."""

from __future__ import annotations

import contextlib
import os
import selectors
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from testlab_tools.errors import ConfigError
from testlab_tools.files.lock import FileLock

_LOCK_KEY = 0x7E57_1AB0


class LeaderLock(Protocol):
    """Held by one process; the system frees it when that process dies."""

    def acquire(self) -> bool:
        """Take the lock, unless another process has it. Does not wait."""
        ...

    def held(self) -> bool:
        """Whether this process still has it."""
        ...

    def release(self) -> None:
        """Give the lock back, if it is held."""
        ...


class FileLeaderLock(FileLock):
    """A locked file beside a SQLite database; it holds the leader's process id, for people."""

    def acquire(self, timeout_s: float = 0.0) -> bool:
        if not super().acquire(timeout_s):
            return False
        with contextlib.suppress(OSError):  # a full disk takes no process id
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            os.write(self.descriptor, str(os.getpid()).encode())
        return True


ANSWER_S = 10.0


class AdvisoryLock:
    """A lock of one PostgreSQL session: the server frees it when the session's connection ends. A session that does not
    answer within `answer_s` seconds is lost, as another may have the lock by then."""

    def __init__(self, url: str, answer_s: float = ANSWER_S) -> None:
        self._url = url
        self._answer_s = answer_s
        self._session: Any = None

    def acquire(self) -> bool:
        import psycopg

        from testlab_tools.durable.sessions import connect

        try:
            session = connect(self._url, autocommit=True)
            row = session.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK_KEY,)).fetchone()
        except psycopg.OperationalError:
            return False
        if row is None or not row[0]:
            session.close()
            return False
        self._session = session
        return True

    def held(self) -> bool:
        import psycopg

        try:
            return self._session is not None and self._answers(self._session.pgconn)
        except psycopg.OperationalError:
            return False

    def _answers(self, connection: Any) -> bool:
        """Ask the server for nothing, and wait as long as is allowed. Raises OperationalError where it has gone."""
        connection.send_query(b"")
        until = time.monotonic() + self._answer_s
        with selectors.DefaultSelector() as selector:
            selector.register(connection.socket, selectors.EVENT_READ)
            while connection.is_busy():
                if not selector.select(max(0.0, until - time.monotonic())):
                    return False
                connection.consume_input()
        while connection.get_result() is not None:
            pass
        return True

    def release(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


SCHEMA = "testlab_deliveries"
PLUGIN = "testlab_deliveries"
"""Named in the URLs for SQLAlchemy: see `workflows`."""
OLDEST_SQLITE = (3, 35)
"""The first with RETURNING, which DBOS uses."""
Status = Literal["waiting", "failed", "succeeded"]
STATUSES: dict[Status, list[str]] = {
    "waiting": ["ENQUEUED", "PENDING", "DELAYED"],
    "failed": ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
    "succeeded": ["SUCCESS"],
}
"""By status, what DBOS calls it."""
_LIST_WAITING = (
    "SELECT workflow_uuid FROM {table} WHERE status IN ('ENQUEUED', 'PENDING', 'DELAYED') "
    "ORDER BY created_at LIMIT 1000"
)
_COUNT = "SELECT status, count(*) FROM {table} WHERE name = {mark} GROUP BY status"

_HAS_LOCK = (
    "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE locktype = 'advisory' AND granted AND datname = current_database() "
    "AND classid = 0 AND objid = %s AND objsubid = 1)"
)
"""How PostgreSQL shows an advisory lock on a number below 2³²."""


class Database(ABC):
    """`url` is in SQLAlchemy's form; `poll_interval_s` is how often `list_waiting` may be called."""

    url: str
    poll_interval_s: float

    def check(self) -> None:  # noqa: B027 - PostgreSQL always can
        """Raises ConfigError where workflows can never be stored, whatever the database holds."""

    @abstractmethod
    def prepare(self) -> None:
        """Make ready for DBOS to create its tables. Raises ConfigError as `check` does."""

    @abstractmethod
    def list_waiting(self) -> list[str] | None:
        """The ids of the workflows that have not ended, the oldest first; none where there is no database yet, and None
        where the database does not say."""

    @abstractmethod
    def count(self, name: str) -> dict[Status, int] | None:
        """How many workflows of a name there are by status; None where the database does not say."""

    @abstractmethod
    def leader_lock(self) -> LeaderLock:
        """A new lock for this database, not taken yet."""

    @abstractmethod
    def has_leader(self) -> bool | None:
        """Whether a process holds the leader's lock; None where that cannot be found out."""


class SqliteDatabase(Database):
    """One file, which several servers on this machine share."""

    poll_interval_s = 1.0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}?plugin={PLUGIN}"

    def check(self) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigError(
                f"Runs cannot be written down: the SQLite of this Python is {sqlite3.sqlite_version}",
                f"Deliveries need {'.'.join(map(str, OLDEST_SQLITE))} or newer",
                "Take a Python with a newer SQLite, or name a PostgreSQL database in [durable] database_url; with "
                "enabled = false there, runs are sent without being written down.",
            )

    def prepare(self) -> None:
        self.check()
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def list_waiting(self) -> list[str] | None:
        if not self.path.exists():
            return []
        try:
            with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True)) as connection:
                return [row[0] for row in connection.execute(_LIST_WAITING.format(table="workflow_status"))]
        except sqlite3.DatabaseError as error:
            return [] if _has_no_table(error) else None

    def count(self, name: str) -> dict[Status, int] | None:
        if not self.path.exists():
            return {}
        try:
            with contextlib.closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
                return _sum_up(connection.execute(_COUNT.format(table="workflow_status", mark="?"), (name,)))
        except sqlite3.DatabaseError as error:
            return {} if _has_no_table(error) else None

    def leader_lock(self) -> LeaderLock:
        return FileLeaderLock(self._lock_file)

    def has_leader(self) -> bool | None:
        """The lock is held for a moment: who tries it then tries again after `poll_interval_s`."""
        try:
            return self._lock_file.exists() and FileLock(self._lock_file).is_taken()
        except OSError:
            return None

    @property
    def _lock_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.lock")


class PostgresDatabase(Database):
    """A PostgreSQL database, which servers on several machines can share; they must name their services alike."""

    poll_interval_s = 5.0

    def __init__(self, url: str) -> None:
        self._dsn = url
        self.url = f"{url}{'&' if '?' in url else '?'}plugin={PLUGIN}"

    def prepare(self) -> None:
        """DBOS creates the database, if it may and has to, and waits long for one that does not answer: that is an
        error here. One without an encoding gives it bytes for text."""
        import psycopg

        from testlab_tools.durable.sessions import connect

        try:
            with connect(self._dsn) as connection:
                encoding = connection.info.parameter_status("server_encoding")
        except psycopg.errors.ConnectionTimeout:
            raise
        except psycopg.OperationalError:
            return
        if encoding == "SQL_ASCII":
            raise ConfigError(
                "Long work cannot be written down: the PostgreSQL database has the encoding SQL_ASCII",
                "Its text has no encoding, and cannot be read",
                "Name a database in [durable] database_url that was made with ENCODING 'UTF8' TEMPLATE template0.",
            )

    def list_waiting(self) -> list[str] | None:
        import psycopg
        from psycopg.sql import SQL, Identifier

        from testlab_tools.durable.sessions import connect

        try:
            with connect(self._dsn) as connection:
                query = SQL(_LIST_WAITING).format(table=Identifier(SCHEMA, "workflow_status"))
                return [row[0] for row in connection.execute(query)]
        except psycopg.errors.UndefinedTable:
            return []
        except psycopg.OperationalError:
            return None

    def count(self, name: str) -> dict[Status, int] | None:
        import psycopg
        from psycopg.sql import SQL, Identifier

        from testlab_tools.durable.sessions import connect

        try:
            with connect(self._dsn) as connection:
                query = SQL(_COUNT).format(table=Identifier(SCHEMA, "workflow_status"), mark=SQL("%s"))
                return _sum_up(connection.execute(query, (name,)))
        except psycopg.errors.UndefinedTable:
            return {}
        except psycopg.OperationalError:
            return None

    def leader_lock(self) -> LeaderLock:
        return AdvisoryLock(self._dsn)

    def has_leader(self) -> bool | None:
        import psycopg

        from testlab_tools.durable.sessions import connect

        try:
            with connect(self._dsn) as connection:
                row = connection.execute(_HAS_LOCK, (_LOCK_KEY,)).fetchone()
        except psycopg.Error:
            return None
        return bool(row and row[0])


def _has_no_table(error: sqlite3.DatabaseError) -> bool:
    """Whether nothing was stored yet: another server may just be creating it."""
    return "no such table" in str(error)


def _sum_up(rows: Iterable[Any]) -> dict[Status, int]:
    counted = dict(rows)
    return {status: sum(counted.get(name, 0) for name in names) for status, names in STATUSES.items()}


def open_database(place: Path | str) -> Database:
    """The database at a path, or at a PostgreSQL URL. Nothing is opened yet."""
    return PostgresDatabase(place) if isinstance(place, str) else SqliteDatabase(place)
