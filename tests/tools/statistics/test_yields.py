"""Yields by group against plain Python over the same rows, and statsmodels' intervals and tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from testlab_tools.archive.schema import Run
from testlab_tools.errors import BadInput
from testlab_tools.statistics.answer import Row
from testlab_tools.statistics.grouping import MAX_GROUPS, By
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder, summarize
from testlab_tools.times import EARLIEST
from tests.tools.statistics.conftest import START, MakeView
from tests.tools.statistics.references import multitest, proportion

EVERYTHING = RunFilter(["factory"])


def firsts(runs: Iterable[Run]) -> list[Run]:
    """Each production unit's first executed run of each test."""
    found: dict[tuple[str, str], Run] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.run_id)):
        if run.unit and not run.sample and run.ended_as != "skip":
            found.setdefault((run.test, run.unit), run)
    return list(found.values())


def finals(runs: Iterable[Run]) -> list[Run]:
    """Each production unit's last run of each test that passed or failed."""
    found: dict[tuple[str, str], Run] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.run_id)):
        if run.unit and not run.sample and run.ended_as in ("pass", "fail"):
            found[run.test, run.unit] = run
    return list(found.values())


def yields(runs: Iterable[Run], key: Callable[[Run], Any]) -> dict[Any, tuple[int, int]]:
    """Passed and passed or failed, by group."""
    counted: dict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for run in runs:
        passed, n = counted[key(run)]
        counted[key(run)] = (passed + (run.ended_as == "pass"), n + (run.ended_as in ("pass", "fail")))
    return dict(counted)


def by_group(rows: Iterable[Row]) -> dict[Any, Row]:
    return {(row.test, row.group) if row.test else row.group: row for row in rows}


GROUPS: list[tuple[By, Callable[[Run], Any]]] = [
    ("test", lambda run: run.test),
    ("station", lambda run: (run.test, run.station)),
    ("batch", lambda run: (run.test, run.batch)),
    ("revision", lambda run: (run.test, run.revision)),
    ("day", lambda run: run.started_at.date().isoformat()),
    ("week", lambda run: (run.started_at.date() - timedelta(days=run.started_at.weekday())).isoformat()),
]


@pytest.mark.parametrize(("group_by", "key"), GROUPS, ids=[name for name, _ in GROUPS])
@pytest.mark.parametrize(("metric", "attempts"), [("first_pass_yield", firsts), ("final_yield", finals)])
async def test_a_yield_is_that_of_plain_python_with_the_interval_of_statsmodels(
    line: list[Run],
    view_of: MakeView,
    metric: Any,
    attempts: Callable[[Iterable[Run]], list[Run]],
    group_by: By,
    key: Any,
) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder(metric, group_by, limit=MAX_GROUPS))
    expected = yields(attempts(line), key)
    rows = by_group(found.rows)
    assert set(rows) == set(expected)
    assert found.groups == len(expected)
    for name, (passed, n) in expected.items():
        assert (rows[name].n, rows[name].rate) == (n, round(passed / n, 4))
        assert rows[name].interval == pytest.approx(proportion.proportion_confint(passed, n, method="wilson"), abs=5e-5)
    passed, n = yields(attempts(line), lambda _: 0)[0]
    assert (found.total.n, found.total.rate) == (n, round(passed / n, 4))


async def test_the_first_attempt_is_sought_in_all_history_and_counts_when_it_started(
    line: list[Run], view_of: MakeView
) -> None:
    since = next(run.started_at for run in line if run.unit and run not in firsts(line) and run.ended_as == "pass")
    until = since + timedelta(days=2)
    window = replace(EVERYTHING, since=since, until=until)
    found = await summarize(view_of(line), window, SummaryOrder("first_pass_yield"))
    expected = [run for run in firsts(line) if since <= run.started_at < until]
    within = firsts(run for run in line if since <= run.started_at < until)
    assert found.total.n == yields(expected, lambda _: 0)[0][1]
    assert found.total.runs == len(expected) < len(within)
    assert found.total.error == sum(run.ended_as == "error" for run in expected)


async def test_the_retest_rate_is_the_share_of_units_with_more_than_one_attempt(
    line: list[Run], view_of: MakeView
) -> None:
    attempts: dict[Any, int] = defaultdict(int)
    for run in line:
        if run.unit and not run.sample and run.ended_as != "skip":
            attempts[run.test, run.unit] += 1
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("retest_rate", "test"))
    for row in found.rows:
        counts = [n for (test, _), n in attempts.items() if test == row.group]
        assert (row.n, row.rate) == (len(counts), round(sum(n > 1 for n in counts) / len(counts), 4))


async def test_counts_are_of_every_run_and_the_rate_leaves_samples_out(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("runs"))
    total = found.total
    assert total.runs == len(line)
    ends = (total.passed, total.failed, total.error, total.timeout, total.aborted, total.stopped, total.skipped)
    names = ("pass", "fail", "error", "timeout", "aborted", "stopped", "skip")
    assert ends == tuple(sum(run.ended_as == name for run in line) for name in names)
    assert total.samples == sum(run.sample != "" for run in line)
    assert total.n == sum(run.ended_as in ("pass", "fail") and not run.sample for run in line)


async def test_a_rolled_yield_is_the_product_over_tests(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("rolled_yield", "batch"))
    expected = yields(firsts(line), lambda run: (run.batch, run.test))
    for row in found.rows:
        fvt, eol = (expected[row.group, test] for test in ("FVT", "EOL"))
        assert row.rate == round(fvt[0] / fvt[1] * eol[0] / eol[1], 4)
        assert row.n == min(fvt[1], eol[1])
        assert row.rate is not None
        assert row.interval[0] < row.rate < row.interval[1]
    assert found.total.tests == 2


async def test_a_bad_station_is_the_only_one_that_differs(line: list[Run], view_of: MakeView) -> None:
    spoiled = [
        run._replace(ended_as="fail") if run.station == "EOL-02" and int(run.run_id[8:]) % 6 == 0 else run
        for run in line
    ]
    found = await summarize(view_of(spoiled), EVERYTHING, SummaryOrder("first_pass_yield", "station"))
    assert [(row.group, row.differs.split(" (")[0]) for row in found.rows if row.differs] == [
        ("EOL-02", "worse than the rest")
    ]
    assert found.rows[0].group == "EOL-02"
    assert "Groups that differ: 1;" in found.note


@pytest.mark.parametrize(
    ("metric", "worst"),
    [("runs", "low"), ("first_pass_yield", "low"), ("rolled_yield", "low"), ("retest_rate", "high")],
)
async def test_groups_are_in_the_order_of_their_rates_the_worst_first_and_those_without_one_last(
    metric: Any, worst: str, line: list[Run], view_of: MakeView
) -> None:
    never = [run._replace(batch="none", ended_as="error") for run in line if run.batch == line[0].batch][:4]
    ids = {run.run_id for run in never}
    held = [*never, *(run for run in line if run.run_id not in ids)]
    found = await summarize(view_of(held), EVERYTHING, SummaryOrder(metric, "batch"))
    rates = [row.rate for row in found.rows]
    known = [rate for rate in rates if rate is not None]
    assert rates == [*sorted(known, reverse=worst == "high"), *[None] * (len(rates) - len(known))]
    assert len(set(known)) > 1


async def test_a_small_group_with_a_worse_rate_hides_none_that_differs(line: list[Run], view_of: MakeView) -> None:
    spoiled = [
        run._replace(ended_as="fail") if run.station == "EOL-02" and int(run.run_id[8:]) % 6 == 0 else run
        for run in line
    ]
    (first,) = [run for run in line if run.station == "EOL-01"][:1]
    alone = first._replace(run_id=f"{first.run_id}9", unit="ONCE", station="EOL-99", ended_as="fail")
    found, only = [
        await summarize(
            view_of([*spoiled, alone]), EVERYTHING, SummaryOrder("first_pass_yield", "station", limit=limit)
        )
        for limit in (20, 1)
    ]
    assert [row.group for row in found.rows[:2]] == ["EOL-99", "EOL-02"]
    assert [row.group for row in only.rows] == ["EOL-02"]
    assert "1 of " in only.note
    assert "those that differ" in only.note


async def test_a_group_that_differs_for_the_better_is_shown_after_all_that_do_not(view_of: MakeView) -> None:
    passes = {"best": 100, "good": 85, "fair": 84, "poor": 80}
    runs = [
        Run("factory", f"factory:{station}{n}", "EOL", "pass" if n < passed else "fail", START, station=station)
        for station, passed in passes.items()
        for n in range(100)
    ]
    whole, cut = [
        await summarize(view_of(runs), EVERYTHING, SummaryOrder("runs", "station", limit=limit)) for limit in (20, 3)
    ]
    assert [row.group for row in whole.rows if row.differs.startswith("better")] == ["best"]
    assert [row.group for row in cut.rows] == ["poor", "fair", "good"]


async def test_a_station_that_ends_without_verdict_differs_in_that(line: list[Run], view_of: MakeView) -> None:
    spoiled = [
        run._replace(ended_as="error") if run.station == "FVT-03" and int(run.run_id[8:]) % 8 == 0 else run
        for run in line
    ]
    found = await summarize(view_of(spoiled), EVERYTHING, SummaryOrder("first_pass_yield", "station"))
    (row,) = [row for row in found.rows if row.differs]
    assert row.group == "FVT-03"
    assert row.differs.startswith("more error, timeout or aborted than the rest")


async def test_without_a_difference_the_words_are_that_none_is_shown(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("first_pass_yield", "station"))
    assert not any(row.differs for row in found.rows)
    assert "No difference between groups is shown" in found.note
    assert "(12 comparisons, Holm-corrected" in found.note


async def test_of_a_million_groups_some_are_looked_at_and_the_others_are_in_the_rest(view_of: MakeView) -> None:
    runs = [
        Run("factory", f"factory:{n}", "FVT", "pass", START + timedelta(seconds=n), unit=f"U{n}", batch=f"B{n % 900}")
        for n in range(1800)
    ]
    found = await summarize(view_of(runs), EVERYTHING, SummaryOrder("first_pass_yield", "batch", limit=5))
    assert (found.groups, len(found.rows), found.total.n) == (900, 5, 1800)
    assert "Of 900 groups, 200 were looked at: those of most runs; the others are in the rest." in found.note
    assert "5 of 900 groups are shown" in found.note


async def test_a_span_without_runs_says_what_the_archive_holds(line: list[Run], view_of: MakeView) -> None:
    window = replace(EVERYTHING, until=START - timedelta(days=1))
    found = await summarize(view_of(line), window, SummaryOrder("first_pass_yield", "station"))
    assert (found.total.n, found.total.rate, found.rows) == (0, None, [])
    assert "No run in the archive matches. It holds runs from 2026-08-01T06:" in found.note


async def test_runs_without_a_serial_number_are_said_to_be_left_out(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), EVERYTHING, SummaryOrder("first_pass_yield"))
    assert "12 of" in found.note
    assert "carry no serial number" in found.note
    assert "12 runs of golden, failing and ignored samples" in found.note


async def test_over_time_several_tests_are_not_compared(line: list[Run], view_of: MakeView) -> None:
    mixed = await summarize(view_of(line), EVERYTHING, SummaryOrder("first_pass_yield", "day"))
    assert "2 tests are mixed, so times are not compared: give test." in mixed.note
    alone = await summarize(
        view_of(line), replace(EVERYTHING, names={"test": ["FVT"]}), SummaryOrder("first_pass_yield", "day")
    )
    assert "comparisons, Holm-corrected" in alone.note


@pytest.mark.parametrize(
    ("metric", "group_by"), [("runs", "case"), ("rolled_yield", "test"), ("failures", "day"), ("duration", "reason")]
)
async def test_a_group_that_a_metric_does_not_have_is_refused(
    line: list[Run], view_of: MakeView, metric: Any, group_by: By
) -> None:
    with pytest.raises(BadInput):
        await summarize(view_of(line), EVERYTHING, SummaryOrder(metric, group_by))


def test_holms_correction_is_that_of_statsmodels() -> None:
    from testlab_tools.statistics.intervals import holm

    raw = [0.03, 0.001, 0.2, 0.04, 0.012, 0.9, 0.001]
    assert holm(raw) == pytest.approx(multitest.multipletests(raw, method="holm")[1])


async def test_a_serial_number_is_the_same_unit_in_any_case(line: list[Run], view_of: MakeView) -> None:
    typed = [run._replace(unit=run.unit.lower()) if n % 3 == 0 else run for n, run in enumerate(line)]
    for metric in ("first_pass_yield", "final_yield", "retest_rate", "throughput"):
        order = SummaryOrder(metric, "test")  # type: ignore[arg-type]
        expected = await summarize(view_of(line), EVERYTHING, order)
        assert await summarize(view_of(typed), EVERYTHING, order) == expected


async def test_of_runs_that_start_at_once_the_services_own_count_tells_the_first(view_of: MakeView) -> None:
    twins = [
        run
        for n in range(5)
        for run in (
            Run("factory", f"factory:{n}a", "FVT", "pass", START, 1.0, unit=f"U{n}", attempt=2),
            Run("factory", f"factory:{n}b", "FVT", "fail", START, 60.0, unit=f"U{n}", attempt=1),
        )
    ]
    found = await summarize(view_of(twins), EVERYTHING, SummaryOrder("first_pass_yield"))
    assert (found.total.n, found.total.rate) == (5, 0.0)
    assert (await summarize(view_of(twins), EVERYTHING, SummaryOrder("final_yield"))).total.rate == 1.0


async def test_a_run_without_a_time_is_no_units_first(line: list[Run], view_of: MakeView) -> None:
    undated = [run._replace(run_id=f"{run.run_id}u", started_at=EARLIEST, ended_as="fail") for run in line[:9]]
    order = SummaryOrder("first_pass_yield", "station")
    found = await summarize(view_of([*line, *undated]), replace(EVERYTHING, since=START), order)
    expected = await summarize(view_of(line), replace(EVERYTHING, since=START), order)
    assert (found.total, found.rows) == (expected.total, expected.rows)
    assert "9 runs tell no time: which attempts they were is not known, and they are left out." in found.note
    none = await summarize(
        view_of([*line, *undated]), replace(EVERYTHING, since=EARLIEST + timedelta(days=9), until=START), order
    )
    assert "It holds runs from 2026-08-01T06:" in none.note


@pytest.mark.parametrize("metric", ["first_pass_yield", "final_yield", "rolled_yield"])
async def test_a_yield_of_one_outcome_is_refused(line: list[Run], view_of: MakeView, metric: Any) -> None:
    with pytest.raises(BadInput, match="of one outcome"):
        await summarize(view_of(line), replace(EVERYTHING, outcome="pass"), SummaryOrder(metric))


async def test_runs_of_one_outcome_are_counted_without_a_rate(line: list[Run], view_of: MakeView) -> None:
    found = await summarize(view_of(line), replace(EVERYTHING, outcome="fail"), SummaryOrder("runs", "station"))
    assert found.total.runs == found.total.failed == sum(run.ended_as == "fail" for run in line)
    assert {(row.n, row.rate, row.differs) for row in (found.total, *found.rows)} == {(0, None, "")}


async def test_an_hour_that_the_clocks_show_twice_is_two_hours(view_of: MakeView) -> None:
    zone = ZoneInfo("Europe/Berlin")
    night = datetime(2026, 10, 24, 22, tzinfo=UTC)
    runs = [
        Run("factory", f"factory:{n}", "FVT", "pass", night + timedelta(minutes=20 * n), unit=f"U{n}")
        for n in range(18)
    ]
    found = await summarize(view_of(runs), replace(EVERYTHING, zone=zone.key), SummaryOrder("runs", "hour"))
    assert [(row.group, row.runs) for row in found.rows] == [
        ("2026-10-25T00:00", 3),
        ("2026-10-25T01:00", 3),
        ("2026-10-25T02:00+02:00", 3),
        ("2026-10-25T02:00+01:00", 3),
        ("2026-10-25T03:00", 3),
        ("2026-10-25T04:00", 3),
    ]
    half = await summarize(view_of(runs), replace(EVERYTHING, zone="Asia/Kolkata"), SummaryOrder("runs", "hour"))
    assert [row.group for row in half.rows][:2] == ["2026-10-25T03:00", "2026-10-25T04:00"]
    assert [row.runs for row in half.rows] == [2, 3, 3, 3, 3, 3, 1]


async def test_days_are_those_of_the_time_zone(line: list[Run], view_of: MakeView) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    found = await summarize(view_of(line), replace(EVERYTHING, zone=zone.key), SummaryOrder("runs", "day", limit=200))
    assert {row.group: row.runs for row in found.rows} == Counter(
        run.started_at.astimezone(zone).date().isoformat() for run in line
    )
    assert "Times of groups are those of Asia/Tokyo." in found.note
