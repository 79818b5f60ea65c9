"""`list_test_cases`: what a revision of the test pack holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench

from testlab_tools.cursors import encode_cursor


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
        ({"revision": "feature/nope"}, 'no such revision: revision "feature/nope". Give a branch, tag or commit SHA'),
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


async def test_two_revisions_are_compared_in_one_call(bench: Bench, client: Client, ask: ToolCaller) -> None:
    old, new = (
        bench.you.get(f"/test_pack/{name}/test_case_names").json() for name in ("release/2.3", "feature/epg/redesign")
    )
    added, removed = [n for n in new if n not in old], [n for n in old if n not in new]
    there = {"revision": "feature/epg/redesign", "compare_to": "release/2.3"}
    told = await ask(client, "list_test_cases", **there)
    assert (told["added"], told["removed"], told["total"]) == (added, removed, len(added) + len(removed))
    assert "test_cases" not in told
    back = await ask(client, "list_test_cases", revision="release/2.3", compare_to="feature/epg/redesign")
    assert (back["added"], back["removed"]) == (removed, added)
    same = await ask(client, "list_test_cases", revision="main", compare_to="main")
    assert (same["added"], same["removed"], same["total"]) == ([], [], 0)
    first = await ask(client, "list_test_cases", **there, limit=1)
    rest = await ask(client, "list_test_cases", **there, limit=100, cursor=first["cursor"])
    assert first["added"] + rest["added"] == added
    assert f"{len(added)} are added and {len(removed)} removed in all" in first["next"]


async def test_a_revision_to_compare_with_that_is_not_there_is_the_one_that_is_named(
    client: Client, refused: RefusedCaller
) -> None:
    told = await refused(client, "list_test_cases", revision="main", compare_to="release/9.9")
    assert 'no such revision: compare_to "release/9.9"' in told


@pytest.mark.parametrize("search", ["test_that_epg_opens_from_life_tv", "tests/epg.py::test_that_epg_opens_life_tv"])
async def test_a_search_that_finds_nothing_names_the_nearest(search: str, client: Client, ask: ToolCaller) -> None:
    told = await ask(client, "list_test_cases", revision="main", search=search)
    assert told["total"] == 0
    assert told["nearest"][0] == "tests/epg.py::test_that_epg_opens_from_live_tv"
    assert "nearest" in told["untrusted"]
    assert told["next"] == "nearest has names written alike."
