"""Yield charts: over time with its interval, and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, SKY, VERMILLION, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns
from testlab_tools.charts.timeaxis import format_time_axis

MAX_GROUPS = 50
MAX_COUNTS_WRITTEN = 31


@dataclass(frozen=True)
class YieldPoint:
    """The yield of one span of time: a share from 0 to 1 with its interval, None where `n` is 0."""

    at: datetime
    n: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class YieldOverTime:
    """Yields in order of time, each of the `span` that begins at `at` by the clocks of `zone`."""

    heading: Heading
    points: Sequence[YieldPoint]
    span: timedelta
    metric: str = "First-pass yield"
    interval: str = "Wilson 95 % interval"
    zone: str = "UTC"


@dataclass(frozen=True)
class GroupYield:
    """The yield of one group. `differs` says in a word how, where a test shows it to differ from the others."""

    name: str
    n: int
    rate: float | None
    low: float | None
    high: float | None
    differs: str = ""


@dataclass(frozen=True)
class YieldByGroup:
    """Yields of groups in the order to draw them. `overall` is the yield of all together."""

    heading: Heading
    groups: Sequence[GroupYield]
    group: str
    overall: float | None = None
    metric: str = "First-pass yield"
    interval: str = "Wilson 95 % interval"
    test: str = "Fisher's exact test, Holm-corrected"


def draw_yield_over_time(yields: YieldOverTime) -> Chart:
    """Draw the yield as a line within its interval, with the count of each span below."""

    def paint(canvas: Canvas) -> None:
        if not any(point.n for point in yields.points):
            canvas.say(f"No {yields.heading.counted} in this period")
            return
        upper, lower = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        _paint_band(upper, yields)
        _paint_counts(lower, yields)
        format_time_axis(lower, [point.at for point in yields.points], yields.span, yields.zone)

    return draw(yields.heading, 470, paint)


def _paint_band(axes: Any, yields: YieldOverTime) -> None:
    nan = float("nan")
    places = [point.at + yields.span / 2 for point in yields.points]
    rate, low, high = (
        [nan if value is None else 100 * value for value in values]
        for values in zip(*((p.rate, p.low, p.high) for p in yields.points), strict=True)
    )
    axes.fill_between(places, low, high, color=SKY, alpha=0.35, linewidth=0, label=yields.interval)
    many = len(places) > 2 * MAX_COUNTS_WRITTEN
    alone = [i for i in range(len(places)) if not many or not _has_neighbour(yields.points, i)]
    axes.vlines([places[i] for i in alone], [low[i] for i in alone], [high[i] for i in alone], color=SKY, linewidth=1.5)
    size = 2.5 if many else 5
    axes.plot(places, rate, color=BLUE, linewidth=1.2, marker="o", markersize=size, label=yields.metric)
    axes.set_ylabel(f"{yields.metric}, %")
    axes.set_ylim(*_percent_span([value for value in (*low, *high) if value == value]))
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def _has_neighbour(points: Sequence[YieldPoint], place: int) -> bool:
    """Whether a band can be drawn from the point to one beside it."""
    return any(point.n for point in (*points[max(0, place - 1) : place], *points[place + 1 : place + 2]))


def _paint_counts(axes: Any, yields: YieldOverTime) -> None:
    places = [point.at + yields.span / 2 for point in yields.points]
    counts = [point.n for point in yields.points]
    axes.bar(places, counts, width=yields.span * (0.8 if len(counts) <= 2 * MAX_COUNTS_WRITTEN else 1), color=GREY)
    axes.set_ylabel("n")
    axes.set_ylim(0, max(counts) * 1.35)
    axes.locator_params(axis="y", nbins=3, integer=True)
    if len(counts) <= MAX_COUNTS_WRITTEN:
        for place, count in zip(places, counts, strict=True):
            axes.annotate(f"{count:,}", (place, count), (0, 2), textcoords="offset points", ha="center", fontsize=8)


def draw_yield_by_group(yields: YieldByGroup) -> Chart:
    """Draw each group's yield as a dot with its interval, those called different marked; at most MAX_GROUPS."""
    groups = yields.groups[:MAX_GROUPS]

    def paint(canvas: Canvas) -> None:
        if not any(group.n for group in groups):
            canvas.say(f"No {yields.heading.counted} in this period")
            return
        _paint_dots(canvas, yields, groups)
        if left_out := len(yields.groups) - len(groups):
            canvas.notes.append(f"{left_out:,} further groups are not drawn")
        canvas.notes.append(f"Bars: {yields.interval}. Shown to differ: {yields.test}")

    return draw(yields.heading, 110 + count_pixels(len(groups)), paint)


def _paint_dots(canvas: Canvas, yields: YieldByGroup, groups: Sequence[GroupYield]) -> None:
    axes = canvas.figure.add_subplot()
    bounds: list[float] = []
    for row, group in enumerate(groups):
        if group.rate is None or group.low is None or group.high is None:
            continue
        colour, marker = (VERMILLION, "D") if group.differs else (BLUE, "o")
        rate, low, high = 100 * group.rate, 100 * group.low, 100 * group.high
        axes.plot((low, high), (row, row), color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(rate, row, color=colour, marker=marker, markersize=7, linestyle="none")
        bounds += (low, high)
    if yields.overall is not None:
        axes.axvline(100 * yields.overall, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
        bounds.append(100 * yields.overall)
    axes.set_xlim(*_percent_span(bounds))
    axes.set_xlabel(f"{yields.metric}, %")
    axes.grid(axis="x")
    label_rows(canvas, axes, [group.name for group in groups], yields.group)
    figures = [
        (
            f"{g.n:,}",
            "–" if g.rate is None else f"{100 * g.rate:.1f} %",
            f"◆ {canvas.names.fit(g.differs, 12)}" if g.differs else "",
        )
        for g in groups
    ]
    write_columns(axes, ("n", "yield", "differs"), figures)
    _add_key(axes, yields)


def _add_key(axes: Any, yields: YieldByGroup) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=7, linewidth=2, label=yields.metric),
    ]
    if any(group.differs for group in yields.groups):
        handles.append(Line2D([], [], color=VERMILLION, marker="D", markersize=7, linewidth=2, label="shown to differ"))
    if yields.overall is not None:
        dashes: Any = (0, (4, 3))
        handles.append(
            Line2D([], [], color=GREY, linestyle=dashes, label=f"all together, {100 * yields.overall:.1f} %")
        )
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=1.9, labelcolor=INK)


def _percent_span(values: Sequence[float]) -> tuple[float, float]:
    """The axis: what the values take and a twentieth, within 0 to 100 %."""
    low, high = min(values), max(values)
    room = max((high - low) / 20, 0.5)
    return max(-1.0, low - room), min(101.0, high + room)
