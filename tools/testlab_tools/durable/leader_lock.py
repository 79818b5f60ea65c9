"""The lock that one process per database holds while it runs workflows."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol

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


class AdvisoryLock:
    """A lock of one PostgreSQL session: the server frees it when the session's connection ends."""

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
