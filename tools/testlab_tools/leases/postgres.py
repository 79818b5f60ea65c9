"""Reservations written down in PostgreSQL, for replicas on several machines; a process lives while it says so there."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, LiteralString

from testlab_tools.capabilities import Service
from testlab_tools.leases.store import FolderLeases, Lease, LeaseStore, service_key

if TYPE_CHECKING:
    import psycopg

WRITE_S = 1.0
DEAD_S = 120.0
"""A process is dead that has not said for so long that it lives, while this one looked."""
LOOK_S = 45.0
"""What counts between two looks at most: in a longer time the database may have been away, and nobody could say so."""
_TABLES = """
CREATE TABLE IF NOT EXISTS testlab_leases (
    service text NOT NULL, reservation text NOT NULL, lease text NOT NULL, PRIMARY KEY (service, reservation));
CREATE TABLE IF NOT EXISTS testlab_processes (process text PRIMARY KEY, said_at timestamptz NOT NULL);
CREATE TABLE IF NOT EXISTS testlab_callers (caller text PRIMARY KEY, called_at timestamptz NOT NULL);
"""

logger = logging.getLogger("testlab_tools")


class PostgresLeases(LeaseStore):
    """Three small tables beside the workflows. `older` is a folder that an earlier version has written to."""

    def __init__(self, url: str, stays: bool, older: FolderLeases, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stays)
        self._now = now
        self._looks: dict[str, tuple[datetime, float, float]] = {}
        """By process, when it last said that it lives, for how long that has not changed, and when that was seen."""
        self._older = older
        self._writing = ThreadPoolExecutor(1, "leases")
        self._url = url
        self._made = False

    def save(self, service: Service, lease: Lease) -> None:
        said = "INSERT INTO testlab_processes VALUES (%s, now()) ON CONFLICT (process) DO UPDATE SET said_at = now()"
        made = (
            "INSERT INTO testlab_leases VALUES (%s, %s, %s) "
            "ON CONFLICT (service, reservation) DO UPDATE SET lease = excluded.lease"
        )
        key = service_key(service)
        self._write((said, (self.process,)), (made, (key, lease.reservation, lease.model_dump_json())))

    def delete(self, service: Service, reservation: str) -> None:
        gone = "DELETE FROM testlab_leases WHERE service = %s AND reservation = %s"
        self._older.delete(service, reservation)
        self._write((gone, (service_key(service), reservation)))

    def load(self, service: Service) -> list[Lease]:
        rows: list[Any] = []
        with self._ignoring_errors(), self._session() as session:
            query = "SELECT lease FROM testlab_leases WHERE service = %s"
            rows = session.execute(query, (service_key(service),)).fetchall()
        return [*(Lease.model_validate_json(text) for (text,) in rows), *self._older.load(service)]

    def is_alive(self, process: str) -> bool:
        if process == self.process:
            return True
        with self._ignoring_errors(), self._session() as session:
            query = "SELECT said_at FROM testlab_processes WHERE process = %s"
            row = session.execute(query, (process,)).fetchone()
            return row is not None and self._note_look(process, row[0]) < DEAD_S
        return True  # it cannot be found out

    def _note_look(self, process: str, said_at: datetime) -> float:
        """For how many seconds a process has been silent."""
        now, silent = self._now(), 0.0
        if (before := self._looks.get(process)) and before[0] == said_at:
            silent = before[1] + min(now - before[2], LOOK_S)
        self._looks[process] = said_at, silent, now
        return silent

    def activity(self) -> Mapping[str, str]:
        with self._ignoring_errors(), self._session() as session:
            return {caller: str(at) for caller, at in session.execute("SELECT * FROM testlab_callers").fetchall()}
        return {}

    def _write_activity(self, callers: set[str]) -> None:
        called = "INSERT INTO testlab_callers VALUES (%s, now()) ON CONFLICT (caller) DO UPDATE SET called_at = now()"
        with self._ignoring_errors(), self._session() as session:
            session.execute("UPDATE testlab_processes SET said_at = now() WHERE process = %s", (self.process,))
            for caller in sorted(callers):
                session.execute(called, (caller,))
            old = "DELETE FROM testlab_processes WHERE said_at < now() - interval '7 days'"
            session.execute(old)

    def close(self) -> None:
        self._write(("DELETE FROM testlab_processes WHERE process = %s", (self.process,)))
        self._writing.shutdown(wait=False)

    def _write(self, *statements: tuple[LiteralString, tuple[str, ...]]) -> None:
        """In the order given, in a thread; a database that does not answer holds nobody up for longer than WRITE_S."""

        def write() -> None:
            with self._ignoring_errors(), self._session() as session:
                for statement, values in statements:
                    session.execute(statement, values)

        with contextlib.suppress(TimeoutError):
            self._writing.submit(write).result(WRITE_S)

    @contextlib.contextmanager
    def _session(self) -> Generator[psycopg.Connection[Any]]:
        from testlab_tools.durable.sessions import connect

        with connect(self._url) as session:
            if not self._made:
                session.execute("SELECT pg_advisory_xact_lock(%s)", (0x7E57_1EA5,))
                session.execute(_TABLES)
                self._made = True
            yield session

    @contextlib.contextmanager
    def _ignoring_errors(self) -> Generator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            logger.warning("reservations cannot be written down or read now: %s", type(error).__name__)
