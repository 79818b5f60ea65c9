"""Reservations and the process that made them: over stdio, some clients start one for every call."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

KEEPS = "[server]\nrelease_on_exit = false\n"


async def test_that_a_reservation_ends_with_the_process_is_said_in_the_answer(
    farm: Farm, spawn: Connect, ask: ToolCaller
) -> None:
    async with spawn(farm.config) as client:
        made = await ask(client, "reserve_nodes", **farm.order())
        assert "ends when this server's process does" in made["note"]
        assert "release_on_exit = false" in made["note"]
    assert farm.held() is None
    async with spawn(farm.config) as client:
        over = await ask(client, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
    assert not over["ended"]
    assert "had ended before" in over["next"]


async def test_a_config_can_keep_it_and_the_next_process_takes_it_up(
    farm: Farm, spawn: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    async with spawn(KEEPS + farm.table) as client:
        made = await ask(client, "reserve_nodes", **farm.order())
        assert "also when this server's process ends" in made["note"]
    held = made["reservations"][0]["reservation_id"]
    assert f"portal:{farm.held()['reservation_id']}" == held
    (file,) = tmp_path.rglob("*.reservations/*.json")
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "reservation": held.partition(":")[2],
        "node": farm.nodes[0],
        "caller": "local",
    }
    async with spawn(KEEPS + farm.table) as client:
        assert (await ask(client, "end_reservation", reservation_id=held))["ended"]
    assert farm.held() is None
    assert not list(tmp_path.rglob("*.reservations/*.json"))


@pytest.mark.parametrize("claim", ["another node's", "none", "not JSON"])
async def test_what_is_written_down_is_believed_only_as_far_as_the_portal_says_so(
    claim: str, farm: Farm, connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    from testlab_mcp.config.loading import parse_config
    from testlab_tools.leases.store import FolderLeases, Lease

    config = parse_config(f"{KEEPS}{farm.table}\n[durable]\npath = '{tmp_path / 'd.sqlite'}'\n")
    lab = config.lab()
    assert lab.reservations.stay
    mine = farm.reserve(farm.you).partition(":")[2]
    number = mine if claim == "another node's" else "99999"
    wrong = Lease(reservation=number, node=farm.nodes[1], caller="alice")
    kept = FolderLeases(tmp_path / "d.sqlite.reservations")
    kept.save(lab.services["portal"], wrong)
    if claim == "not JSON":
        (file,) = tmp_path.rglob("*.json")
        file.write_text("{")
    right = Lease(reservation=mine, node=farm.nodes[0], caller="bob")
    if claim == "none":
        kept.save(lab.services["portal"], right)
    found = await lab.reservations.restore(lab.services.values())
    assert found == ({"portal": [right]} if claim == "none" else {})
    await lab.aclose()
