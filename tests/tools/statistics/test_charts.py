"""Pictures of figures: what is found stands in them."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from PIL import Image

from testlab_tools.archive.schema import Failure, Measurement, Run
from testlab_tools.charts.canvas import Chart
from testlab_tools.errors import BadInput
from testlab_tools.models.lab import Case, Outcome
from testlab_tools.models.lab import Measurement as Measured
from testlab_tools.models.results import KnownRun, RunDetail
from testlab_tools.statistics.answer import MeasurementChart, Metric
from testlab_tools.statistics.comparison_chart import draw_revisions, draw_two_runs
from testlab_tools.statistics.flakiness import find_flaky
from testlab_tools.statistics.flakiness_chart import draw_flakiness
from testlab_tools.statistics.measurement_chart import draw_measurement
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
from testlab_tools.statistics.revision_comparison import compare_revisions, of_revision
from testlab_tools.statistics.run_comparison import compare_two_runs
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder, summarize
from testlab_tools.statistics.summary_chart import check_drawable, draw_summary
from tests.tools.statistics.conftest import START, MakeView, MemoryView
from tests.tools.statistics.test_measurements import measured, normal

FACTORY = RunFilter(["factory"])
FVT = RunFilter(["factory"], {"test": ["FVT"]}, since=START, until=START + timedelta(days=30))


def written(chart: Chart) -> set[str]:
    """The texts in a picture, which is one that can be shown."""
    with Image.open(io.BytesIO(chart.png)) as picture:
        assert picture.width == 1024
    assert len(chart.png) < 60 * 1024
    root = ElementTree.fromstring(chart.svg)
    return {"".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}


async def summary_of(view: MemoryView, order: SummaryOrder, runs: RunFilter = FVT) -> set[str]:
    return written(await draw_summary(await summarize(view, runs, order), order, runs))


async def test_a_yield_by_station_is_a_dot_for_each(view_of: MakeView, line: list[Run]) -> None:
    order = SummaryOrder("first_pass_yield", "station")
    view = view_of(line)
    found = await summarize(view, FVT, order)
    said = await summary_of(view, order)
    assert {"FVT-01", "FVT-02", "FVT-03", "First-pass yield by station", "service: factory · test: FVT"} <= said
    assert {f"{row.n:,}" for row in found.rows} <= said
    assert f"n = {found.total.n:,} units · 2026-08-01 06:00 to 2026-08-31 06:00 UTC" in said


async def test_a_station_shown_to_be_worse_is_marked(view_of: MakeView) -> None:
    runs = [
        Run(
            "factory", f"factory:{n}", "FVT", "fail" if n % 3 == 0 and n % 2 else "pass", START + n * timedelta(hours=1)
        )._replace(station="A" if n % 3 == 0 else "B", unit=f"U{n}")
        for n in range(600)
    ]
    assert "◆ worse" in await summary_of(view_of(runs), SummaryOrder("first_pass_yield", "station"))


async def test_a_yield_by_day_shows_days_without_runs_as_gaps(view_of: MakeView, line: list[Run]) -> None:
    kept = [run for run in line if not 2 <= (run.started_at - START).days < 4]
    said = await summary_of(view_of(kept), SummaryOrder("first_pass_yield", "day"))
    assert {"First-pass yield by day", "0", "time, UTC"} <= said


async def test_failures_are_a_pareto_that_counts_each_run_once(view_of: MakeView) -> None:
    def run(n: int, *reasons: str) -> tuple[Run, list[Failure]]:
        key = ("factory", f"factory:{n}", "FVT")
        failures = [Failure(*key, START, "case", reason, 1) for reason in reasons]
        return Run(*key, "fail" if reasons else "pass", START, unit=f"U{n}"), failures

    made = [run(0, "a", "b"), run(1, "a"), run(2, "b"), run(3, "a"), run(4), run(5, "c")]
    view = view_of([one for one, _ in made], [failure for _, found in made for failure in found])
    said = await summary_of(view, SummaryOrder("failures", "reason", limit=2))
    assert {"a", "b", "3", "60.0 %", "80.0 %", "others", "20.0 %"} <= said
    assert "c" not in said


@pytest.mark.parametrize("metric", ["throughput", "duration", "final_yield"])
def test_one_figure_is_no_picture(metric: Metric) -> None:
    with pytest.raises(BadInput, match="no picture"):
        check_drawable(SummaryOrder(metric))
    check_drawable(SummaryOrder(metric, "day"))
    with pytest.raises(BadInput, match="no rate to draw"):
        check_drawable(SummaryOrder("runs", "day"), "fail")


async def test_throughput_by_day_is_a_bar_for_each_and_none_where_nothing_ran(
    view_of: MakeView, line: list[Run]
) -> None:
    kept = [run for run in line if not 2 <= (run.started_at - START).days < 4]
    found = await summarize(view_of(kept), FVT, SummaryOrder("throughput", "day"))
    said = await summary_of(view_of(kept), SummaryOrder("throughput", "day"))
    assert {"Throughput by day", "passed", "others", "0", "time, UTC", *(f"{row.runs}" for row in found.rows)} <= said
    assert f"n = {found.total.runs} runs · 2026-08-01 06:00 to 2026-08-31 06:00 UTC" in said


async def test_throughput_by_station_has_its_units_and_runs_a_day(view_of: MakeView, line: list[Run]) -> None:
    view = view_of(line)
    found = await summarize(view, FVT, SummaryOrder("throughput", "station"))
    said = await summary_of(view, SummaryOrder("throughput", "station"))
    assert {"Throughput by station", "per day", *(f"{row.per_day:.1f}" for row in found.rows if row.per_day)} <= said
    assert {f"{row.units}" for row in found.rows} <= said


async def test_durations_are_drawn_by_station_with_the_slow_one_marked(view_of: MakeView, line: list[Run]) -> None:
    slow = [run._replace(duration_s=(run.duration_s or 0) + 9) if run.station == "FVT-02" else run for run in line]
    said = await summary_of(view_of(slow), SummaryOrder("duration", "station"))
    assert {"Duration by station", "duration, s", "◆ longer", "median", "95 %", "FVT-02"} <= said
    assert any(line.startswith("all, 6") for line in said)
    over_time = await summary_of(view_of(slow), SummaryOrder("duration", "week"))
    assert {"Duration by week", "95 % interval of the mean", "n", "time, UTC"} <= over_time


async def test_revisions_are_drawn_by_test_with_both_rates(view_of: MakeView) -> None:
    runs = [
        Run("portal", f"portal:{rev}{n}{test}", test, "fail" if (rev, test) == ("2", "b") and n % 2 else "pass", START)
        for rev in ("1", "2")
        for n in range(60)
        for test in ("a", "b", "c")
    ]
    runs = [run._replace(revision=run.run_id[7]) for run in runs]
    every = RunFilter(["portal"])
    sides = [of_revision(every, [revision]) for revision in ("1", "2")]
    compared = await compare_revisions(view_of(runs), *sides)
    said = written(await draw_revisions(compared, every))
    assert {"a", "b", "c", "a: 1", "b: 2", "50.0 %", "100.0 %", "pass rate, %"} <= said
    assert "b, differs" in said
    assert "n = 360 runs · all that is held" in said


def detail(unit: str, value: float, outcome: Outcome = "pass") -> RunDetail:
    """A run of three measurements, one of which has two limits."""
    found = [
        Measured(name="rail", outcome="pass" if outcome == "pass" else "fail", value=value, lower=4.0, upper=6.0),
        Measured(name="level", outcome="pass", value=3.0, lower=1.0),
        Measured(name="version", outcome="pass", value="1.4.1"),
    ]
    run = KnownRun(run_id=f"factory:{unit}", outcome=outcome, test="FVT", started_at=START, unit=unit)
    return RunDetail(run=run, cases=[Case(case="power", outcome=outcome, measurements=found)])


async def test_two_runs_are_drawn_between_the_limits(view_of: MakeView) -> None:
    a, b = detail("U1", 5.0), detail("U2", 9.5, "fail")
    said = written(await draw_two_runs(compare_two_runs(a, b), a, b))
    assert {"power: rail", "5", "9.5", "lower limit", "upper limit", "a: pass, U1", "b: fail, U2"} <= said
    assert "b, other verdict" in said
    assert not any("level" in line for line in said)
    assert any("Left out: those without two limits" in line for line in said)


async def picture_of(
    view_of: MakeView, made: tuple[list[Run], list[Measurement]], picture: MeasurementChart, runs: RunFilter = FVT
) -> set[str]:
    view, order = view_of(made[0], (), made[1]), MeasurementOrder("rail")
    return written(await draw_measurement(view, runs, order, await describe_measurement(view, runs, order), picture))


async def test_a_histogram_has_limits_and_cpk(view_of: MakeView) -> None:
    said = await picture_of(view_of, measured(normal(400)), "histogram")
    assert {"rail: distribution", "rail, V", "lower limit 4.8", "upper limit 5.2", "Cpk", "Ppk", "400"} <= said


async def test_a_histogram_of_values_far_off_says_how_many(view_of: MakeView) -> None:
    said = await picture_of(view_of, measured([*normal(400), 900.0]), "histogram")
    assert any(" 1 of the values" in line for line in said)


@pytest.mark.parametrize("picture", ["histogram", "control_chart"])
async def test_one_value_and_none_are_pictures_too(view_of: MakeView, picture: MeasurementChart) -> None:
    assert any(line.startswith("n = 1 values") for line in await picture_of(view_of, measured([5.0]), picture))
    assert "No values in this period" in await picture_of(view_of, measured([]), picture)


async def test_a_control_chart_has_the_step_and_the_limits_of_each_time(view_of: MakeView) -> None:
    values = [*normal(150), *normal(150, 5.1)]
    made = measured(values, lambda n: (4.8, 5.2) if n < 200 else (4.7, 5.4))
    said = await picture_of(view_of, made, "control_chart", replace(FVT, since=None, until=None))
    assert {"rail: over time", "limit", "level", "change point"} <= said
    assert any(line.startswith("changes at 2026-08-0") for line in said)
    assert any("the mean goes from" in line for line in said)


async def test_a_control_chart_of_many_values_has_their_ranges(view_of: MakeView) -> None:
    made = measured(normal(3_000), stations=("A",))
    said = await picture_of(view_of, made, "control_chart", replace(FVT, since=None, until=None))
    assert any("3,000 values are drawn as 200 medians" in line for line in said)


async def test_flaky_tests_are_rows_and_nodes_columns(view_of: MakeView) -> None:
    runs = [
        Run(
            "portal", f"portal:{n}", f"t{n % 3}", "fail" if n % 7 == 0 else "pass", START + n * timedelta(hours=1)
        )._replace(station=f"node-{n % 2}", revision="r1")
        for n in range(300)
    ]
    view, asked = view_of(runs), RunFilter(["portal"])
    said = written(await draw_flakiness(view, asked, await find_flaky(view, asked, 20, detailed=False)))
    assert {"t0", "t1", "t2", "node-0", "node-1", "node", "test case", "Pass rate, %"} <= said
    none = RunFilter(["portal"], {"test": ["nothing"]})
    said = written(await draw_flakiness(view, none, await find_flaky(view, none, 20, detailed=False)))
    assert "No runs in this period" in said
