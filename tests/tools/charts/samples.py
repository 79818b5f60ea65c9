"""Data for pictures: as a lab has it, at its bounds, and hostile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random

from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.control import ControlChart, ControlPoint, Level, LimitSpan, draw_control_chart
from testlab_tools.charts.heatmap import Heatmap, draw_heatmap
from testlab_tools.charts.histogram import Histogram, draw_histogram
from testlab_tools.charts.pareto import Pareto, ParetoBar, draw_pareto
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
    **_at_bounds(),
    **_hostile(),
}
