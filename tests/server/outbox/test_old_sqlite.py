"""The SQLite that a Python brings: what DBOS misses in an older one is given to it, and one too old is refused."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from testlab_mcp.commands.main import main
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.workflows import Workflows
from tests.fixture_types import Connect, RefusedCaller

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant


def test_the_time_is_told_to_the_millisecond_by_any_sqlite(tmp_path: Path) -> None:
    workflows = Workflows(SqliteDatabase(tmp_path / "deliveries.sqlite"))
    try:
        with workflows.transaction() as connection:
            told = connection.execute(text("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)")).scalar_one()
    finally:
        workflows.close()
    assert abs(told / 1000 - time.time()) < 5


@pytest.mark.parametrize("word", ["serve", "doctor"])
def test_a_sqlite_too_old_is_refused_at_the_start(
    word: str,
    plant: Plant,
    sqlite: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(plant.config(sqlite), encoding="utf-8")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    assert main([word, "--config", str(config)]) == 2
    told = capsys.readouterr().err
    assert "Deliveries need 3.35 or newer" in told
    assert "enabled = false" in told


async def test_a_call_that_meets_a_sqlite_too_old_says_so_and_sends_nothing(
    plant: Plant, sqlite: str, connect: Connect, refused: RefusedCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(plant.config(sqlite)) as client:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
        assert "Deliveries need 3.35 or newer" in await refused(client, "create_run", **plant.run("SN-1"))
    assert plant.serials() == []
