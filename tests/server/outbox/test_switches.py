"""The `[durable]` table: off, a file, a database; and what is said when that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from testlab_mcp.config.loading import load_config, parse_config
from testlab_tools.errors import ConfigError
from tests.fixture_types import Connect, RefusedCaller

RUN = {"procedure_id": "FVT1", "serial_number": "SN-1", "outcome": "pass"}


def factory(url: str, durable: str) -> str:
    table = f'[services.factory]\nkind = "tofupilot"\nurl = "{url}"\ntoken = "t"\n'
    return f'[server]\ntoolsets = ["all"]\n[durable]\n{durable}\n{table}'


async def test_switched_off_an_outage_is_an_error_and_there_are_no_deliveries(
    connect: Connect, refused: RefusedCaller, dead_url: str, no_backoff: None
) -> None:
    async with connect(factory(dead_url, "enabled = false")) as client:
        assert "cannot be reached" in await refused(client, "create_run", **RUN)
        assert "[durable] enabled is false" in await refused(client, "list_deliveries")


async def test_a_run_that_cannot_be_written_down_is_not_sent(
    connect: Connect, refused: RefusedCaller, dead_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    async with connect(factory(dead_url, f"path = '{tmp_path / 'file' / 'deliveries.sqlite'}'")) as client:
        told = await refused(client, "create_run", **RUN)
        assert "nothing was sent" in told
        assert "[durable]" in told


async def test_an_unknown_delivery_is_not_released(
    connect: Connect, refused: RefusedCaller, dead_url: str, tmp_path: Path
) -> None:
    async with connect(factory(dead_url, f"path = '{tmp_path / 'deliveries.sqlite'}'")) as client:
        assert "no such delivery" in await refused(client, "release_delivery", delivery_id="none")


def test_a_database_url_is_postgresqls_and_is_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"\[durable\]: database_url must be a postgresql:// URL"):
        parse_config("[durable]\ndatabase_url = 'mysql://somewhere'")
    read = parse_config("[durable]\ndatabase_url = 'postgresql://lab:secret@db/lab'")
    assert "secret" not in repr(read)


def test_every_config_has_deliveries_of_its_own(tmp_path: Path) -> None:
    places = set()
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text("", encoding="utf-8")
        outbox = load_config(tmp_path / name).outbox()
        assert outbox is not None
        places.add(outbox.engine.database.url)
    assert len(places) == 2
