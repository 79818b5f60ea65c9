"""What a database does not say is not known: neither that nothing waits, nor that somebody leads."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from testlab_tools.durable.database import Database, PostgresDatabase, SqliteDatabase
from testlab_tools.durable.engine import Engine
from tests.postgresql import fresh_database


@pytest.fixture(params=["locked", "unreadable", "damaged"])
def mute(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of SQLite with its tables, which does not say what is in it."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, timeout=0.01))
    path = tmp_path / "d.sqlite"
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE workflow_status (workflow_uuid, status, name, created_at)")
        if request.param == "locked":
            other.execute("BEGIN EXCLUSIVE")
        elif request.param == "damaged":
            path = tmp_path / "damaged.sqlite"
            path.write_bytes(b"nothing of a database" * 300)
        else:
            path = tmp_path
        yield SqliteDatabase(path)


def test_a_database_of_sqlite_that_does_not_answer_is_not_called_empty(mute: Database) -> None:
    assert mute.list_waiting() is None
    assert Engine(mute).has_waiting() is None


def test_a_server_of_postgresql_that_is_away_is_not_called_empty() -> None:
    assert PostgresDatabase("postgresql://127.0.0.1:9/none").list_waiting() is None


def test_where_nothing_was_stored_yet_nothing_waits(tmp_path: Path) -> None:
    assert SqliteDatabase(tmp_path / "none.sqlite").list_waiting() == []
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    assert SqliteDatabase(empty).list_waiting() == []
    with fresh_database() as url:
        assert PostgresDatabase(url).list_waiting() == []
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("CREATE SCHEMA testlab_deliveries")
        assert PostgresDatabase(url).list_waiting() == []


def test_that_it_is_not_known_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    looks = threading.Semaphore(0)

    class Mute(SqliteDatabase):
        poll_interval_s = 0.001

        def list_waiting(self) -> list[str] | None:
            looks.release()
            return None

    engine = Engine(Mute(tmp_path / "d.sqlite"))
    with caplog.at_level(logging.WARNING, "testlab_tools"):
        engine.start()
        assert all(looks.acquire(timeout=10) for _ in range(5))
        engine.close()
    assert [record.message.partition(":")[0] for record in caplog.records] == ["whether stored work waits is not known"]


def test_those_who_ask_at_once_for_a_leader_do_not_take_each_other_for_one(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "d.sqlite")
    assert database.has_leader() is False
    lock = database.leader_lock()
    assert lock.acquire()
    assert database.has_leader() is True
    lock.release()
    begin, told = threading.Barrier(4), list[bool | None]()

    def ask() -> None:
        begin.wait(10)
        told.extend([database.has_leader() for _ in range(500)])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert told == [False] * 2000
