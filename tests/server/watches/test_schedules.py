"""`start_campaign(daily_at=…)`: a campaign every night, each start once, and what becomes of missed ones."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mcp import Client

from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.watches.conftest import QUICK, eventually

if TYPE_CHECKING:
    from tests.server.watches.conftest import Farm


def order(farm: Farm, ago: timedelta, **more: object) -> dict[str, Any]:
    """Arguments of a campaign, every day at the time that it was so long ago."""
    moment = datetime.now(UTC) - ago
    nodes = {"node_ids": farm.free()[:1], "test_pack_revision": "main", "test_cases": [QUICK]}
    return {**nodes, "daily_at": f"{moment:%H:%M}", "message": "every night", **more}


def set_back(farm: Farm, schedule: str, days: int = 1) -> None:
    """As if all had been down since the start of so many days ago."""
    with sqlite3.connect(farm.folder / "deliveries.sqlite", timeout=20) as database:
        changed = "UPDATE schedules SET last_at = last_at - ? WHERE schedule_id = ?"
        database.execute(changed, (days * 86_400, schedule))
    database.close()


async def scheduled(client: Client, ask: ToolCaller, word: str) -> dict[str, Any]:
    """The only schedule, once its last start came to this."""

    async def found() -> dict[str, Any] | None:
        (one,) = (await ask(client, "list_campaigns"))["scheduled"]
        return one if word in one.get("last", "") else None

    return await eventually(found, 60)


async def test_a_start_that_is_due_is_made_once_by_all_processes(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(farm.config()) as client:
        given = order(farm, timedelta(minutes=5))
        made = await ask(client, "start_campaign", **given)
        assert made["state"] == "scheduled"
        told = await refused(client, "get_campaign", campaign_id=made["campaign_id"])
        assert "the id of a schedule" in told
        assert "list_campaigns shows those" in told
        again = await ask(client, "start_campaign", **given)
        assert again["campaign_id"] == made["campaign_id"], "the same call is the same schedule"
        assert again["note"].startswith("The same call before made this schedule")
        assert "same call" not in made["note"]
        (listed,) = (await ask(client, "list_campaigns"))["scheduled"]
        assert (listed["test_pack_revision"], listed["tests"]) == ("main", 1)
        assert listed["node_ids"] == [f"portal:{node}" for node in given["node_ids"]]
        assert (await ask(client, "list_campaigns"))["campaigns"] == []
        set_back(farm, made["campaign_id"])
    async with connect(farm.config()) as client:
        one = await scheduled(client, ask, "was started")
        (campaign,) = (await ask(client, "list_campaigns"))["campaigns"]
        assert campaign["campaign_id"] in one["last"]
        assert (campaign["message"], campaign["runs"]) == ("every night", 1)
        set_back(farm, made["campaign_id"])
    async with connect(farm.config()) as client:
        await scheduled(client, ask, "was started")
        await ask(client, "get_campaign", campaign_id=campaign["campaign_id"])
        assert len((await ask(client, "list_campaigns"))["campaigns"]) == 1, "the same night again is the same campaign"
        ended = await ask(client, "cancel_campaign", campaign_id=made["campaign_id"])
        assert ended["state"] == "cancelled"
        assert "scheduled" not in await ask(client, "list_campaigns")


async def test_a_start_missed_by_more_than_an_hour_is_skipped_and_that_is_said(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(farm.config()) as client:
        made = await ask(client, "start_campaign", **order(farm, timedelta(minutes=70)))
        set_back(farm, made["campaign_id"], days=3)
    async with connect(farm.config()) as client:
        await scheduled(client, ask, "was skipped: it was more than an hour late")
        assert (await ask(client, "list_campaigns"))["campaigns"] == []


async def test_what_is_no_schedule_is_refused(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(farm.config()) as client:
        told = await refused(client, "start_campaign", **order(farm, timedelta(), daily_at="every night at two"))
        assert "daily_at is not a time of day" in told
        assert "no such schedule" in await refused(client, "cancel_campaign", campaign_id="s0000000000")
        assert "of that device type" in await refused(
            client, "start_campaign", **order(farm, timedelta(), node_ids=[], device_type="stb9z")
        )
