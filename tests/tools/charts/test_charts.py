"""Pictures: legible sizes, the texts that must be there, and nothing that a hostile name can do."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from functools import cache
from threading import Thread
from xml.etree import ElementTree

import pytest
from PIL import Image

from testlab_tools.charts import canvas
from testlab_tools.charts.canvas import Chart, Heading, draw
from testlab_tools.charts.control import LimitSpan, draw_control_chart
from testlab_tools.charts.pareto import Pareto, ParetoBar, draw_pareto
from testlab_tools.charts.yields import draw_yield_over_time
from testlab_tools.errors import Unsupported
from tests.tools.charts import samples
from tests.tools.charts.samples import SAMPLES

drawn = cache(lambda name: SAMPLES[name]())


def texts(chart: Chart) -> list[str]:
    """What is written in the picture."""
    root = ElementTree.fromstring(chart.svg)
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


def written(chart: Chart) -> str:
    return "\n".join(texts(chart))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_is_1024_px_wide_no_higher_than_that_and_fits_a_context(name: str) -> None:
    chart = drawn(name)
    with Image.open(io.BytesIO(chart.png)) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width == 1024
        assert 150 < picture.height <= 1060
        assert len(picture.convert("RGB").getcolors() or ()) > 20
    assert len(chart.png) <= canvas.MAX_BYTES
    assert b"DejaVu Sans" in chart.svg


@pytest.mark.parametrize("name", ["pareto", "yield-over-time", "histogram", "heatmap"])
def test_the_same_data_give_the_same_bytes(name: str) -> None:
    assert SAMPLES[name]() == drawn(name)


@pytest.mark.parametrize(
    "name", ["pareto", "yield-over-time", "yield-by-group", "histogram", "control-chart", "heatmap"]
)
def test_the_heading_says_n_the_period_in_utc_and_the_filters(name: str) -> None:
    title, count, filters = _heading_of(drawn(name))
    assert title
    assert count.startswith("n = ")
    assert count.endswith("· 2026-10-30 18:00 to 2026-11-29 18:00 UTC")
    assert filters == "service: factory · test: Main board FCT · part: STB-4K"


def _heading_of(chart: Chart) -> tuple[str, str, str]:
    lines = texts(chart)
    place = next(i for i, line in enumerate(lines) if line.startswith("n = "))
    return lines[place - 1], lines[place], lines[place + 1]


def test_a_period_may_lack_an_end() -> None:
    since = Heading("x", 1, since=samples.SINCE)
    assert canvas.describe_period(since) == "since 2026-10-30 18:00 UTC"
    assert canvas.describe_period(replace(since, since=None, until=samples.UNTIL)) == "until 2026-11-29 18:00 UTC"
    assert canvas.describe_period(replace(since, since=None)) == "all that is held"


def test_a_pareto_has_counts_shares_and_their_sum_and_others_beyond_25_causes() -> None:
    said = written(drawn("pareto-200-causes"))
    assert "rail_5v above 5.10 V\n" in said
    assert "22.8 %" in said
    assert "100.0 %" in said
    assert "\nothers\n" in said
    assert "Others: 175 failures with none of the causes named" in said
    assert "step_014 failed" not in said


def test_causes_that_are_not_named_count_among_the_others() -> None:
    said = written(draw_pareto(Pareto(samples.heading("x", 9), [ParetoBar("a", 6)], total=8)))
    assert "75.0 %" in said
    assert "others" in said


def test_where_a_run_has_several_causes_the_line_counts_it_once() -> None:
    bars = [ParetoBar("a", 6, 6), ParetoBar("b", 5, 8)]
    said = texts(draw_pareto(Pareto(samples.heading("x", 8), bars, total=8)))
    assert {"75.0 %", "62.5 %", "100.0 %"} <= set(said)
    assert "others" not in said


def test_yields_over_time_show_n_and_a_gap_where_nothing_ran() -> None:
    data = samples.yield_over_time()
    said = texts(drawn("yield-over-time"))
    assert {f"{point.n}" for point in data.points} <= set(said)
    assert "Wilson 95 % interval" in said
    assert "First-pass yield, %" in said
    assert "time, UTC" in said


def test_a_group_called_different_is_marked_in_words_too() -> None:
    said = texts(drawn("yield-by-group"))
    assert said.count("◆ worse") == 1
    assert "all together, 93.4 %" in said
    assert any("Fisher's exact test, Holm-corrected" in line for line in said)


def test_groups_beyond_50_are_said_to_be_left_out() -> None:
    said = written(drawn("groups-80"))
    assert "FVT-50" in said
    assert "FVT-51" not in said
    assert "30 further groups are not drawn" in said


def test_a_histogram_names_its_limits_and_capability() -> None:
    said = written(drawn("histogram"))
    for text in ("lower limit 4.9", "upper limit 5.1", "Cpk", "0.92 (0.90 to 0.94)", "rail_5v, V"):
        assert text in said


def test_a_limit_on_one_side_is_the_only_one_and_a_far_one_is_named() -> None:
    said = written(drawn("histogram-upper-limit-only"))
    assert "upper limit 5.1" in said
    assert "lower limit" not in said
    assert "The lower limit, -1000, lies beyond the picture" in written(drawn("histogram-far-limit"))


def test_a_control_chart_marks_values_outside_the_limits_that_held_then() -> None:
    chart = samples.control_chart()
    said = written(drawn("control-chart"))
    assert "outside its limits" in said
    assert "changes at 2026-11-13 18:00" in said
    assert "rises by 0.0041 V a day" in said
    wide = replace(chart, limits=(LimitSpan(samples.SINCE, samples.UNTIL, None, 6.0),), change=None)
    said = written(draw_control_chart(wide))
    assert "outside its limits" not in said
    assert "change point" not in said


def test_many_values_are_drawn_as_medians_and_the_picture_says_so() -> None:
    chart = drawn("control-20000")
    assert "20,000 values are drawn as 200 medians within their ranges" in written(chart)
    assert len(chart.svg) < 200_000


def test_a_heatmap_says_what_it_left_out() -> None:
    said = written(drawn("heatmap-60-by-40"))
    assert "10 of 60 (test case) are not drawn" in said
    assert "10 of 40 (node) are not drawn" in said
    assert "Pale: nothing ran there" in said


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith("-empty")])
def test_a_picture_of_nothing_says_that_there_is_nothing(name: str) -> None:
    assert "in this period" in written(drawn(name))


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("hostile")])
def test_hostile_names_are_escaped_and_what_was_cut_is_said(name: str) -> None:
    said = written(drawn(name))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "texts shortened (…)" in said
    assert "written as \\u escapes" in said


def test_names_stay_apart_and_are_never_mathematics() -> None:
    said = texts(drawn("hostile-pareto"))
    assert "costs $5 and $6_{x^2}" in said
    assert "two\\nlines\\tand a tab" in said
    assert "<script>alert('x')</script> & \"quoted\"" in said
    assert "(not told)" in said
    same = "x" * 60
    bars = [ParetoBar(f"{same}{n}{same}", 1) for n in range(3)]
    said = texts(draw_pareto(Pareto(samples.heading("x", 3), bars)))
    assert len({line for line in said if line.startswith("xxx")}) == 3


def test_pictures_drawn_at_once_are_those_drawn_one_by_one() -> None:
    together: list[Chart] = []
    threads = [Thread(target=lambda: together.append(SAMPLES["yield-by-group"]())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [drawn("yield-by-group")] * 3


def test_a_picture_that_fails_leaves_the_style_of_others_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw(samples.heading("x", 1), 100, fail)
    assert dict(matplotlib.rcParams) == before


def test_without_matplotlib_the_error_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.extra.find_spec", dict[str, object]().get)
    with pytest.raises(Unsupported, match=r"pip install .*testlab-mcp\[statistics\]"):
        SAMPLES["pareto"]()


def test_drawing_opens_no_window_and_imports_no_pyplot() -> None:
    code = (
        "import sys, testlab_tools.charts.pareto, tests.tools.charts.samples as s\n"
        "assert 'matplotlib' not in sys.modules\n"
        "s.SAMPLES['pareto-one']()\n"
        "assert not {'matplotlib.pyplot', 'tkinter', 'PyQt6'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_spans_of_hours_and_of_one_day_have_axes_of_their_own() -> None:
    one = samples.yield_over_time(1)
    assert texts(draw_yield_over_time(one)) != texts(draw_yield_over_time(replace(one, span=timedelta(hours=1))))
