"""Data for pictures: as a lab has it, at its bounds, and hostile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random

from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.comparison import ComparedRow, Comparison, draw_comparison
from testlab_tools.charts.control import ControlChart, ControlPoint, Level, LimitSpan, draw_control_chart
from testlab_tools.charts.durations import (
    Durations,
    DurationsByGroup,
    DurationsOverTime,
    draw_durations_by_group,
    draw_durations_over_time,
)
from testlab_tools.charts.heatmap import Heatmap, draw_heatmap
from testlab_tools.charts.histogram import Histogram, draw_histogram
from testlab_tools.charts.pareto import Pareto, ParetoBar, draw_pareto
from testlab_tools.charts.throughput import (
    GroupThroughput,
    SpanThroughput,
    ThroughputByGroup,
    ThroughputOverTime,
    draw_throughput_by_group,
    draw_throughput_over_time,
)
from testlab_tools.charts.yields import (
    GroupYield,
    YieldByGroup,
    YieldOverTime,
    YieldPoint,
    draw_yield_by_group,
    draw_yield_over_time,
)

UNTIL = datetime(2026, 11, 29, 18, tzinfo=UTC)
SINCE = UNTIL - timedelta(days=30)
DAY = timedelta(days=1)
HOSTILE = (
    "costs $5 and $6_{x^2}",
    "two\nlines\tand a tab",
    "\x1b[31mred\x1b[0m \x00 \u202egnp.exe",
    "long " * 200,
    "电源板测试 第三站",
    "emoji 😀 🚀 👩‍🔬",
    "<script>alert('x')</script> & \"quoted\"",
    "",
    "tests/very/deep/folder/of/tests/test_menu.py::test_that_the_main_menu_opens_from_live_tv",
    "tests/very/deep/folder/of/tests/test_menu.py::test_that_the_main_menu_opens_from_live_tw",
)
REASONS = (
    *("rail_5v above 5.10 V", "DMM not responding on GPIB0::22", "firmware is 1.4.1 instead of 1.4.2"),
    *("tuner_snr_db below 28 dB", "hdmi_level below 440 mV", "eth_throughput below 900 Mbit/s", "boot_time above 28 s"),
    *("Phase flash_firmware timed out after 60 s", "idle_current above 0.12 A", "audio_thd above 0.08 %", "aborted"),
)


def wilson(passed: int, n: int) -> tuple[float, float, float]:
    """Rate, low and high of the Wilson 95 % interval."""
    z, rate = 1.959964, passed / n
    middle, half = rate + z * z / (2 * n), z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return rate, max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def heading(title: str, n: int, counted: str = "runs") -> Heading:
    filters = (("service", "factory"), ("test", "Main board FCT"), ("part", "STB-4K"))
    return Heading(title, n, counted, SINCE, UNTIL, filters)


def pareto(count: int = 11) -> Pareto:
    names = [*REASONS, *(f"step_{i:03d} failed" for i in range(max(0, count - len(REASONS))))][:count]
    bars = [ParetoBar(name, max(1, round(220 * 0.72**i))) for i, name in enumerate(names)]
    notes = ("Final attempts; golden, failing and ignored samples are left out",)
    said = replace(heading("What fails Main board FCT", 3120), notes=notes)
    return Pareto(said, bars)


def yield_over_time(days: int = 30) -> YieldOverTime:
    rng, points = Random(5), list[YieldPoint]()
    for day in range(days):
        n = 0 if day in (12, 13) else rng.randrange(15, 60)
        passed = sum(rng.random() < (0.95 if day < 20 else 0.86) for _ in range(n))
        figures = wilson(passed, n) if n else (None, None, None)
        points.append(YieldPoint(SINCE + day * DAY, n, *figures))
    return YieldOverTime(heading("First-pass yield by day", sum(p.n for p in points), "units"), points, DAY)


def yield_by_group(count: int = 6, names: tuple[str, ...] = ()) -> YieldByGroup:
    rng, groups = Random(3), list[GroupYield]()
    for place in range(count):
        bad, n = place % 17 == 2, rng.randrange(20, 900)
        rate, low, high = wilson(sum(rng.random() < (0.82 if bad else 0.95) for _ in range(n)), n)
        name = names[place] if names else f"FVT-{place + 1:02d}"
        groups.append(GroupYield(name, n, rate, low, high, "worse" if bad else ""))
    total = sum(group.n for group in groups)
    said = heading("First-pass yield of Main board FCT by station", total, "units")
    return YieldByGroup(said, groups, "station", 0.934)


def histogram(low: float | None = 4.9, high: float | None = 5.1) -> Histogram:
    rng = Random(11)
    values = [rng.gauss(5.042, 0.021) for _ in range(4000)]
    begin, width = 4.94, 0.005
    counts = [sum(begin + i * width <= v < begin + (i + 1) * width for v in values) for i in range(40)]
    edges = [begin + i * width for i in range(41)]
    figures = (
        *(("n", "4,000"), ("mean", "5.042 V"), ("sd", "0.021 V"), ("Cp", "1.59 (1.55 to 1.62)")),
        *(("Cpk", "0.92 (0.90 to 0.94)"), ("Ppk", "0.89 (0.87 to 0.91)"), ("normality", "p = 0.003")),
    )
    said = heading("rail_5v of Main board FCT", 4000, "values")
    return Histogram(said, "rail_5v", edges, counts, "V", low, high, 5.042, 0.021, figures)


def control_chart(count: int = 400) -> ControlChart:
    rng, points = Random(4), list[ControlPoint]()
    for place in range(count):
        at = SINCE + place * (UNTIL - SINCE) / max(count, 1)
        days = (at - SINCE) / DAY
        points.append(ControlPoint(at, rng.gauss(5.0 if days < 14 else 5.0 + 0.004 * (days - 14), 0.018)))
    change, stepped = SINCE + 14 * DAY, SINCE + 20 * DAY
    limits = (LimitSpan(SINCE, stepped, 4.85, 5.15), LimitSpan(stepped, UNTIL, 4.9, 5.1))
    levels = (Level(SINCE, change, 5.0, 5.0), Level(change, UNTIL, 5.0, 5.064))
    said = heading("rail_5v of Main board FCT over time", count, "values")
    return ControlChart(said, "rail_5v", points, "V", limits, levels, change, "rises by 0.0041 V a day")


def heatmap(rows: int = 14, columns: int = 8) -> Heatmap:
    rng = Random(9)
    tests = [
        f"tests/menu.py::test_{word}_{i}"
        for i, word in zip(range(rows), ("open", "close", "search", "play") * rows, strict=False)
    ]
    nodes = [f"stb-tester-{0xA23 + 17 * i:04x}" for i in range(columns)]
    rates = [
        [
            None if rng.random() < 0.12 else 0.2 if (y, x) == (3, 2) else min(1.0, rng.gauss(0.93, 0.08))
            for x in range(columns)
        ]
        for y in range(rows)
    ]
    return Heatmap(heading("Pass rate by test case and node", 4711), "test case", "node", tests, nodes, rates)


def throughput(days: int = 30) -> ThroughputOverTime:
    rng, spans = Random(8), list[SpanThroughput]()
    for day in range(days):
        runs = 0 if day in (12, 13) else rng.randrange(60, 240)
        spans.append(SpanThroughput(SINCE + day * DAY, runs, round(runs * rng.uniform(0.8, 0.97))))
    return ThroughputOverTime(heading("Throughput by day", sum(one.runs for one in spans)), spans, DAY)


def throughput_by_group(count: int = 6, names: tuple[str, ...] = ()) -> ThroughputByGroup:
    rng, groups = Random(6), list[GroupThroughput]()
    for place in range(count):
        runs = rng.randrange(200, 4000)
        name = names[place] if names else f"FVT-{place + 1:02d}"
        groups.append(GroupThroughput(name, runs, round(runs * rng.uniform(0.7, 0.97)), runs // 2, runs / 30))
    return ThroughputByGroup(heading("Throughput by station", sum(g.runs for g in groups)), groups, "station")


def durations(days: int = 30) -> DurationsOverTime:
    rng, spans = Random(2), list[Durations]()
    for day in range(days):
        n = 0 if day in (12, 13) else rng.randrange(15, 60)
        mean = 61 + day / 5 + rng.gauss(0, 1.5)
        known = (mean, mean - 2, mean + 2, mean - 1, mean + 12) if n else (None, None, None, None, None)
        spans.append(Durations(n, *known, at=SINCE + day * DAY))
    return DurationsOverTime(heading("Duration by day", sum(one.n for one in spans)), spans, DAY)


def durations_by_group(count: int = 6, names: tuple[str, ...] = ()) -> DurationsByGroup:
    rng, groups = Random(12), list[Durations]()
    for place in range(count):
        slow, mean = place % 17 == 2, 5200 + rng.gauss(0, 60)
        mean += 900 * slow
        reach = rng.uniform(20, 120)
        name = names[place] if names else f"FVT-{place + 1:02d}"
        known = (mean, mean - reach, mean + reach, mean - 30, mean + 700)
        groups.append(Durations(rng.randrange(90, 900), *known, name, differs="longer" if slow else ""))
    said = heading("Duration by station", sum(group.n for group in groups))
    return DurationsByGroup(said, groups, "station", 5310.0)


def comparison(count: int = 9, names: tuple[str, ...] = ()) -> Comparison:
    rng, rows = Random(21), list[ComparedRow]()
    for place in range(count):
        a, b = rng.uniform(88, 99), rng.uniform(60, 75) if place == 0 else rng.uniform(88, 99)
        name = names[place] if names else f"tests/menu.py::test_open_{place}"
        ends = [(max(0.0, x - rng.uniform(2, 8)), min(100.0, x + rng.uniform(0.5, 3))) for x in (a, b)]
        figures = (f"{a:.1f} %", f"{b:.1f} %")
        rows.append(ComparedRow(name, a, b, ends[0], ends[1], figures, differs=place == 0))
    said = heading("Pass rate by test, before and after", 3120)
    return Comparison(said, rows, "test", "pass rate, %", "1.4.1", "1.5.0", (55, 100), test="Shown to differ: p < 0.01")


def two_runs(count: int = 12) -> Comparison:
    rng, rows = Random(5), list[ComparedRow]()
    for place in range(count):
        a, b = rng.uniform(20, 80), 400.0 if place == 0 else rng.uniform(20, 80)
        rows.append(ComparedRow(f"power: rail_{place}, V", a, b, figures=("4.982", "5.31"), differs=place == 0))
    said = heading("Measurements of two runs, within their limits", count, "measurements")
    bounds = ((0.0, "lower limit"), (100.0, "upper limit"))
    axis = "of the way from the lower to the upper limit, %"
    sides = ("pass, STB4K-000123", "fail, STB4K-000124")
    return Comparison(said, rows, "measurement", axis, *sides, (-50, 150), "other verdict", bounds=bounds)


def _hostile() -> dict[str, Callable[[], Chart]]:
    long = HOSTILE[3]
    said = Heading(long, 7, "runs", SINCE, None, [(name, name) for name in HOSTILE], [*HOSTILE, long, long, long])
    nodes = [*HOSTILE]
    rates = [[(x + y) / 20 for x in range(len(nodes))] for y in range(len(nodes))]
    bars = [ParetoBar(name, 20 - place) for place, name in enumerate(HOSTILE)]
    return {
        "hostile-pareto": lambda: draw_pareto(Pareto(said, bars)),
        "hostile-groups": lambda: draw_yield_by_group(replace(yield_by_group(10, HOSTILE), heading=said, group=long)),
        "hostile-heatmap": lambda: draw_heatmap(Heatmap(said, long, HOSTILE[4], nodes, nodes, rates)),
        "hostile-histogram": lambda: draw_histogram(
            replace(histogram(), heading=said, measurement=long, units=HOSTILE[0], figures=[(long, long)])
        ),
        "hostile-control": lambda: draw_control_chart(
            replace(control_chart(), heading=said, measurement=long, units=HOSTILE[5], change_text=long)
        ),
        "hostile-throughput": lambda: draw_throughput_by_group(
            replace(throughput_by_group(10, HOSTILE), heading=said, group=long)
        ),
        "hostile-durations": lambda: draw_durations_by_group(
            replace(durations_by_group(10, HOSTILE), heading=said, group=long)
        ),
        "hostile-comparison": lambda: draw_comparison(
            replace(comparison(10, HOSTILE), heading=said, row=long, a=long, b=HOSTILE[4])
        ),
        "hostile-time": lambda: draw_yield_over_time(replace(yield_over_time(), heading=said)),
    }


def _at_bounds() -> dict[str, Callable[[], Chart]]:
    one = [ControlPoint(SINCE, 5.0)]
    hours = [replace(p, at=SINCE + place * timedelta(hours=1)) for place, p in enumerate(yield_over_time(300).points)]
    far = replace(histogram(-1000.0, 5.1), figures=())
    return {
        "pareto-200-causes": lambda: draw_pareto(pareto(200)),
        "pareto-one": lambda: draw_pareto(pareto(1)),
        "pareto-empty": lambda: draw_pareto(pareto(0)),
        "groups-50": lambda: draw_yield_by_group(yield_by_group(50)),
        "groups-80": lambda: draw_yield_by_group(yield_by_group(80)),
        "groups-one": lambda: draw_yield_by_group(yield_by_group(1)),
        "groups-empty": lambda: draw_yield_by_group(yield_by_group(0)),
        "time-300-hours": lambda: draw_yield_over_time(
            replace(yield_over_time(), points=hours, span=timedelta(hours=1))
        ),
        "throughput-empty": lambda: draw_throughput_over_time(throughput(0)),
        "throughput-one": lambda: draw_throughput_over_time(throughput(1)),
        "throughput-200-days": lambda: draw_throughput_over_time(throughput(200)),
        "throughput-80-groups": lambda: draw_throughput_by_group(throughput_by_group(80)),
        "throughput-no-group": lambda: draw_throughput_by_group(throughput_by_group(0)),
        "durations-empty": lambda: draw_durations_over_time(durations(0)),
        "durations-one": lambda: draw_durations_over_time(durations(1)),
        "durations-200-days": lambda: draw_durations_over_time(durations(200)),
        "durations-80-groups": lambda: draw_durations_by_group(durations_by_group(80)),
        "durations-no-group": lambda: draw_durations_by_group(durations_by_group(0)),
        "comparison-empty": lambda: draw_comparison(comparison(0)),
        "comparison-one": lambda: draw_comparison(comparison(1)),
        "comparison-60": lambda: draw_comparison(comparison(60)),
        "time-one": lambda: draw_yield_over_time(yield_over_time(1)),
        "time-empty": lambda: draw_yield_over_time(yield_over_time(0)),
        "histogram-upper-limit-only": lambda: draw_histogram(histogram(None, 5.1)),
        "histogram-no-limits": lambda: draw_histogram(histogram(None, None)),
        "histogram-far-limit": lambda: draw_histogram(far),
        "histogram-one-value": lambda: draw_histogram(
            replace(histogram(), edges=[5.0, 5.0], counts=[1], mean=5.0, sd=None)
        ),
        "histogram-empty": lambda: draw_histogram(replace(histogram(), edges=[0, 1], counts=[0])),
        "control-50": lambda: draw_control_chart(control_chart(50)),
        "control-20000": lambda: draw_control_chart(control_chart(20_000)),
        "control-one": lambda: draw_control_chart(replace(control_chart(0), points=one, levels=(), change=None)),
        "control-empty": lambda: draw_control_chart(control_chart(0)),
        "heatmap-50-by-30": lambda: draw_heatmap(heatmap(50, 30)),
        "heatmap-60-by-40": lambda: draw_heatmap(heatmap(60, 40)),
        "heatmap-one": lambda: draw_heatmap(heatmap(1, 1)),
        "heatmap-empty": lambda: draw_heatmap(heatmap(0, 0)),
    }


SAMPLES: dict[str, Callable[[], Chart]] = {
    "pareto": lambda: draw_pareto(pareto()),
    "yield-over-time": lambda: draw_yield_over_time(yield_over_time()),
    "yield-by-group": lambda: draw_yield_by_group(yield_by_group()),
    "histogram": lambda: draw_histogram(histogram()),
    "control-chart": lambda: draw_control_chart(control_chart()),
    "heatmap": lambda: draw_heatmap(heatmap()),
    "throughput": lambda: draw_throughput_over_time(throughput()),
    "throughput-by-group": lambda: draw_throughput_by_group(throughput_by_group()),
    "durations": lambda: draw_durations_over_time(durations()),
    "durations-by-group": lambda: draw_durations_by_group(durations_by_group()),
    "comparison": lambda: draw_comparison(comparison()),
    "two-runs": lambda: draw_comparison(two_runs()),
    **_at_bounds(),
    **_hostile(),
}
