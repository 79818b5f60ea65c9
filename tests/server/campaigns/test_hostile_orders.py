"""Texts that a database, a terminal or a page may not take, in what long work stores: refused with a sentence, or
stored and shown harmless."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mcp import Client

from tests.fixture_types import Connect, ToolCaller
from tests.postgresql import fresh_database
from tests.server.campaigns.conftest import QUICK, Farm, finish
from tests.server.campaigns.test_campaigns import with_campaigns

NUL, TERMINAL = "a\0b", "a\x1b]0;owned\x07\x1b[31mb"
MARKUP = "]]><script>alert(1)</script><!channel> <at>all</at> [x](javascript:1)"
TAKEN = [NUL, TERMINAL, MARKUP]
REFUSED = {"a\ud800b": "has half a surrogate pair in it", "x" * 10_000: "at most 1000 characters"}
ACTS = ("\0", "\x1b", "\x07", "\ud800")


@contextmanager
def config_on(database: str, farm: Farm) -> Iterator[str]:
    """The lab's config on a database of such a kind."""
    config = with_campaigns(farm.config)
    if database == "SQLite":
        yield config
        return
    with fresh_database() as url:
        head, _, tail = config.partition("[durable]\n")
        place, _, rest = tail.partition("\n")
        assert place.startswith("path = ")
        yield f"{head}[durable]\ndatabase_url = '{url}'\n{rest}"


async def say(client: Client, tool: str, **arguments: Any) -> str:
    """All that a call answers."""
    answer = await client.call_tool(tool, arguments)
    return "\n".join(getattr(block, "text", "") for block in answer.content)


def orders(text: str, node: str) -> list[tuple[str, dict[str, Any]]]:
    """Calls that store a text."""
    campaign = {"test_pack_revision": "main", "test_cases": [QUICK], "node_ids": [node], "message": text}
    return [
        ("start_campaign", {**campaign, "category": text, "tags": {"note": text}}),
        ("start_campaign", {**campaign, "daily_at": "02:00"}),
        ("bisect", {"test_case": text, "revisions": ["main", text], "node_ids": [node], "message": text}),
        ("reserve_nodes", {"node_ids": [node], "message": text, "duration_minutes": 1, "wait_minutes": 5}),
        ("watch", {"yield_below": 90, "part": text, "test": text, "station": text, "service": "factory"}),
    ]


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
async def test_texts_that_long_work_stores_are_refused_or_shown_harmless(
    database: str, farm: Farm, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 0.2)
    held = next(n["node_id"] for n in farm.nodes() if n["reservation"] and not n["reservation"]["reserved_by_you"])
    with config_on(database, farm) as config:
        async with connect(config) as client:
            said = [await say(client, tool, **order) for text in TAKEN for tool, order in orders(text, held)]
            for text, why in REFUSED.items():
                refusals = [await say(client, tool, **order) for tool, order in orders(text, held)]
                assert all(why in refusal for refusal in refusals[: None if "\ud800" in text else -1]), refusals
                said += refusals
            listed = await ask(client, "list_campaigns")
            said += [str(listed), await say(client, "list_campaigns")]
            for order in listed["campaigns"]:
                await ask(client, "cancel_campaign", campaign_id=order["campaign_id"])
                await finish(client, ask, order["campaign_id"])
    assert not [text for text in said if any(character in text for character in ACTS) or "inside this server" in text]
    assert {order["message"] for order in listed["campaigns"]} == {"ab", MARKUP}
    assert {order["message"] for order in listed["scheduled"]} == {"ab", MARKUP}
    assert [len(listed[rows]) for rows in ("campaigns", "scheduled")] == [3, 3]


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
async def test_an_id_with_a_nul_in_it_is_of_nothing_on_either_database(
    database: str, farm: Farm, connect: Connect
) -> None:
    with config_on(database, farm) as config:
        async with connect(config) as client:
            for tool, name in (
                ("get_campaign", "campaign_id"),
                ("cancel_campaign", "campaign_id"),
                ("watch", "watch_id"),
            ):
                for handle in ("c\0", "s\0", "w\0"):
                    assert " no such " in await say(client, tool, **{name: handle})
