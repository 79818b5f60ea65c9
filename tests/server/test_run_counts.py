"""How many of how many, the longest, and whether there is such a test at all: each in one call of `list_runs`."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

SERVICES = ("portal", "factory", "cloud")


@pytest.fixture(scope="module")
def config(sim: SimLab) -> str:
    """The three services, and the factory once more by API v1, which lists runs only by serial number."""
    factory = sim.services()["tofupilot"]
    table = f'kind = "tofupilot"\napi_version = "v1"\nurl = "{factory["url"]}"\ntoken = "{factory["token"]}"\n'
    return f"{sim.config_toml()}\n[services.old]\n{table}"


async def all_runs(ask: ToolCaller, client: Client, **asked: Any) -> list[dict[str, Any]]:
    page = await ask(client, "list_runs", **asked, limit=200)
    runs = page["runs"]
    while "cursor" in page:
        page = await ask(client, "list_runs", **asked, limit=200, cursor=page["cursor"])
        runs += page["runs"]
    return runs


def days_ago(first: int, last: int) -> dict[str, str]:
    """A span that stays the same from call to call."""
    now = datetime.now(UTC)
    return {"since": (now - timedelta(first)).isoformat(), "until": (now - timedelta(last)).isoformat()}


def shares_of(page: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {share["service"]: share for share in page["services"]}


@pytest.mark.parametrize("service", SERVICES)
async def test_limit_zero_counts_by_outcome_exactly_and_lists_nothing(
    service: str, config: str, connect: Connect, ask: ToolCaller
) -> None:
    span = {"service": service, **days_ago(3, 1)}
    async with connect(config) as client:
        counted = await ask(client, "list_runs", **span, limit=0)
        runs = await all_runs(ask, client, **span)
    share = shares_of(counted)[service]
    assert counted["runs"] == []
    assert "cursor" not in counted
    assert share["total"] == len(runs) > 20
    assert share["by_outcome"] == Counter(run["outcome"] for run in runs)
    assert "at_least" not in share


async def test_counts_of_more_runs_than_the_portal_lists_at_once_are_exact(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        first = await ask(client, "list_runs", service="portal", limit=1)
        counted = await ask(client, "list_runs", service="portal", limit=0)
    bound, exact = first["services"][0], counted["services"][0]
    assert bound["at_least"]
    assert sum(bound["by_outcome"].values()) == bound["total"]
    assert "portal: the counts are lower bounds (at_least). limit=0 counts them." in first["note"]
    assert exact["total"] > 2_000
    assert sum(exact["by_outcome"].values()) == exact["total"]
    assert "at_least" not in exact


async def test_counts_come_with_a_list_where_they_take_no_more_requests(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", since="2d", limit=1)
        unit = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]["unit"]
        of_unit = await ask(client, "list_runs", unit=unit)
    shares, of_unit_shares = shares_of(page), shares_of(of_unit)
    assert sum(shares["portal"]["by_outcome"].values()) == shares["portal"]["total"]
    assert "by_outcome" not in shares["factory"]
    assert "How many match in all, factory does not say." in page["note"]
    for service in ("factory", "old"):
        assert sum(of_unit_shares[service]["by_outcome"].values()) == of_unit_shares[service]["total"]


@pytest.mark.parametrize(("service", "path"), [("portal", "/api/v2/results"), ("factory", "/api/v2/runs")])
async def test_a_count_that_fails_midway_is_a_lower_bound_and_says_why(
    service: str, path: str, fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    faults = f"{fresh_sim.services()['stbtester']['url'].rpartition('/')[0]}/_sim/faults"
    handled = {"action": "slow", "seconds": 0, "path_prefix": path, "times": 15 if service == "factory" else 1}
    httpx2.post(faults, json=handled).raise_for_status()
    httpx2.post(faults, json={"action": "garbage", "path_prefix": path, "times": 0}).raise_for_status()
    async with connect(fresh_sim.config_toml()) as client:
        counted = await ask(client, "list_runs", service=service, limit=0)
    (share,) = counted["services"]
    assert share["total"] >= 500
    assert share["at_least"]
    assert sum(share["by_outcome"].values()) == share["total"]
    assert share["note"].startswith("Counted no further: ")
    assert "JSON" in share["note"]


async def test_the_longest_runs_end_where_the_portal_lists_no_more(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    """The portal lists 2,000 at a time, and no filter goes on by duration."""
    lengths: list[float] = []
    page: dict[str, Any] = {"cursor": ""}
    async with connect(config) as client:
        while "cursor" in page:
            page = await ask(client, "list_runs", service="portal", sort="longest", limit=200, cursor=page["cursor"])
            lengths += [run.get("duration_s", 0) for run in page["runs"]]
    (share,) = page["services"]
    assert len(lengths) == share["total"] == 2_000
    assert lengths == sorted(lengths, reverse=True)
    assert share["at_least"]
    assert share["note"] == "It lists only its 2000 longest."


async def test_counts_stay_with_a_list_page_by_page(config: str, connect: Connect, ask: ToolCaller) -> None:
    asked = {"service": "portal", "limit": 5, **days_ago(4, 1)}
    async with connect(config) as client:
        first = await ask(client, "list_runs", **asked)
        second = await ask(client, "list_runs", **asked, cursor=first["cursor"])
        third = await ask(client, "list_runs", **asked, cursor=second["cursor"])
    counts = [(page["services"][0]["total"], page["services"][0]["by_outcome"]) for page in (first, second, third)]
    assert counts[0] == counts[1] == counts[2]
    assert sum(counts[0][1].values()) == counts[0][0]


async def test_a_run_that_two_services_keep_is_said_to_be_listed_twice(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        unit = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]["unit"]
        both = await ask(client, "list_runs", unit=unit)
        alone = await ask(client, "list_runs", unit=unit, service="old")
    twice = len(alone["runs"])
    assert twice
    assert f"{twice} of these runs stand here twice, as two services keep them: totals count both." in both["note"]
    assert "twice" not in alone.get("note", "")


async def test_a_cursor_cannot_be_counted_from(
    config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", limit=1)
        told = await refused(client, "list_runs", limit=0, cursor=page["cursor"])
    assert "Leave cursor out" in told


async def test_what_a_service_never_does_is_no_error(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", limit=5)
        triaged = await ask(client, "triage", since="24h")
        unit = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]["unit"]
        passport = await ask(client, "get_unit", serial_number=unit)
    assert shares_of(page)["old"] == {"service": "old", "shown": 0, "cannot": "old lists runs only by serial number"}
    assert "Cannot list failures of many runs" in shares_of(triaged)["old"]["cannot"]
    assert shares_of(passport)["portal"]["cannot"] == "portal keeps no serial numbers"
    assert not any("error" in share for answer in (page, triaged, passport) for share in answer["services"])


@pytest.mark.parametrize(
    ("service", "unknown"),
    [
        ("portal", "No run here, of any time, is of such a test."),
        ("cloud", "No run here, of any time, is of such a test plan"),
    ],
)
async def test_an_empty_list_says_whether_there_is_such_a_test(
    service: str, unknown: str, config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        run = (await ask(client, "list_runs", service=service, limit=1))["runs"][0]
        never = await ask(client, "list_runs", service=service, test="tests/epg.py::test_of_nothing", since="7d")
        not_then = await ask(client, "list_runs", service=service, test=run["test"], until="2001-01-01")
    assert (never["services"][0]["total"], not_then["services"][0]["total"]) == (0, 0)
    assert unknown in never["services"][0]["note"]
    assert "none that matches the rest" in not_then["services"][0]["note"]


async def test_a_procedure_without_runs_that_match_is_told_from_none(
    config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(config) as client:
        run = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]
        told = await ask(client, "list_runs", service="factory", test=run["test"], until="2001-01-01")
        never = await refused(client, "list_runs", service="factory", test="FVT of nothing")
    assert told["services"][0]["note"] == "It has such a procedure, but no run of it that matches."
    assert "no procedure of that name" in never


@pytest.mark.parametrize("service", ["portal", "factory"])
async def test_the_longest_come_first_over_all_pages(
    service: str, config: str, connect: Connect, ask: ToolCaller
) -> None:
    span = {"service": service, **days_ago(5, 1)}
    async with connect(config) as client:
        runs = await all_runs(ask, client, **span)
        sorted_by_length = await all_runs(ask, client, **span, sort="longest")
    lengths = [run["duration_s"] for run in sorted_by_length]
    assert lengths == sorted(lengths, reverse=True)
    assert len(runs) > 200
    assert {run["run_id"] for run in runs} == {run["run_id"] for run in sorted_by_length}


async def test_who_cannot_sort_by_duration_says_so(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", since="3d", sort="longest", limit=30)
    lengths = [run["duration_s"] for run in page["runs"]]
    assert lengths == sorted(lengths, reverse=True)
    assert shares_of(page)["cloud"]["cannot"] == "cloud cannot sort runs by duration"
    assert not any(run["run_id"].startswith("cloud:") for run in page["runs"])


@pytest.mark.parametrize("service", SERVICES)
async def test_until_is_not_in_the_span_and_since_is(
    service: str, config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        start = (await ask(client, "list_runs", service=service, limit=1))["runs"][0]["started_at"]
        before = await ask(client, "list_runs", service=service, until=start, limit=5)
        after = await ask(client, "list_runs", service=service, since=start, limit=5)
    assert all(run["started_at"] < start for run in before["runs"])
    assert {run["started_at"] for run in after["runs"]} == {start}  # others may have recorded in that second


async def test_rows_name_the_revision_where_the_list_tells_it(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        rows = {s: (await ask(client, "list_runs", service=s, limit=5))["runs"] for s in SERVICES}
        whole = (await ask(client, "get_run", run_id=rows["portal"][0]["run_id"]))["run"]
    assert all(len(row["revision"]) == 12 for row in rows["portal"])
    assert whole["revision"].startswith(rows["portal"][0]["revision"])
    assert any("revision" in row for row in rows["factory"])
    assert not any("revision" in row for row in rows["cloud"])


async def test_failed_cases_of_several_runs_are_told_at_once_and_a_wrong_one_is_named(
    config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(config) as client:
        rows = [(await ask(client, "list_runs", service=s, outcome="fail", limit=2))["runs"] for s in SERVICES]
        ids = [run["run_id"] for of_service in rows for run in of_service]
        wrong = "factory:00000000-0000-4000-8000-000000000000"
        told = await ask(client, "get_failed_cases", run_ids=[*ids, wrong])
        none = await refused(client, "get_failed_cases")
    assert [run["run_id"] for run in told["runs"]] == ids
    assert all(run["cases"] for run in told["runs"])
    (unread,) = told["unread"]
    assert unread["run_id"] == wrong
    assert "factory has no such run" in unread["error"]
    assert "Give run_id or run_ids" in none


async def test_a_filter_that_compares_without_a_key_is_told_as_perhaps_words(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        told = await ask(client, "list_runs", service="portal", filter="duration>300")
        plain = await ask(client, "list_runs", service="portal", filter="category:of-nobody")
    assert told["services"][0]["total"] == 0
    assert "it may be read as words" in told["services"][0]["note"]
    assert "note" not in plain["services"][0]
