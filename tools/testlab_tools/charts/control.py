"""Control chart of a measurement: its values in order of time, limits that may change, levels and a change point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, ORANGE, SKY, VERMILLION, Canvas, Chart, Heading, draw
from testlab_tools.charts.timeaxis import format_time_axis

MAX_POINTS = 1_000
_BUCKETS = 200


@dataclass(frozen=True)
class ControlPoint:
    """One value."""

    at: datetime
    value: float


@dataclass(frozen=True)
class ControlRange:
    """Values of one part of the time: the least, the median and the greatest of `n`."""

    at: datetime
    n: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class LimitSpan:
    """The limits that held from `since` until `until`; None where there was none on that side."""

    since: datetime
    until: datetime
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """A fitted line over a span: the mean before or after a change (both ends alike), or a drift."""

    since: datetime
    until: datetime
    begin: float
    end: float


@dataclass(frozen=True)
class ControlChart:
    """Values, or `ranges` of very many, with what was found in them.

    `change` is when the level changed, if it did, and `change_text` says how.
    """

    heading: Heading
    measurement: str
    points: Sequence[ControlPoint] = ()
    units: str = ""
    limits: Sequence[LimitSpan] = ()
    levels: Sequence[Level] = ()
    change: datetime | None = None
    change_text: str = ""
    ranges: Sequence[ControlRange] = ()


def draw_control_chart(chart: ControlChart) -> Chart:
    """Draw the values over time; more than MAX_POINTS as medians within the range of their time."""
    points = sorted(chart.points, key=lambda point: point.at)
    ranges = chart.ranges or (_group(points) if len(points) > MAX_POINTS else ())
    if chart.ranges:
        points = [ControlPoint(part.at, value) for part in chart.ranges for value in (part.low, part.high)]

    def paint(canvas: Canvas) -> None:
        if not points:
            canvas.say("No values in this period")
            return
        axes = canvas.figure.add_subplot()
        if ranges:
            _paint_ranges(canvas, axes, ranges)
        else:
            _paint_points(axes, points)
        _paint_limits(axes, chart.limits)
        _paint_outside(axes, chart, points)
        for level in chart.levels:
            axes.plot((level.since, level.until), (level.begin, level.end), color=ORANGE, linewidth=2.5, label="level")
        format_time_axis(axes, [point.at for point in points])
        _paint_change(canvas, axes, chart)
        units = f", {canvas.names.fit(chart.units, 16)}" if chart.units else ""
        axes.set_ylabel(canvas.names.fit(chart.measurement, 30) + units)
        axes.grid(axis="y")
        _add_key(axes)

    return draw(chart.heading, 480, paint)


def _paint_points(axes: Any, points: Sequence[ControlPoint]) -> None:
    style: dict[str, Any] = {"linewidth": 0.7} if len(points) <= 150 else {"linestyle": "none"}
    size = 4 if len(points) <= 150 else 2.5
    axes.plot(
        [p.at for p in points],
        [p.value for p in points],
        color=BLUE,
        marker="o",
        markersize=size,
        label="value",
        **style,
    )


def _group(points: Sequence[ControlPoint]) -> list[ControlRange]:
    """A range for each part of the time that has values."""
    begin, length = points[0].at, (points[-1].at - points[0].at) / _BUCKETS
    buckets: dict[int, list[float]] = {}
    for point in points:
        place = int((point.at - begin) / length) if length else 0
        buckets.setdefault(min(place, _BUCKETS - 1), []).append(point.value)
    return [
        ControlRange(begin + (place + 0.5) * length, len(values), min(values), median(values), max(values))
        for place, values in buckets.items()
    ]


def _paint_ranges(canvas: Canvas, axes: Any, ranges: Sequence[ControlRange]) -> None:
    times = [part.at for part in ranges]
    lows, highs = [part.low for part in ranges], [part.high for part in ranges]
    axes.vlines(times, lows, highs, color=SKY, linewidth=2, label="least to greatest")
    middles = [part.middle for part in ranges]
    axes.plot(times, middles, color=BLUE, marker="o", markersize=3, linestyle="none", label="median")
    count = sum(part.n for part in ranges)
    canvas.notes.append(f"{count:,} values are drawn as {len(ranges)} medians within their ranges")


def _paint_limits(axes: Any, limits: Sequence[LimitSpan]) -> None:
    for span in limits:
        for limit in (span.low, span.high):
            if limit is not None:
                axes.plot((span.since, span.until), (limit, limit), color=VERMILLION, linewidth=1.8, label="limit")


def _paint_outside(axes: Any, chart: ControlChart, points: Sequence[ControlPoint]) -> None:
    outside = [point for point in points if _breaks_limit(point, chart.limits)]
    if outside:
        at, values = [p.at for p in outside], [p.value for p in outside]
        axes.plot(at, values, color=VERMILLION, marker="X", markersize=7, linestyle="none", label="outside its limits")


def _breaks_limit(point: ControlPoint, limits: Sequence[LimitSpan]) -> bool:
    return any(
        span.since <= point.at < span.until
        and ((span.low is not None and point.value < span.low) or (span.high is not None and point.value > span.high))
        for span in limits
    )


def _paint_change(canvas: Canvas, axes: Any, chart: ControlChart) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    if chart.change is None:
        return
    axes.set_ylim(low, high + 0.07 * (high - low))
    axes.axvline(chart.change, color=INK, linewidth=1.5, linestyle=(0, (4, 3)), label="change point")
    late = 2 * axes.convert_xunits(chart.change) > sum(axes.get_xlim())
    axes.annotate(
        f"changes at {chart.change.astimezone(UTC):%Y-%m-%d %H:%M}",
        (chart.change, 1),
        (-6 if late else 6, -3),
        ("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        fontsize=9.5,
    )
    if chart.change_text:
        canvas.notes.append(f"At the change point: {canvas.names.fit(chart.change_text, 100)}")


def _add_key(axes: Any) -> None:
    """Each kind of line once."""
    kinds = dict(reversed([*zip(*reversed(axes.get_legend_handles_labels()), strict=True)]))
    axes.legend(
        list(kinds.values())[::-1], list(kinds)[::-1], loc="lower left", bbox_to_anchor=(0, 1), ncols=6, labelcolor=GREY
    )
