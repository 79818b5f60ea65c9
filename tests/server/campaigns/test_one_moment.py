"""What one answer about a campaign says is of one moment, also while its runner writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest

from testlab_tools.campaigns.reading import CampaignReader
from testlab_tools.durable.database import SCHEMA
from tests.fixture_types import Connect, ToolCaller
from tests.server.campaigns.conftest import QUICK, finish
from tests.server.campaigns.test_soaks import NODES
from tests.server.watches.conftest import Farm, farm, postgresql

__all__ = ["farm", "postgresql"]
CHANGES = (
    "UPDATE {}campaigns SET passed = passed + 1, items = items + 1",
    (
        "INSERT INTO {0}campaign_items (campaign_id, item, test, tries, avoid, outcome, rerun) "
        "SELECT campaign_id, max(item) + 1, 0, 0, '', 'pass', '' FROM {0}campaign_items GROUP BY campaign_id"
    ),
)


def add_result(database: str) -> None:
    """Write one more result, as a runner does."""
    if database.startswith("postgresql"):
        with psycopg.connect(database) as session:
            for change in CHANGES:
                session.execute(change.format(f"{SCHEMA}.").encode())
        return
    with closing(sqlite3.connect(database, timeout=20)) as session, session:
        for change in CHANGES:
            session.execute(change.format(""))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_soak_and_its_outcomes_are_read_at_one_moment(
    kind: str,
    farm: Farm,
    connect: Connect,
    ask: ToolCaller,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    durable: str = request.getfixturevalue("postgresql") if kind == "postgresql" else ""
    database = durable.partition("'")[2].rstrip("'") or str(farm.folder / "deliveries.sqlite")
    order: dict[str, Any] = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": NODES, "repeat": 0}
    async with connect(farm.config(durable)) as client:
        own = {"campaign_id": (await ask(client, "start_campaign", **order))["campaign_id"]}
        while not (await ask(client, "get_campaign", **own, wait_seconds=1)).get("by_outcome"):
            pass
        await ask(client, "cancel_campaign", **own)
        before = await finish(client, ask, own["campaign_id"])
        written = 0
        tallies = CampaignReader.tallies

        def read_late(reader: CampaignReader, campaign_id: str) -> object:
            nonlocal written
            written += 1
            add_result(database)
            return tallies(reader, campaign_id)

        monkeypatch.setattr(CampaignReader, "tallies", read_late)
        told = await ask(client, "get_campaign", **own)
        (listed,) = (await ask(client, "list_campaigns"))["campaigns"]
    assert written == 2
    assert told["soak"][0]["n"] == sum(told["by_outcome"].values()) == before["runs"]
    assert f" of {listed['runs']} runs failed" in listed["conclusion"]
    assert listed["runs"] == before["runs"] + 1
