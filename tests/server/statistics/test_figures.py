"""Figures against an independent computation from what export_runs and list_runs say; names that are not there."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.statistics.conftest import ALL_TIME
from tests.tools.statistics.references import proportion

Row = dict[str, str]


async def exported(client: Any, ask: ToolCaller, service: str, name: str) -> list[Row]:
    """All runs of a service, oldest first, as export_runs writes them."""
    answer = await ask(client, "export_runs", service=service, save_to=f"{service}-{name}.csv")
    while not answer["finished"]:
        answer = await ask(client, "export_runs", service=service, save_to=f"{service}-{name}.csv")
    rows = csv.DictReader(Path(answer["saved_to"]).read_text(encoding="utf-8").splitlines())
    return sorted(rows, key=lambda row: row["started_at"])


def first_runs(rows: Iterable[Row]) -> list[Row]:
    """The first-pass rule: a unit's first run of a test, whatever came of it; samples and skipped runs are out."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if row["unit"] and not row["sample"] and row["outcome"] != "skip":
            found.setdefault((row["test"], row["unit"]), row)
    return list(found.values())


async def test_first_pass_yield_by_station_is_that_of_the_exported_rows(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        rows = await exported(client, ask, "factory", "a") + await exported(client, ask, "cloud", "a")
        found = await ask(client, "summarize_runs", metric="first_pass_yield", group_by="station", since=ALL_TIME)
    first = first_runs(rows)
    for row in found["rows"]:
        mine = [run for run in first if (run["test"], run["station"]) == (row["test"], row["group"])]
        passed, failed = (sum(run["outcome"] == outcome for run in mine) for outcome in ("pass", "fail"))
        assert (row["n"], row["rate"]) == (passed + failed, round(passed / (passed + failed), 4))
        bound = proportion.proportion_confint(passed, passed + failed, method="wilson")
        assert row["interval"] == pytest.approx(bound, abs=1e-4)
    assert sum(row["runs"] for row in found["rows"]) == len(first)


async def test_final_yield_and_retest_rate_are_those_of_the_exported_rows(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        rows = [row for row in await exported(client, ask, "cloud", "b") if row["outcome"] != "skip"]
        final = await ask(client, "summarize_runs", metric="final_yield", service="cloud", since=ALL_TIME)
        again = await ask(client, "summarize_runs", metric="retest_rate", service="cloud", since=ALL_TIME)
    last = {(row["test"], row["unit"]): row["outcome"] for row in rows if row["outcome"] in ("pass", "fail")}
    assert final["total"]["n"] == len(last)
    assert final["total"]["rate"] == round(sum(end == "pass" for end in last.values()) / len(last), 4)
    units = [(row["test"], row["unit"]) for row in rows]
    repeated = sum(units.count(unit) > 1 for unit in set(units[:400]))
    assert again["total"]["n"] == len(set(units))
    assert again["total"]["rate"] > repeated / len(set(units)) > 0


async def test_a_day_has_as_many_runs_of_each_outcome_as_list_runs_counts(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    span = {"since": "9d", "until": "8d"}
    async with connect(config) as client:
        counted = await ask(client, "list_runs", limit=0, **span)
        found = await ask(client, "summarize_runs", metric="runs", group_by="service", **span)
    rows = {row["group"]: row for row in found["rows"]}
    for share in counted["services"]:
        row = rows[share["service"]]
        assert row["runs"] == share["total"]
        assert (row.get("passed", 0), row.get("failed", 0)) == tuple(
            share["by_outcome"].get(outcome, 0) for outcome in ("pass", "fail")
        )


async def test_two_runs_are_compared_by_what_differs(config: str, connect: Connect, ask: ToolCaller) -> None:
    async with connect(config) as client:
        page = {
            outcome: await ask(client, "list_runs", service="factory", outcome=outcome, test="Main board FCT", limit=1)
            for outcome in ("pass", "fail")
        }
        a, b = (page[outcome]["runs"][0]["run_id"] for outcome in ("pass", "fail"))
        found = await ask(client, "compare_runs", a=a, b=b)
        details = [await ask(client, "get_run", run_id=run, include=["measurements"]) for run in (a, b)]
    assert found["differ"]["outcome"] == ["pass", "fail"]
    values = [
        {(case["case"], one["name"]): one.get("value") for case in run["cases"] for one in case.get("measurements", [])}
        for run in details
    ]
    for pair in found["measurements"]:
        key = (pair["case"], pair["name"])
        assert [side[key] for side in values] == [pair["a"], pair["b"]]
    assert any(case["b"] == "fail" for case in found["cases"])


@pytest.mark.parametrize(
    ("tool", "arguments", "near"),
    [
        ("summarize_runs", {"metric": "runs", "test": "Main bord FTC"}, "Main board FCT"),
        ("summarize_runs", {"metric": "runs", "station": "FTV-03"}, "FVT-03"),
        ("measurement_stats", {"test": "Main board FCT", "measurement": "rail5"}, "rail_5v"),
        ("flakiness", {"test": "settings.py::test_that_subtitel_langage"}, "tests/settings.py::test_that_subtitle"),
        ("compare_runs", {"a": "revision:2.0.9", "b": "revision:2.1.0"}, "2.0.0"),
    ],
)
async def test_a_name_that_is_not_there_is_refused_with_the_nearest(
    config: str, connect: Connect, refused: RefusedCaller, tool: str, arguments: dict[str, Any], near: str
) -> None:
    async with connect(config) as client:
        text = await refused(client, tool, **arguments)
    assert near in text.partition("Untrusted data")[2]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("summarize_runs", {"metric": "first_pas_yield"}, "metric should be 'runs'"),
        ("summarize_runs", {"metric": "runs", "group_by": "colour"}, "group_by should be"),
        ("summarize_runs", {"metric": "runs", "group_by": "reason"}, "Take metric=failures"),
        ("measurement_stats", {"test": "a", "measurement": "b", "lower": "high"}, "lower is not a number"),
        ("measurement_stats", {"test": "a", "measurement": "b", "lower": "2", "upper": "1"}, "lower is not below"),
        ("compare_runs", {"a": "revision:1", "b": "factory:1"}, "two sorts"),
        ("compare_runs", {"a": "revision:2.", "b": "revision:2.1.0"}, "1 of their revisions in common"),
        ("measurement_stats", {"test": "a", "chart": "histogram"}, "are of one measurement"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    config: str, connect: Connect, refused: RefusedCaller, tool: str, arguments: dict[str, Any], said: str
) -> None:
    async with connect(config) as client:
        assert said in await refused(client, tool, **arguments)


async def test_a_span_without_runs_counts_none_and_says_what_is_held(
    config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        found = await ask(client, "summarize_runs", metric="runs", since="2020-01-01", until="2020-01-02")
    assert found["total"]["runs"] == 0
    assert "It holds runs from" in found["note"]
