"""Reservations written down in PostgreSQL: replicas on several machines see which of them lives, and who has called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.leases.postgres import PostgresLeases
from testlab_tools.leases.store import FolderLeases, Lease
from tests.postgresql import fresh_database

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as made:
        yield made


def test_replicas_share_what_is_written_down_and_know_who_lives(farm: Farm, url: str, tmp_path: Path) -> None:
    farm_service = parse_config(farm.table).connect_services()[0]
    folder = FolderLeases(tmp_path / "old")
    folder.save(farm_service, Lease(reservation="1", node="n", caller="bob"))
    one, two = PostgresLeases(url, False, folder), PostgresLeases(url, False, FolderLeases(tmp_path / "none"))
    lease = Lease(reservation="2", node="n", caller="alice", process=one.process, until=12.5)
    one.save(farm_service, lease)
    assert two.load(farm_service) == [lease]
    assert one.load(farm_service) == [lease, Lease(reservation="1", node="n", caller="bob")]
    assert two.is_alive(one.process)
    assert not two.is_alive("never was")
    two.note_activity("alice")
    before = one.activity()
    two.flush()
    assert set(one.activity()) - set(before) == {"alice"}
    one.delete(farm_service, "1")
    one.delete(farm_service, "2")
    assert one.load(farm_service) == []
    one.close()
    assert not two.is_alive(one.process)
    two.close()


def test_a_process_is_dead_once_it_was_silent_while_the_database_answered(farm: Farm, url: str, tmp_path: Path) -> None:
    seconds = [0.0]
    none = FolderLeases(tmp_path / "none")
    one, two = PostgresLeases(url, False, none), PostgresLeases(url, False, none, lambda: seconds[0])
    lease = Lease(reservation="2", node="n", caller="local", process=one.process)
    one.save(parse_config(farm.table).connect_services()[0], lease)
    assert two.is_alive(one.process)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("UPDATE testlab_processes SET said_at = said_at - interval '10 minutes'")
    for seconds[0] in (30.0, 600.0, 630.0):
        assert two.is_alive(one.process), "the database was away for most of the time"
    one.flush()
    for seconds[0] in (660.0, 690.0, 720.0, 750.0):
        assert two.is_alive(one.process)
    seconds[0] = 780.0
    assert not two.is_alive(one.process)
    one.flush()
    assert two.is_alive(one.process)


def test_a_database_that_is_away_loses_no_answer(farm: Farm, tmp_path: Path) -> None:
    service = parse_config(farm.table).connect_services()[0]
    away = PostgresLeases("postgresql://127.0.0.1:1/none", False, FolderLeases(tmp_path / "none"))
    away.save(service, Lease(reservation="2", node="n", caller="alice", process=away.process))
    assert away.load(service) == []
    assert away.is_alive("somebody"), "nothing is ended while nobody knows"
    away.flush()
    away.close()
