"""Power and consoles of places, through labgrid's own drivers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.labgrid.conftest import Rack

BOTH = {"node_ids": ["rack:rack1", "rack:rack2"], "message": "boot", "duration_minutes": 5}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


async def test_power_is_switched_once_and_told(rack: Rack, connect: Connect, ask: ToolCaller) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        assert (await ask(client, "set_power", node_id="rack:rack1", action="off"))["power"] == "off"
        assert rack.board.switched == [b"0"]
        assert (await ask(client, "set_power", node_id="rack:rack1", action="get"))["power"] == "off"
        assert rack.board.switched == [b"0"]


async def test_a_boot_is_read_from_its_first_line(rack: Rack, connect: Connect, ask: ToolCaller) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        read = await ask(client, "read_console", node_id="rack:rack1", seconds=1, power_cycle=True)
        assert read["lines"].splitlines()[-2:] == ["U-Boot 2026.10", "Starting kernel ..."]
        assert "lines" in read["untrusted"]
        assert rack.board.switched == [b"0", b"1"]


async def test_what_is_not_wired_is_said(rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        assert "has no serial console" in await refused(client, "read_console", node_id="rack:rack2")
        told = await refused(client, "set_power", node_id="rack:rack2", action="off")
        assert "Nothing that is wired" in told


async def test_a_place_of_nobody_or_of_another_is_not_switched(
    rack: Rack, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(rack.config()) as client:
        assert "is not reserved" in await refused(client, "set_power", node_id="rack:rack1", action="off")
        rack.client("-p", "rack1", "acquire")
        assert "is reserved" in await refused(client, "set_power", node_id="rack:rack1", action="off")
    assert rack.board.switched == []


async def test_a_power_port_that_fails_leaves_the_state_unknown(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        rack.board.is_refusing = True
        told = await refused(client, "set_power", node_id="rack:rack1", action="off")
        assert "may or may not have been switched" in told


async def test_a_console_that_is_closed_meanwhile_is_not_said_to_be_silent(
    rack: Rack, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        heard = len(rack.board.listeners)
        reading = asyncio.create_task(ask(client, "read_console", node_id="rack:rack1", seconds=15))
        await rack.until(lambda: len(rack.board.listeners) > heard)
        rack.board.hang_up()
        assert "was closed before the time was over" in (await reading)["note"]


async def test_a_caller_who_goes_away_in_a_power_cycle_leaves_the_device_on(
    rack: Rack, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        call = ask(client, "read_console", node_id="rack:rack1", seconds=1, power_cycle=True)
        reading = asyncio.create_task(call)
        await rack.until(lambda: rack.board.switched == [b"0"])
        reading.cancel()
        await rack.until(lambda: rack.board.switched == [b"0", b"1"])


async def test_settings_of_labgrid_client_do_not_reach_what_is_run_here(
    rack: Rack, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_STATE", "shell")
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **BOTH)
        assert (await ask(client, "set_power", node_id="rack:rack1", action="get"))["power"] in ("on", "off")


async def test_of_several_consoles_none_is_guessed(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    rack.client("-p", "rack2", "add-match", "shelf/two_ports/*")
    try:
        async with connect(rack.config()) as client:
            await ask(client, "reserve_nodes", **BOTH)
            assert "several serial consoles" in await refused(client, "read_console", node_id="rack:rack2")
    finally:
        rack.client("-p", "rack2", "del-match", "shelf/two_ports/*")
