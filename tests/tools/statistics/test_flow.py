"""Paretos, throughput and durations against plain Python over the same rows."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.statistics.selection import RunFilter, resolve_names
from testlab_tools.statistics.summary import SummaryOrder, summarize
from tests.tools.statistics.conftest import START, MakeView
from tests.tools.statistics.references import numpy, stats
from tests.tools.statistics.test_yields import finals, firsts

EVERYTHING = RunFilter(["factory"])
BAD = ("fail", "error", "timeout", "aborted")


def failures_of(runs: list[Run]) -> tuple[list[Failure], list[Measurement]]:
    """One or two failed cases in each run that did not pass, with a measurement that failed and one that did not."""
    failures: list[Failure] = []
    measurements: list[Measurement] = []
    for n, run in enumerate(run for run in runs if run.ended_as in BAD):
        cases = ["power"] if n % 3 else ["power", "boot"]
        for case in cases:
            key = (run.service, run.run_id, run.test, run.started_at, case)
            failures.append(Failure(*key, f"{case} is out of limits", 1))
            measurements.append(Measurement(*key, f"{case}_v", 1.0, outcome="fail"))
            measurements.append(Measurement(*key, f"{case}_a", 1.0, outcome="pass"))
    return failures, measurements


@pytest.mark.parametrize("attempts", ["every", "first", "final"])
async def test_a_pareto_counts_runs_by_failed_case(line: list[Run], view_of: MakeView, attempts: str) -> None:
    failures, measurements = failures_of(line)
    chosen = {"every": line, "first": firsts(line), "final": finals(line)}[attempts]
    bad = {run.run_id for run in chosen if run.ended_as in BAD and not run.sample}
    expected = Counter((failure.test, failure.case_name) for failure in failures if failure.run_id in bad)
    order = SummaryOrder("failures", "case", attempts)  # type: ignore[arg-type]
    found = await summarize(view_of(line, failures, measurements), EVERYTHING, order)
    assert {(row.test, row.group): row.runs for row in found.rows} == expected
    assert found.total.runs == len(bad)
    assert [row.runs for row in found.rows] == sorted(expected.values(), reverse=True)
    assert found.rows[-1].cumulative == 1
    first = {f.run_id for f in failures if (f.test, f.case_name) == (found.rows[0].test, found.rows[0].group)} & bad
    assert found.rows[0].cumulative == round(len(first) / len(bad), 4) == found.rows[0].rate


async def test_a_pareto_by_measurement_leaves_out_those_that_passed(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line, *failures_of(line)), EVERYTHING, SummaryOrder("failures", "measurement"))
    assert {row.group for row in found.rows} == {"power_v", "boot_v"}


def failed_runs(n: int, reason: str = "{:.1f} Mbit/s is below 900") -> tuple[list[Run], list[Failure]]:
    """Runs of EOL that failed, an hour apart, each for a reason with its own reading."""
    at = [START + timedelta(hours=number) for number in range(n)]
    runs = [Run("factory", f"factory:{k}", "EOL", "fail", at[k], unit=f"U{k}") for k in range(n)]
    failures = [
        Failure("factory", f"factory:{k}", "EOL", at[k], "network", reason.format(890 + k / 10), 1) for k in range(n)
    ]
    return runs, failures


async def test_reasons_that_differ_in_their_readings_are_one_with_the_newest_as_its_example(view_of: MakeView) -> None:
    runs, failures = failed_runs(5)
    failures[1] = failures[1]._replace(reason="No link")
    found = await summarize(view_of(runs, failures), EVERYTHING, SummaryOrder("failures", "reason"))
    assert [(row.group, row.runs, row.cumulative) for row in found.rows] == [
        ("890.4 Mbit/s is below 900", 4, 0.8),
        ("No link", 1, 1.0),
    ]
    assert found.groups == 2
    assert "differ only in their readings" in found.note


@pytest.mark.parametrize("by", ["measurement", "case", "reason"])
async def test_failures_without_a_group_have_a_row(view_of: MakeView, by: Any) -> None:
    runs, failures = failed_runs(5)
    measured = [Measurement(*failure[:5], "rate", 890.0, outcome="fail") for failure in failures[:2]]
    found = await summarize(view_of(runs, failures[:2], measured), EVERYTHING, SummaryOrder("failures", by))
    assert (found.rows[0].group, found.rows[0].runs, found.rows[-1].cumulative) == (f"(no {by})", 3, 1.0)


async def test_where_few_failed_their_runs_are_named(view_of: MakeView) -> None:
    runs, failures = failed_runs(8)
    failures[2:] = [failure._replace(case_name="boot") for failure in failures[2:]]
    for by in ("case", "test"):
        found = await summarize(view_of(runs[:3], failures[:3]), EVERYTHING, SummaryOrder("failures", by))  # type: ignore[arg-type]
        assert [row.run_ids for row in found.rows][:1] == (
            [["factory:1", "factory:0"]] if by == "case" else [["factory:2", "factory:1", "factory:0"]]
        )
    boot, network = (await summarize(view_of(runs, failures), EVERYTHING, SummaryOrder("failures", "case"))).rows
    assert (boot.run_ids, network.run_ids) == ([], ["factory:1", "factory:0"])


async def test_a_pareto_of_nothing_that_failed_is_empty_and_counts_what_ran(line: list[Run], view_of: MakeView) -> None:
    passed = [run for run in line if run.ended_as == "pass" and not run.sample]
    found = await summarize(view_of(passed), EVERYTHING, SummaryOrder("failures", "reason"))
    assert (found.rows, found.total.runs, found.total.n) == ([], 0, len(passed))


async def test_throughput_counts_runs_units_and_days(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("throughput", "station"))
    runs = defaultdict[str, list[Run]](list)
    for run in line:
        runs[run.station].append(run)
    for row in found.rows:
        mine = runs[row.group]
        days = {run.started_at.date() for run in mine}
        assert row.per_day == round(len(mine) / len(days), 1)
        assert (row.runs, row.units) == (len(mine), len({run.unit for run in mine if run.unit}))


async def test_durations_have_a_mean_with_interval_and_quantiles(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("duration", "test"))
    assert not any(row.differs for row in found.rows)
    for row in found.rows:
        seconds = [run.duration_s or 0 for run in line if run.test == row.group]
        assert row.mean_s == pytest.approx(statistics.mean(seconds), abs=1e-3)
        assert row.p95_s == pytest.approx(numpy.quantile(seconds, 0.95), abs=1e-3)
        bound = stats.t.interval(0.95, len(seconds) - 1, statistics.mean(seconds), stats.sem(seconds))
        assert row.interval == pytest.approx(bound, abs=1e-3)


async def test_a_slow_station_is_told(line: list[Run], view_of: MakeView) -> None:
    slow = [run._replace(duration_s=(run.duration_s or 0) + 4 * (run.station == "EOL-01")) for run in line]
    found = await summarize(view_of(slow), EVERYTHING, SummaryOrder("duration", "station"))
    assert [row.group for row in found.rows if row.differs] == ["EOL-01"]
    assert found.rows[0].differs.startswith("longer on average than the rest")


async def test_a_limit_leaves_the_longest_means_and_none_that_is_shorter_than_the_rest(view_of: MakeView) -> None:
    took = {"A": [10.0, 11.0], "B": [10.0, 11.0], "fast": [2.0, 2.1], "slow": [90.0, 100.0], "once": [95.0]}
    seconds = [(station, each) for station, spent in took.items() for each in spent]
    runs = [
        Run("factory", f"factory:{n}", "EOL", "pass", START + timedelta(hours=n), duration_s=each, station=station)
        for n, (station, each) in enumerate(seconds)
    ]
    found = await summarize(view_of(runs), EVERYTHING, SummaryOrder("duration", "station", limit=2))
    assert [row.group for row in found.rows][:1] == ["slow"]
    assert "fast" not in [row.group for row in found.rows]
    many = [
        run._replace(run_id=f"{run.run_id}{n}", started_at=run.started_at + timedelta(minutes=n))
        for run in runs
        for n in range(20)
        if run.station in ("A", "B", "fast")
    ]
    rest = await summarize(view_of([*many, *runs[-3:]]), EVERYTHING, SummaryOrder("duration", "station", limit=4))
    assert "fast" not in [row.group for row in rest.rows]
    assert "those that differ for the better last" in rest.note


async def test_names_are_found_whole_in_another_case_or_in_part(line: list[Run], view_of: MakeView) -> None:
    view = view_of(line)
    found = await resolve_names(view, EVERYTHING, {"test": "fvt", "station": "-02", "batch": "LOT-1"})
    assert found.names == {"test": ["FVT"], "station": ["EOL-02", "FVT-02"], "batch": ["LOT-1"]}


async def test_an_unknown_name_is_refused_with_the_nearest(line: list[Run], view_of: MakeView) -> None:
    from testlab_tools.errors import NotFound

    with pytest.raises(NotFound) as caught:
        await resolve_names(view_of(line), EVERYTHING, {"station": "FVT-20"})
    assert set(caught.value.nearest.values()) >= {"FVT-02"}
    assert "FVT-02" not in str(caught.value)


async def test_a_duration_below_zero_is_none(line: list[Run], view_of: MakeView) -> None:
    expected = await summarize(view_of(line), EVERYTHING, SummaryOrder("duration"))
    skewed = [*line, line[0]._replace(run_id="factory:skewed", duration_s=-3600.0)]
    assert (await summarize(view_of(skewed), EVERYTHING, SummaryOrder("duration"))).total == expected.total


NAMES = ["Straße 3", "PRÜFSTAND 1", "İzmir", "prüfstand 10", "Ñandú"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Straße 3", ["Straße 3"]),
        ("straße", ["Straße 3"]),
        ("prüfstand 1", ["PRÜFSTAND 1"]),
        ("PRÜFSTAND", ["PRÜFSTAND 1", "prüfstand 10"]),
        ("İzmir", ["İzmir"]),
        ("ñANDÚ", ["Ñandú"]),
    ],
)
async def test_names_are_found_whatever_letters_they_have(view_of: MakeView, asked: str, found: list[str]) -> None:
    view = view_of(Run("factory", f"factory:{n}", "FVT", "pass", START, station=name) for n, name in enumerate(NAMES))
    assert (await resolve_names(view, EVERYTHING, {"station": asked})).names == {"station": found}


async def test_a_unit_is_found_by_its_serial_number_in_any_case(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), replace(EVERYTHING, unit="sn00007"), SummaryOrder("runs"))
    assert found.total.runs == sum(run.unit == "SN00007" for run in line)
