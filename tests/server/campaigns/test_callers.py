"""Campaigns of callers over HTTP: each sees and cancels its own, on its own nodes."""

from __future__ import annotations

import pytest

from tests.fixture_types import RefusedCaller, ToolCaller
from tests.server.access.conftest import EVERYTHING, Serve, serve, signed_in, table_of
from tests.server.campaigns.conftest import QUICK, Farm
from tests.server.campaigns.test_campaigns import SLOW

__all__ = ["serve"]
NODE = "stb-tester-00044b80f101"
BUSY = "stb-tester-00044b80f203"
"""A colleague has it all day: a campaign waits for it."""
ORDER = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": [BUSY], "service": "portal"}


@pytest.fixture
def url(farm: Farm, serve: Serve) -> str:
    callers = (
        table_of("alice", access="operate")
        + table_of("bob", access="operate", nodes=[f"portal:{NODE}"])
        + table_of("root", access="admin")
    )
    return serve(EVERYTHING + callers + farm.config)


async def test_a_campaign_is_its_starters_below_admin(url: str, ask: ToolCaller, refused: RefusedCaller) -> None:
    async with signed_in(url, "alice") as alice, signed_in(url, "bob") as bob, signed_in(url, "root") as root:
        started = await ask(alice, "start_campaign", **ORDER)
        own = {"campaign_id": started["campaign_id"]}
        assert (await ask(bob, "list_campaigns"))["campaigns"] == []
        for tool in ("get_campaign", "cancel_campaign"):
            assert "no such campaign" in await refused(bob, tool, **own)
        assert "no such campaign" in await refused(bob, "start_campaign", failed_of=own["campaign_id"], node_ids=[NODE])
        seen = await ask(root, "get_campaign", **own)
        assert (seen["caller"], seen["state"]) == ("alice", "queued")
        assert "confirm" in await refused(root, "cancel_campaign", **own)
        await ask(root, "cancel_campaign", **own, confirm=own["campaign_id"])
        ended = await ask(alice, "get_campaign", **own, wait_seconds=20)
    assert (ended["state"], ended["not_run"]) == ("cancelled", 1)


async def test_what_somebody_left_behind_is_ended_by_an_admin_alone_once_a_person_agrees(
    url: str, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with signed_in(url, "alice") as alice, signed_in(url, "bob") as bob, signed_in(url, "root") as root:
        schedule = (await ask(alice, "start_campaign", **ORDER, daily_at="02:00"))["campaign_id"]
        watch = (await ask(alice, "watch", node_id=f"portal:{NODE}", node_becomes="offline"))["watch_id"]
        for left in (schedule, watch):
            assert "You have no such" in await refused(bob, "cancel_campaign", campaign_id=left, confirm=left)
            told = await refused(root, "cancel_campaign", campaign_id=left)
            assert "alice" in told
            assert "confirm" in told
            assert (await ask(root, "cancel_campaign", campaign_id=left, confirm=left))["state"] == "cancelled"
        assert "scheduled" not in await ask(root, "list_campaigns")
        ended = await ask(alice, "watch", watch_id=watch, wait_seconds=5)
        assert (ended["state"], ended["what"]) == ("cancelled", "It was ended by hand")
        own = (await ask(alice, "watch", node_id=f"portal:{NODE}", node_becomes="different"))["watch_id"]
        assert (await ask(alice, "cancel_campaign", campaign_id=own))["state"] == "cancelled"


async def test_a_node_of_ones_campaign_is_nobody_elses_to_use_or_to_give_back(
    farm: Farm, url: str, ask: ToolCaller, refused: RefusedCaller
) -> None:
    order = {**ORDER, "node_ids": [NODE], "test_cases": [SLOW]}
    async with signed_in(url, "alice") as alice, signed_in(url, "bob") as bob:
        started = await ask(alice, "start_campaign", **order)
        while not farm.jobs_of(started["campaign_id"]):
            await ask(alice, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=1)
        (node,) = (await ask(bob, "list_nodes", node_ids=[NODE]))["nodes"]
        assert node["reservation"].get("yours", False) is False
        reservation = node["reservation"]["reservation_id"]
        assert "another caller" in await refused(bob, "end_reservation", reservation_id=reservation)
        assert "another caller" in await refused(bob, "press_key", node_id=NODE, key="KEY_OK")
        await ask(alice, "cancel_campaign", campaign_id=started["campaign_id"])


async def test_a_caller_has_no_campaign_on_nodes_that_are_not_its_own(
    url: str, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with signed_in(url, "bob") as bob:
        assert "[callers.bob] nodes" in await refused(bob, "start_campaign", **ORDER)
        firetv = {**ORDER, "node_ids": [], "device_type": "firetv"}
        assert "no node of that device type" in await refused(bob, "start_campaign", **firetv)
        wide = {**ORDER, "node_ids": [], "device_type": "stb4k"}
        assert "1 nodes of that device type" in await refused(bob, "start_campaign", **wide, node_count=2)
        started = await ask(bob, "start_campaign", **wide)
        ended = await ask(bob, "get_campaign", campaign_id=started["campaign_id"], wait_seconds=40)
    assert (ended["by_outcome"], [node["node_id"] for node in ended["nodes"]]) == ({"pass": 1}, [f"portal:{NODE}"])
