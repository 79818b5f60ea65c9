"""Several who reserve places of one coordinator in one user's name: processes of this server, and its callers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.access.conftest import served, signed_in, table_of

if TYPE_CHECKING:
    from tests.server.labgrid.conftest import Rack

ORDER = {"node_ids": ["rack:rack1"], "message": "soak", "duration_minutes": 5}
CALLERS = table_of("anna", access="operate") + table_of("ben", access="operate")


@pytest.fixture(autouse=True)
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's data, where ends of reservations are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "testlab-mcp" / "leases"


@pytest.fixture
def url(rack: Rack, tmp_path: Path) -> Iterator[str]:
    """A server with two callers, over HTTP."""
    own = f"[files]\nsave_to = ['{tmp_path}']\n[durable]\npath = '{tmp_path}/deliveries.sqlite'\n"
    with served(rack.config() + CALLERS + own) as url:
        yield url


async def test_two_servers_of_one_user_ask_one_coordinator(rack: Rack, connect: Connect, ask: ToolCaller) -> None:
    async with connect(rack.config()) as one, connect(rack.config()) as other:
        for client in (one, other, one):
            assert (await ask(client, "list_nodes"))["free"] == 2


async def test_a_server_that_stops_leaves_what_another_of_the_user_has_reserved_since(
    rack: Rack, connect: Connect, ask: ToolCaller, leases: Path
) -> None:
    async with connect(rack.config()) as other:
        async with connect(rack.config()) as one:
            await ask(one, "reserve_nodes", **ORDER)
            (kept,) = leases.glob("*.json")
            kept.write_text(json.dumps({"rack1": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}), "utf-8")
            assert (await ask(other, "list_nodes"))["free"] == 2
            await ask(other, "reserve_nodes", **{**ORDER, "duration_minutes": 9})
        assert rack.holder() == "desk/you"
    assert rack.holder() == ""


async def test_a_server_that_stops_gives_back_what_it_holds_also_where_its_ends_are_gone(
    rack: Rack, connect: Connect, ask: ToolCaller, leases: Path
) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **ORDER)
        (kept,) = leases.glob("*.json")
        kept.unlink()
    assert rack.holder() == ""


async def test_a_caller_who_waits_gets_the_place_that_another_caller_gives_back(
    rack: Rack, url: str, ask: ToolCaller
) -> None:
    async with signed_in(url, "anna") as anna, signed_in(url, "ben") as ben:
        (held,) = (await ask(anna, "reserve_nodes", **ORDER))["reservations"]
        waiting = asyncio.create_task(ask(ben, "reserve_nodes", **ORDER, wait_seconds=20))
        await rack.until(lambda: "desk/you" in rack.queue())
        await ask(anna, "end_reservation", reservation_id=held["reservation_id"])
        assert (await waiting)["reservations"][0]["yours"]
        assert rack.queue() == []


async def test_a_caller_who_has_waited_leaves_the_queue_to_the_next(
    rack: Rack, url: str, ask: ToolCaller, refused: RefusedCaller
) -> None:
    rack.client("-p", "rack1", "acquire")
    async with signed_in(url, "anna") as anna, signed_in(url, "ben") as ben:
        waiting = asyncio.create_task(ask(anna, "reserve_nodes", **ORDER, wait_seconds=20))
        await rack.until(lambda: "desk/you" in rack.queue())
        rack.release()
        await waiting
        told = await refused(ben, "reserve_nodes", **ORDER, wait_seconds=1)
        assert "You stand in line, 0 before you" in told
