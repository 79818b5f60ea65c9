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
from testlab_tools.statistics.flakiness import find_flaky
from testlab_tools.statistics.flakiness_chart import draw_flakiness
from testlab_tools.statistics.measurement_chart import MeasurementChart, draw_measurement
from testlab_tools.statistics.measurements import MeasurementOrder, describe_measurement
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


@pytest.mark.parametrize("order", [SummaryOrder("throughput", "day"), SummaryOrder("final_yield")])
def test_figures_without_a_picture_are_refused_in_words(order: SummaryOrder) -> None:
    with pytest.raises(BadInput, match="picture"):
        check_drawable(order)


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
