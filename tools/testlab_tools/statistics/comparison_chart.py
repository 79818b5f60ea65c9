"""Pictures of comparisons: pass rates of tests under two revisions, or measurements of two runs within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.comparison import ComparedRow, Comparison, draw_comparison
from testlab_tools.models.lab import Measurement
from testlab_tools.models.results import RunDetail
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.revision_comparison import RevisionsCompared, TestDifference
from testlab_tools.statistics.run_comparison import RunComparison, is_number, pair_measurements
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary_rows import describe_filters

LEFT_OUT = "Left out: those without two limits that are numbers"
ROOM = 50.0
"""Per cent of the way between the limits that is shown on either side of them."""


async def draw_revisions(compared: RevisionsCompared, runs: RunFilter) -> Chart:
    """Draw the pass rate of each test under a and b, with its interval; those shown to differ in it are marked."""
    tests = compared.tests
    rows = [_rate_row(test) for test in tests if test.rate_a is not None and test.rate_b is not None]
    n = sum(test.n_a + test.n_b for test in tests)
    a, b = (side.revision for side in compared.sides)
    given = [(name, value) for name, value in describe_filters(runs) if name != "revision"]
    heading = Heading("Pass rate by test, before and after", n, "runs", runs.since, runs.until, given, [compared.note])
    test = f"Shown to differ: Holm-corrected over all tests, p < {ALPHA}"
    none = "No test under both in this period"
    drawn = Comparison(heading, rows, "test", "pass rate, %", a, b, _span_of(rows), test=test, empty=none)
    return await asyncio.to_thread(draw_comparison, drawn)


def _rate_row(test: TestDifference) -> ComparedRow:
    a, b = 100 * (test.rate_a or 0), 100 * (test.rate_b or 0)
    ends = [(100 * low, 100 * high) for low, high in (test.interval_a, test.interval_b)]
    differs = test.differs.startswith(("b better", "b worse"))
    return ComparedRow(test.test, a, b, ends[0], ends[1], (f"{a:.1f} %", f"{b:.1f} %"), differs)


def _span_of(rows: Sequence[ComparedRow]) -> tuple[float, float]:
    lows = [interval[0] for row in rows for interval in (row.interval_a, row.interval_b) if interval]
    return max(0.0, min(lows, default=0.0) - 1), 100.0


async def draw_two_runs(found: RunComparison, a: RunDetail, b: RunDetail) -> Chart:
    """Draw where the measurements of two runs lie between their limits; those with another verdict are marked."""
    pairs = pair_measurements(a, b)
    rows = [row for case, one, other in pairs if (row := _value_row(case, one, other)) is not None]
    rows.sort(key=lambda row: (not row.differs, -abs(row.b - row.a)))
    begins = [run.run.started_at for run in (a, b)]
    names = [(side, run.run.run_id) for side, run in (("a", a), ("b", b))]
    notes = [found.note, LEFT_OUT if len(rows) < len(pairs) else ""]
    title = "Measurements of two runs, within their limits"
    heading = Heading(title, len(rows), "measurements", min(begins), max(begins), names, notes)
    sides = [f"{run.run.outcome}, {run.run.unit or run.run.station}" for run in (a, b)]
    drawn = Comparison(
        heading,
        rows,
        "measurement",
        "of the way from the lower to the upper limit, %",
        sides[0],
        sides[1],
        (-ROOM, 100 + ROOM),
        "other verdict",
        bounds=((0.0, "lower limit"), (100.0, "upper limit")),
        empty="No measurements of both have two limits",
    )
    return await asyncio.to_thread(draw_comparison, drawn)


def _value_row(case: str, a: Measurement, b: Measurement) -> ComparedRow | None:
    places: list[float] = []
    for one in (a, b):
        if one.lower is None or one.upper is None or one.upper <= one.lower or not is_number(one.value):
            return None
        places.append(100 * (float(one.value) - one.lower) / (one.upper - one.lower))
    figures = [f"{one.value:.4g}" for one in (a, b)]
    units = f", {a.units}" if a.units else ""
    return ComparedRow(
        f"{case}: {a.name}{units}",
        places[0],
        places[1],
        figures=(figures[0], figures[1]),
        differs=a.outcome != b.outcome,
    )
