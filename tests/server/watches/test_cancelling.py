"""`cancel_campaign` for schedules, watches and campaigns: one rule of whose they are, wherever there are watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.access.conftest import served, signed_in, table_of
from tests.server.watches.conftest import QUICK

if TYPE_CHECKING:
    from tests.server.watches.conftest import Farm


async def leave_all_three(client: Any, farm: Farm, ask: ToolCaller) -> list[str]:
    """Begin a campaign that waits for a node, a schedule and a watch; their ids."""
    busy = next(f"portal:{node['node_id']}" for node in farm.nodes() if node["reservation"])
    order = {"node_ids": [busy], "test_pack_revision": "main", "test_cases": [QUICK], "service": "portal"}
    campaign = await ask(client, "start_campaign", **order)
    schedule = await ask(client, "start_campaign", **order, daily_at="02:00")
    watch = await ask(client, "watch", campaign_id=campaign["campaign_id"])
    return [campaign["campaign_id"], schedule["campaign_id"], watch["watch_id"]]


async def test_below_admin_access_a_local_caller_ends_nothing_of_others_and_all_of_its_own(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    with served(farm.config() + table_of("ada", access="operate")) as url:
        async with signed_in(url, "ada") as ada, connect(farm.config()) as local:
            theirs = await leave_all_three(ada, farm, ask)
            for left in theirs:
                told = await refused(local, "cancel_campaign", campaign_id=left, confirm=left)
                assert "is another caller's" in told
                assert "[server] access" in told
            assert (await ask(ada, "watch", watch_id=theirs[2]))["state"] == "watching"
            assert [one["schedule_id"] for one in (await ask(ada, "list_campaigns"))["scheduled"]] == [theirs[1]]
            for own in reversed(await leave_all_three(local, farm, ask)):
                assert (await ask(local, "cancel_campaign", campaign_id=own))["state"] == "cancelled"


async def test_who_only_looks_ends_the_watches_of_its_own(farm: Farm, ask: ToolCaller, refused: RefusedCaller) -> None:
    callers = table_of("ada", access="observe") + table_of("bob", access="observe")
    with served(farm.config() + callers) as url:
        async with signed_in(url, "ada") as ada, signed_in(url, "bob") as bob:
            node = farm.nodes()[0]["node_id"]
            begun = await ask(ada, "watch", node_id=node, node_becomes="offline")
            told = await refused(bob, "watch", watch_id=begun["watch_id"], end=True)
            assert "no such watch" in told
            assert "It ended weeks ago, never was, or is another caller's" in told
            assert "which watch" in await refused(ada, "watch", node_id=node, node_becomes="offline", end=True)
            assert (await ask(ada, "watch", watch_id=begun["watch_id"]))["state"] == "watching"
            ended = await ask(ada, "watch", watch_id=begun["watch_id"], end=True)
            assert (ended["state"], ended["what"]) == ("cancelled", "It was ended by hand")
            assert "next" not in ended, "the same call would begin another"


async def test_who_may_not_use_a_service_neither_ends_what_goes_on_there_nor_learns_whose_it_is(
    farm: Farm, ask: ToolCaller, refused: RefusedCaller
) -> None:
    callers = table_of("ada", access="operate") + table_of("root", access="admin", services=["factory"])
    config = farm.config().replace("[server]\n", '[server]\naccess = "admin"\n')
    with served(config + callers) as url:
        async with signed_in(url, "ada") as ada, signed_in(url, "root") as root:
            for left in await leave_all_three(ada, farm, ask):
                for confirm in ("", left):
                    told = await refused(root, "cancel_campaign", campaign_id=left, confirm=confirm)
                    assert "no such" in told
                    assert "ada" not in told
            assert len((await ask(ada, "list_campaigns"))["scheduled"]) == 1


async def test_a_watch_is_ended_where_there_is_no_job_farm(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    before, _, portal = farm.config().partition("[services.portal]")
    async with connect(before + portal[portal.index("[services.") :]) as client:
        assert "list_campaigns" not in {tool.name for tool in (await client.list_tools()).tools}
        begun = await ask(client, "watch", yield_below=1, service="factory")
        assert (await ask(client, "cancel_campaign", campaign_id=begun["watch_id"]))["state"] == "cancelled"
