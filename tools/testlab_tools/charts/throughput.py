"""Throughput charts: runs over time, and by group, those that passed apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from testlab_tools.charts.canvas import BLUE, ORANGE, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns
from testlab_tools.charts.timeaxis import format_time_axis

MAX_GROUPS = 50
MAX_COUNTS_WRITTEN = 31


@dataclass(frozen=True)
class SpanThroughput:
    """Runs that began in a span of time from `at` on, and how many of them passed."""

    at: datetime
    runs: int
    passed: int


@dataclass(frozen=True)
class ThroughputOverTime:
    """Runs in order of time, each of the `span` that begins at `at` by the clocks of `zone`."""

    heading: Heading
    spans: Sequence[SpanThroughput]
    span: timedelta
    zone: str = "UTC"


@dataclass(frozen=True)
class GroupThroughput:
    """Runs of a group: how many passed, of how many units, and how many there were on a day with runs."""

    name: str
    runs: int
    passed: int
    units: int = 0
    per_day: float | None = None


@dataclass(frozen=True)
class ThroughputByGroup:
    """Groups in the order to draw them; `group` says what they are."""

    heading: Heading
    groups: Sequence[GroupThroughput]
    group: str


def draw_throughput_over_time(throughput: ThroughputOverTime) -> Chart:
    """Draw a bar for each span, those that passed below those that did not."""

    def paint(canvas: Canvas) -> None:
        if not any(span.runs for span in throughput.spans):
            canvas.say(f"No {throughput.heading.counted} in this period")
            return
        axes = canvas.figure.add_subplot()
        places: Any = [span.at + throughput.span / 2 for span in throughput.spans]
        runs, passed = [span.runs for span in throughput.spans], [span.passed for span in throughput.spans]
        few = len(runs) <= MAX_COUNTS_WRITTEN
        _stack(axes.bar, places, passed, runs, {"width": throughput.span * (0.8 if few else 1)}, "bottom")
        axes.set_ylabel("runs")
        axes.set_ylim(0, max(runs) * 1.12)
        axes.locator_params(axis="y", integer=True)
        axes.grid(axis="y")
        if few:
            for place, count in zip(places, runs, strict=True):
                at: Any = (place, count)
                axes.annotate(f"{count:,}", at, (0, 2), textcoords="offset points", ha="center", fontsize=8)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        format_time_axis(axes, [span.at for span in throughput.spans], throughput.span, throughput.zone)

    return draw(throughput.heading, 400, paint)


def draw_throughput_by_group(throughput: ThroughputByGroup) -> Chart:
    """Draw a bar for each group, at most MAX_GROUPS, with its figures beside it."""
    groups = throughput.groups[:MAX_GROUPS]

    def paint(canvas: Canvas) -> None:
        if not any(group.runs for group in groups):
            canvas.say(f"No {throughput.heading.counted} in this period")
            return
        axes = canvas.figure.add_subplot()
        runs, passed = [group.runs for group in groups], [group.passed for group in groups]
        _stack(axes.barh, range(len(groups)), passed, runs, {"height": 0.7}, "left")
        axes.set_xlim(0, max(runs) * 1.02)
        axes.set_xlabel("runs")
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="x")
        label_rows(canvas, axes, [group.name for group in groups], throughput.group)
        figures = [
            (f"{g.runs:,}", f"{g.units:,}" if g.units else "", "" if g.per_day is None else f"{g.per_day:,.1f}")
            for g in groups
        ]
        write_columns(axes, ("runs", "units", "per day"), figures)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=1.9)
        if left_out := len(throughput.groups) - len(groups):
            canvas.notes.append(f"{left_out:,} further groups are not drawn")
        canvas.notes.append("Per day: of the days on which there were runs")

    return draw(throughput.heading, 110 + count_pixels(len(groups)), paint)


def _stack(
    bars: Any, places: Any, passed: Sequence[int], runs: Sequence[int], size: dict[str, Any], from_: str
) -> None:
    """Bars of those that passed and, on these, of the others."""
    others = [count - good for count, good in zip(runs, passed, strict=True)]
    bars(places, passed, color=BLUE, label="passed", **size)
    bars(
        places,
        others,
        color=ORANGE,
        hatch="////",
        edgecolor="white",
        linewidth=0,
        label="others",
        **size,
        **{from_: passed},
    )
