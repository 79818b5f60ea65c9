"""Waiting in labgrid's own queue for a place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.labgrid.conftest import Rack

ORDER = {"node_ids": ["rack:rack1"], "message": "soak", "duration_minutes": 5}


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


async def test_who_waits_gets_the_place_when_its_holder_releases_it(
    rack: Rack, connect: Connect, ask: ToolCaller
) -> None:
    rack.client("-p", "rack1", "acquire")
    async with connect(rack.config()) as client:
        waiting = asyncio.create_task(ask(client, "reserve_nodes", **ORDER, wait_seconds=30))
        await rack.until(lambda: "desk/you" in rack.queue())
        rack.release()
        (made,) = (await waiting)["reservations"]
        assert made["yours"]
        assert rack.holder() == "desk/you"
    assert rack.queue() == [], "nothing keeps it from others once it is given back"


async def test_who_has_waited_in_vain_is_told_how_many_are_before_them_and_keeps_their_place(
    rack: Rack, connect: Connect, refused: RefusedCaller
) -> None:
    rack.client("-p", "rack1", "acquire")
    rack.client("reserve", "name=rack1", holder="desk/other")
    async with connect(rack.config()) as client:
        for _ in range(2):
            told = await refused(client, "reserve_nodes", **ORDER, wait_seconds=1)
            assert "You stand in line, 1 before you" in told
        assert rack.queue().count("desk/you") == 1


async def test_a_place_that_was_given_to_another_reservation_is_not_free(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    rack.client("reserve", "name=rack1", holder="desk/other")
    async with connect(rack.config()) as client:
        node = (await ask(client, "list_nodes", node_ids=["rack:rack1"]))["nodes"][0]
        assert node["state"] == "reserved"
        assert "desk/other" in node["why"]
        await refused(client, "reserve_nodes", **ORDER)


async def test_one_can_wait_for_one_place_only(rack: Rack, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(rack.config()) as client:
        both = {**ORDER, "node_ids": ["rack:rack1", "rack:rack2"]}
        assert "one node only" in await refused(client, "reserve_nodes", **both, wait_seconds=1)


async def test_who_waits_beyond_the_call_stands_in_labgrids_queue_and_gets_the_place(
    rack: Rack, connect: Connect, ask: ToolCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.node_queue.queue.POLL_S", 0.1)
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 0.2)
    rack.client("-p", "rack1", "acquire")
    config = f"{rack.config()}\n[durable]\npath = '{tmp_path / 'd.sqlite'}'\n"
    async with connect(config) as client:
        told = await ask(client, "reserve_nodes", **ORDER, wait_minutes=5)
        assert told["queued"]
        await rack.until(lambda: rack.queue().count("desk/you") == 1)
        while told["line"].get("place") != 1:
            told = await ask(client, "reserve_nodes", **ORDER, wait_minutes=5)
        assert rack.queue().count("desk/you") == 1, "one stands there once, however often the line is looked at"
        rack.release()
        while not told["reservations"]:
            told = await ask(client, "reserve_nodes", **ORDER, wait_minutes=5)
        assert rack.holder() == "desk/you"
