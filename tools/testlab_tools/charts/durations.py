"""Duration charts: mean with its interval, median and 95 % quantile, over time and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, SKY, VERMILLION, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns
from testlab_tools.charts.timeaxis import format_time_axis

MAX_GROUPS = 50
_UNITS = ((7_200.0, 3_600.0, "h"), (600.0, 60.0, "min"))
"""From so many seconds on, seconds in a unit, and the unit."""
_NAN = float("nan")


@dataclass(frozen=True)
class Durations:
    """Seconds that `n` runs took: mean with its 95 % interval, median, 95 % quantile; None where nothing is known.

    `at` is when their span of time begins, `name` what their group is; `differs` says in a word how it differs.
    """

    n: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    median: float | None = None
    p95: float | None = None
    name: str = ""
    at: datetime | None = None
    differs: str = ""


@dataclass(frozen=True)
class DurationsOverTime:
    """Durations in order of time, each of the `span` that begins at its `at` by the clocks of `zone`."""

    heading: Heading
    spans: Sequence[Durations]
    span: timedelta
    zone: str = "UTC"


@dataclass(frozen=True)
class DurationsByGroup:
    """Durations of groups in the order to draw them; `overall` is the mean of all, `test` what tells them apart."""

    heading: Heading
    groups: Sequence[Durations]
    group: str
    overall: float | None = None
    test: str = "Welch's and Student's test, Holm-corrected"


def draw_durations_over_time(durations: DurationsOverTime) -> Chart:
    """Draw the mean within its interval, median and 95 % quantile, with the count of each span below."""

    def paint(canvas: Canvas) -> None:
        if not any(span.n for span in durations.spans):
            canvas.say(f"No {durations.heading.counted} in this period")
            return
        upper, lower = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        begins = [span.at for span in durations.spans if span.at is not None]
        places: Any = [begin + durations.span / 2 for begin in begins]
        seconds, unit = _unit_of(durations.spans)
        mean, low, high, median, p95 = (
            [_NAN if value is None else value / seconds for value in values]
            for values in zip(*((s.mean, s.low, s.high, s.median, s.p95) for s in durations.spans), strict=True)
        )
        upper.fill_between(places, low, high, color=SKY, alpha=0.35, linewidth=0, label="95 % interval of the mean")
        size = 5 if len(places) <= 62 else 2.5
        upper.vlines(places, low, high, color=SKY, linewidth=1.5)
        upper.plot(places, mean, color=BLUE, linewidth=1.2, marker="o", markersize=size, label="mean")
        upper.plot(
            places,
            median,
            color=INK,
            linewidth=1,
            linestyle=(0, (1, 2)),
            marker="_",
            markersize=size + 2,
            label="median",
        )
        upper.plot(
            places,
            p95,
            color=VERMILLION,
            linewidth=1,
            linestyle=(0, (5, 3)),
            marker="^",
            markersize=size - 1,
            label="95 % quantile",
        )
        upper.set_ylabel(f"duration, {unit}")
        upper.grid(axis="y")
        upper.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
        counts = [span.n for span in durations.spans]
        lower.bar(places, counts, width=durations.span * (0.8 if len(counts) <= 62 else 1), color=GREY)
        lower.set_ylabel("n")
        lower.set_ylim(0, max(counts) * 1.2)
        lower.locator_params(axis="y", nbins=3, integer=True)
        format_time_axis(lower, begins, durations.span, durations.zone)

    return draw(durations.heading, 470, paint)


def draw_durations_by_group(durations: DurationsByGroup) -> Chart:
    """Draw mean with interval, median and 95 % quantile of each group, at most MAX_GROUPS; those that differ marked."""
    groups = durations.groups[:MAX_GROUPS]

    def paint(canvas: Canvas) -> None:
        if not any(group.n for group in groups):
            canvas.say(f"No {durations.heading.counted} in this period")
            return
        _paint_dots(canvas, durations, groups)
        if left_out := len(durations.groups) - len(groups):
            canvas.notes.append(f"{left_out:,} further groups are not drawn")
        canvas.notes.append(
            f"Bars: 95 % interval of the mean; 95 %: so many took no longer. Shown to differ: {durations.test}"
        )

    return draw(durations.heading, 110 + count_pixels(len(groups)), paint)


def _paint_dots(canvas: Canvas, durations: DurationsByGroup, groups: Sequence[Durations]) -> None:
    axes = canvas.figure.add_subplot()
    seconds, unit = _unit_of(groups)
    for row, group in enumerate(groups):
        if group.mean is None:
            continue
        colour, marker = (VERMILLION, "D") if group.differs else (BLUE, "o")
        if group.low is not None and group.high is not None:
            ends = (group.low / seconds, group.high / seconds)
            axes.plot(ends, (row, row), color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(group.mean / seconds, row, color=colour, marker=marker, markersize=7, linestyle="none")
        for value, sign in ((group.median, "|"), (group.p95, ">")):
            if value is not None:
                axes.plot(
                    value / seconds,
                    row,
                    color=INK if sign == "|" else GREY,
                    marker=sign,
                    markersize=7 if sign == ">" else 12,
                    linestyle="none",
                )
    if durations.overall is not None:
        axes.axvline(durations.overall / seconds, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlabel(f"duration, {unit}")
    axes.margins(x=0.04)
    axes.grid(axis="x")
    label_rows(canvas, axes, [group.name for group in groups], durations.group)
    figures = [
        (
            f"{g.n:,}",
            "–" if g.mean is None else f"{g.mean / seconds:.3g} {unit}",
            f"◆ {canvas.names.fit(g.differs, 12)}" if g.differs else "",
        )
        for g in groups
    ]
    write_columns(axes, ("n", "mean", "differs"), figures)
    _add_key(axes, durations, seconds, unit)


def _add_key(axes: Any, durations: DurationsByGroup, seconds: float, unit: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=7, linewidth=2, label="mean"),
        Line2D([], [], color=INK, marker="|", markersize=12, linestyle="none", label="median"),
        Line2D([], [], color=GREY, marker=">", markersize=7, linestyle="none", label="95 %"),
    ]
    if any(group.differs for group in durations.groups):
        handles.append(Line2D([], [], color=VERMILLION, marker="D", markersize=7, linewidth=2, label="differs"))
    if durations.overall is not None:
        dashes: Any = (0, (4, 3))
        label = f"all, {durations.overall / seconds:.3g} {unit}"
        handles.append(Line2D([], [], color=GREY, linestyle=dashes, label=label))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=1.9, labelcolor=INK)


def _unit_of(durations: Sequence[Durations]) -> tuple[float, str]:
    """Seconds in the unit that the means are best read in, and its name."""
    longest = max((one.mean for one in durations if one.mean is not None), default=0.0)
    return next(((seconds, unit) for least, seconds, unit in _UNITS if longest >= least), (1.0, "s"))
