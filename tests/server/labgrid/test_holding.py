"""Places are nodes: what labgrid-client and this server do to them, each sees of the other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.labgrid.conftest import Rack

ORDER = {"node_ids": ["rack:rack1"], "message": "soak", "duration_minutes": 5}


@pytest.fixture
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's data, where ends of reservations are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "testlab-mcp" / "leases"


async def test_places_are_nodes_with_their_type_and_what_is_wired_to_them(
    rack: Rack, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(rack.config()) as client:
        listed = await ask(client, "list_nodes")
        assert [(n["node_id"], n["state"], n["device_type"]) for n in listed["nodes"]] == [
            ("rack:rack1", "free", "stb4k"),
            ("rack:rack2", "free", "stb4k"),
        ]
        (node,) = (await ask(client, "list_nodes", node_ids=["rack:rack1"], detail=True))["nodes"]
        assert {r["class"] for r in node["detail"]["resources"]} == {"NetworkPowerPort", "NetworkSerialPort"}
        assert "127.0.0.1" not in json.dumps(node), "addresses are shown only when they are asked for"
        (node,) = (await ask(client, "list_nodes", node_ids=["rack1"], addresses=True))["nodes"]
        assert "127.0.0.1" in json.dumps(node)


async def test_a_place_that_labgrid_client_holds_is_reserved_by_its_holder_and_cannot_be_taken(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    rack.client("-p", "rack1", "acquire")
    async with connect(rack.config()) as client:
        node = (await ask(client, "list_nodes", node_ids=["rack:rack1"]))["nodes"][0]
        assert (node["state"], node["reservation"]["holder"]) == ("reserved", "desk/colleague")
        assert node["reservation"]["expires_at"] == "no end"
        told = await refused(client, "reserve_nodes", **ORDER)
        assert "'rack:rack1' is reserved by desk/colleague" in told
        assert "Free nodes of the same type: rack:rack2" in told
        theirs = node["reservation"]["reservation_id"]
        assert "another user" in await refused(client, "end_reservation", reservation_id=theirs)
    assert rack.holder() == "desk/colleague"


async def test_what_is_reserved_here_labgrid_client_sees_and_cannot_take_and_it_is_given_back_with_the_server(
    rack: Rack, connect: Connect, ask: ToolCaller, leases: Path
) -> None:
    async with connect(rack.config()) as client:
        (made,) = (await ask(client, "reserve_nodes", **ORDER))["reservations"]
        assert made["yours"]
        assert "already acquired by desk/you" in rack.client("-p", "rack1", "acquire", check=False)
        before = datetime.fromisoformat(made["expires_at"])
        extended = await ask(client, "extend_reservation", reservation_id=made["reservation_id"], minutes=5)
        assert datetime.fromisoformat(extended["expires_at"]) == before + timedelta(minutes=5)
    assert rack.holder() == ""


async def test_a_reservation_that_has_ended_is_no_error_and_one_that_never_was_is(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller, leases: Path
) -> None:
    async with connect(rack.config()) as client:
        (made,) = (await ask(client, "reserve_nodes", **ORDER))["reservations"]
        held = made["reservation_id"]
        assert (await ask(client, "end_reservation", reservation_id=held))["ended"]
        assert rack.holder() == ""
        assert not (await ask(client, "end_reservation", reservation_id=held))["ended"]
        rack.client("-p", "rack2", "acquire")
        for never in ("rack:7", "rack:none/desk/you", "rack:rack1/desk/nobody", "rack:rack2/desk/nobody"):
            assert "no such reservation" in await refused(client, "end_reservation", reservation_id=never)


async def test_of_several_places_all_are_taken_or_none(
    rack: Rack, connect: Connect, refused: RefusedCaller, leases: Path
) -> None:
    rack.client("-p", "rack2", "acquire")
    async with connect(rack.config()) as client:
        await refused(client, "reserve_nodes", **{**ORDER, "node_ids": ["rack:rack1", "rack:rack2"]})
        assert rack.holder("rack1") == ""
        told = await refused(client, "reserve_nodes", **{**ORDER, "node_ids": ["rack:rack1", "rack:none"]})
        assert "no such place" in told
        assert rack.holder("rack1") == ""


async def test_what_a_killed_server_left_behind_its_next_one_gives_back_at_its_end(
    rack: Rack, connect: Connect, ask: ToolCaller, leases: Path
) -> None:
    config = rack.config() + "[server]\nrelease_on_exit = false\n"
    async with connect(config) as client:
        await ask(client, "reserve_nodes", **ORDER)
    assert rack.holder() == "desk/you", "it stays, as the config asks"
    (kept,) = leases.glob("*.json")
    kept.write_text(json.dumps({"rack1": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}), "utf-8")
    async with connect(rack.config()) as client:
        assert (await ask(client, "list_nodes", available=True))["free"] == 2
    assert rack.holder() == ""


async def test_a_place_is_given_back_at_its_end_while_the_server_runs(
    rack: Rack, connect: Connect, ask: ToolCaller, leases: Path
) -> None:
    async with connect(rack.config()) as client:
        await ask(client, "reserve_nodes", **{**ORDER, "node_ids": ["rack:rack2"]})
        (kept,) = leases.glob("*.json")
        soon = datetime.now(UTC) + timedelta(seconds=0.5)
        kept.write_text(json.dumps({"rack2": soon.isoformat()}), "utf-8")
        await ask(client, "reserve_nodes", **ORDER)
        await rack.until(lambda: not rack.holder("rack2"))
        assert rack.holder("rack1") == "desk/you"


async def test_interrupting_is_refused_as_labgrid_cannot_tell_its_holder(
    rack: Rack, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    rack.client("-p", "rack1", "acquire")
    async with connect(rack.config() + '[server]\naccess = "admin"\n') as client:
        told = await refused(
            client,
            "interrupt_reservation",
            reservation_id="rack:rack1/desk/colleague",
            message="mine",
            confirm="rack:rack1",
        )
        assert "no messages" in told
    assert rack.holder() == "desk/colleague"
