"""`list_test_cases`: what a revision of the test pack holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench

from testlab_tools.paging import encode_cursor


async def test_a_page_states_the_total_and_the_cursor_leads_through_all_of_them(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    names = bench.you.get("/test_pack/main/test_case_names").json()
    seen, cursor = [], ""
    while True:
        page = await ask(client, "list_test_cases", revision="main", limit=15, cursor=cursor)
        assert page["total"] == len(names)
        assert "run_tests" in page["next"]
        seen += page["test_cases"]
        if not (cursor := page.get("cursor", "")):
            break
        assert "pass cursor" in page["next"]
    assert seen == names
    assert "test_cases" in page["untrusted"]


@pytest.mark.parametrize("revision", ["main", "v2.3.0", "release/2.3", "feature/epg/redesign", "HEAD"])
async def test_any_name_of_a_revision_serves_slashes_included(
    revision: str, bench: Bench, client: Client, ask: ToolCaller
) -> None:
    page = await ask(client, "list_test_cases", revision=revision, limit=200)
    assert page["test_cases"] == bench.you.get(f"/test_pack/{revision}/test_case_names").json()


async def test_a_search_finds_names_that_hold_every_word(client: Client, ask: ToolCaller) -> None:
    page = await ask(client, "list_test_cases", revision="main", search="EPG opens")
    assert page["test_cases"] == ["tests/epg.py::test_that_epg_opens_from_live_tv"]
    assert page["total"] == 1
    none = await ask(client, "list_test_cases", revision="main", search="nothing like it")
    assert (none["test_cases"], none["total"]) == ([], 0)
    assert "fewer words" in none["next"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"revision": "feature/nope"}, "no such revision. Give a branch, tag or commit SHA"),
        ({"revision": "../../nodes"}, "cannot be a revision"),
        ({"revision": "a//b"}, "cannot be a revision"),
        ({"revision": "main", "cursor": "nonsense"}, "not one this tool gave"),
        (
            {"revision": "main", "cursor": encode_cursor("another list", 10)},
            "belongs to other arguments, or the list has changed",
        ),
        ({"revision": "main", "service": "factory"}, "cannot do this. These can: portal"),
    ],
)
async def test_what_cannot_be_listed_is_told(
    arguments: dict[str, Any], told: str, client: Client, refused: RefusedCaller
) -> None:
    assert told in await refused(client, "list_test_cases", **arguments)
