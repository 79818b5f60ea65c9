"""The index of a folder's reports: what is in each file, in SQLite. It is made again from the files where it is damaged
or of another version. Several processes read it while one writes."""

from __future__ import annotations

import os
import sqlite3
import time
from base64 import b64decode
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import RLock
from typing import Any, NamedTuple

from testlab_tools.adapters.folder.reading import OTHER, READ, Record

VERSION = 2
"""Of the tables; it is part of the file's name, so that servers of two versions each have their own."""
BUSY_S = 20.0
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    key TEXT PRIMARY KEY, signature TEXT NOT NULL, format TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_state ON files (state, format);
CREATE TABLE IF NOT EXISTS sources (
    key TEXT NOT NULL, nth INTEGER NOT NULL, run_id TEXT NOT NULL, said TEXT NOT NULL, PRIMARY KEY (key, nth)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sources_by_run ON sources (run_id, said);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, seq INTEGER NOT NULL, outcome TEXT NOT NULL, started INTEGER NOT NULL,
    ended INTEGER NOT NULL, test TEXT NOT NULL, procedure TEXT NOT NULL, station TEXT NOT NULL, unit TEXT NOT NULL,
    part TEXT NOT NULL, part_revision TEXT NOT NULL, batch TEXT NOT NULL, revision TEXT NOT NULL,
    operator TEXT NOT NULL, reason TEXT NOT NULL, added INTEGER NOT NULL, test_folded TEXT NOT NULL,
    procedure_folded TEXT NOT NULL, station_folded TEXT NOT NULL, unit_folded TEXT NOT NULL, part_folded TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started, run_id);
CREATE INDEX IF NOT EXISTS runs_by_outcome ON runs (outcome, started);
CREATE INDEX IF NOT EXISTS runs_by_unit ON runs (unit_folded, started);
CREATE INDEX IF NOT EXISTS runs_by_test ON runs (test_folded, started);
CREATE INDEX IF NOT EXISTS runs_by_procedure ON runs (procedure_folded, started);
CREATE INDEX IF NOT EXISTS runs_by_seq ON runs (seq);
CREATE TABLE IF NOT EXISTS bodies (run_id TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS words (run_id TEXT PRIMARY KEY, words TEXT NOT NULL) WITHOUT ROWID;
"""
RUN_COLUMNS = (
    "run_id, seq, outcome, started, ended, test, procedure, station, unit, part, part_revision, batch, revision, "
    "operator, reason, added"
)
_GIVEN = RUN_COLUMNS.replace("seq, ", "").replace(", added", "")
_FOLDED = ("test", "procedure", "station", "unit", "part")


class IndexUnusable(Exception):
    """The index can be neither opened nor made; `why` in a few words of ours."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Scan(NamedTuple):
    """How far a look at all files has come: `done` of `total` that were new or had changed."""

    done: int = 0
    total: int = 0


class Index:
    """Opened at its first use, from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def rows(self, sql: str, params: Sequence[object] | Mapping[str, object] = ()) -> list[tuple[Any, ...]]:
        """What a query finds. Raises IndexUnusable."""
        with self._lock:
            for last in (False, True):
                try:
                    return self._open().execute(sql, params).fetchall()
                except sqlite3.DatabaseError as error:
                    self._recover(error, last)
        raise AssertionError

    def signatures(self) -> dict[str, str]:
        """The signature of each file as it was read."""
        return dict(self.rows("SELECT key, signature FROM files"))

    def has_stale(self) -> bool:
        """Whether files have to be read again, since another that held a run of theirs holds it no more."""
        return bool(self.rows("SELECT 1 FROM files WHERE signature = '' LIMIT 1"))

    def fact(self, name: str) -> str:
        """A fact about the index itself; empty where there is none."""
        found = self.rows("SELECT value FROM facts WHERE name = ?", (name,))
        return found[0][0] if found else ""

    def set_facts(self, **facts: object) -> None:
        """Keep facts. Raises IndexUnusable."""
        with self.write() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", [(n, str(v)) for n, v in facts.items()]
            )

    def scan(self) -> Scan:
        """The look that is under way, in whichever process; of nothing where none is."""
        done, _, total = self.fact("scan").partition(" ")
        return Scan(int(done or 0), int(total or 0))

    def put(self, records: Iterable[Record], gone: Iterable[str] = (), scan: Scan | None = None) -> None:
        """Replace what is known of files, and forget those that are gone. Raises IndexUnusable."""
        with self.write() as connection:
            # Counted on after the newest run was deleted: who has read up to a number never misses one.
            seq = int(connection.execute("SELECT value FROM facts WHERE name = 'seq'").fetchone()[0])
            for record in records:
                seq = _put_file(connection, record, seq)
            connection.execute("UPDATE facts SET value = ? WHERE name = 'seq'", (str(seq),))
            for key in gone:
                _forget_runs(connection, key)
                connection.execute("DELETE FROM files WHERE key = ?", (key,))
            if scan is not None:
                connection.execute("INSERT OR REPLACE INTO facts VALUES ('scan', ?)", (f"{scan.done} {scan.total}",))

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """One transaction."""
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.DatabaseError as error:
                self._recover(error, last=True)

    def check(self) -> None:
        """Notice that another process made the index anew."""
        with self._lock:
            if self._connection is not None and _inode_of(self.path) != self._inode:
                self.close()

    def close(self) -> None:
        """Give back what is open; the next question opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
                self._connection = sqlite3.connect(
                    self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
                )
            except (OSError, sqlite3.OperationalError) as error:
                raise IndexUnusable(f"{self.path} cannot be opened ({type(error).__name__})") from None
            self._inode = _inode_of(self.path)
            with suppress(sqlite3.OperationalError):  # a file system that cannot share memory does without
                self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_TABLES)
            new = (("epoch", token_hex(8)), ("seq", "0"))
            self._connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", new)
        return self._connection

    def _recover(self, error: sqlite3.DatabaseError, last: bool) -> None:
        """Throw a damaged index away, so that the next try makes it anew. Raises IndexUnusable."""
        self.close()
        passing = isinstance(error, sqlite3.OperationalError)
        if not passing:
            self.discard()
        if last:
            raise IndexUnusable(
                f"{self.path} {'is in use or cannot be written' if passing else 'was damaged'}"
            ) from None

    def discard(self) -> None:
        """Throw the index away. Raises IndexUnusable."""
        self.close()
        for path in (self.path, Path(f"{self.path}-wal"), Path(f"{self.path}-shm")):
            try:
                path.unlink(missing_ok=True)
            except OSError:
                raise IndexUnusable(f"{self.path} is damaged and cannot be deleted: delete it") from None


def _inode_of(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


def _put_file(connection: sqlite3.Connection, record: Record, seq: int) -> int:
    key = record["key"]
    before = connection.execute("SELECT signature FROM files WHERE key = ?", (key,)).fetchone()
    if before is not None:
        _forget_runs(connection, key, {run["run_id"] for run in record["runs"]})
    connection.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
        (key, record["signature"], record["format"], record["state"], record["why"]),
    )
    for run in record["runs"]:
        run_id, body = run["run_id"], b64decode(run["body"])
        connection.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", (key, run["nth"], run_id, run["said"]))
        if connection.execute("SELECT min(key) FROM sources WHERE run_id = ?", (run_id,)).fetchone()[0] != key:
            continue  # the run is what the first of its files says
        connection.execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (run_id, run["words"]))
        if _is_known(connection, run, body):
            continue
        seq += 1
        made = {**run, "seq": seq, "added": time.time_ns() // 1000}
        cells = [made[name] for name in RUN_COLUMNS.split(", ")]
        cells += [run[name].casefold() for name in _FOLDED]
        connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(cells))})", cells)
        connection.execute("INSERT OR REPLACE INTO bodies VALUES (?, ?)", (run_id, body))
    return seq


def _is_known(connection: sqlite3.Connection, run: Record, body: bytes) -> bool:
    sql = f"SELECT {_GIVEN}, body FROM runs JOIN bodies USING (run_id) WHERE run_id = ?"
    known = connection.execute(sql, (run["run_id"],)).fetchone()
    return known == (*(run[name] for name in _GIVEN.split(", ")), body)


def _forget_runs(connection: sqlite3.Connection, key: str, staying: Iterable[str] = ()) -> None:
    """Take a file from the runs that it holds; those of no other file go, but for the `staying`."""
    held = [row[0] for row in connection.execute("SELECT run_id FROM sources WHERE key = ?", (key,))]
    connection.execute("DELETE FROM sources WHERE key = ?", (key,))
    for run_id in held:
        if run_id in staying:
            continue
        others = "UPDATE files SET signature = '' WHERE key IN (SELECT key FROM sources WHERE run_id = ?)"
        if not connection.execute(others, (run_id,)).rowcount:  # else they are read again: they may say otherwise
            connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))
            connection.execute("DELETE FROM bodies WHERE run_id = ?", (run_id,))
            connection.execute("DELETE FROM words WHERE run_id = ?", (run_id,))


class Contents(NamedTuple):
    """How many files there are of each format, and how many are left out for each reason; `others` are no reports;
    `disputed` are runs of which two files say different things."""

    formats: Mapping[str, int]
    left_out: Mapping[str, int]
    others: int
    runs: int
    disputed: int


def count_contents(index: Index) -> Contents:
    """What the folder holds."""
    counted = index.rows("SELECT state, format, count(*) FROM files GROUP BY state, format")
    disputed = "SELECT count(*) FROM (SELECT 1 FROM sources GROUP BY run_id HAVING min(said) <> max(said))"
    left_out: dict[str, int] = {}
    for state, _, count in counted:
        if state not in (READ, OTHER):
            left_out[state] = left_out.get(state, 0) + count
    return Contents(
        {form: count for state, form, count in counted if state == READ},
        left_out,
        sum(count for state, _, count in counted if state == OTHER),
        index.rows("SELECT count(*) FROM runs")[0][0],
        index.rows(disputed)[0][0],
    )


def list_left_out(index: Index, limit: int) -> list[tuple[str, str, str]]:
    """Key, state and reason of files that are left out."""
    sql = "SELECT key, state, why FROM files WHERE state NOT IN (?, ?) ORDER BY key LIMIT ?"
    return [(key, state, why) for key, state, why in index.rows(sql, (READ, OTHER, limit))]
