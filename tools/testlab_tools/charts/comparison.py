"""Charts of two sides, a and b: a dot for each in every row, joined by a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, PALE, VERMILLION, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns

MAX_ROWS = 40
_APART = 0.16
"""Of a row, between the middle and the interval of a side."""


@dataclass(frozen=True)
class ComparedRow:
    """What both sides have, on the axis, with its interval where there is one; `figures` stand beside it.

    `differs`: it is marked.
    """

    name: str
    a: float
    b: float
    interval_a: tuple[float, float] | None = None
    interval_b: tuple[float, float] | None = None
    figures: tuple[str, str] = ("", "")
    differs: bool = False


@dataclass(frozen=True)
class Comparison:
    """Rows in the order to draw them. `row` says what they are, `axis` what is compared, `a` and `b` name the sides.

    `bounds` are lines across all rows, with their names; `marked` says in a word or two what is marked, `test` how that
    is known, `empty` what is to be said where there is no row.
    """

    heading: Heading
    rows: Sequence[ComparedRow]
    row: str
    axis: str
    a: str
    b: str
    span: tuple[float, float]
    marked: str = "differs"
    test: str = ""
    bounds: Sequence[tuple[float, str]] = ()
    empty: str = "Nothing to compare in this period"


def draw_comparison(comparison: Comparison) -> Chart:
    """Draw at most MAX_ROWS rows; what lies beyond the axis is drawn at its end."""
    rows = comparison.rows[:MAX_ROWS]

    def paint(canvas: Canvas) -> None:
        if not rows:
            canvas.say(comparison.empty)
            return
        axes = canvas.figure.add_subplot()
        for place, row in enumerate(rows):
            _paint_row(axes, comparison, place, row)
        for bound, name in comparison.bounds:
            axes.axvline(bound, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
            axes.annotate(name, (bound, 0), (3, 3), ("data", "axes fraction"), textcoords="offset points", fontsize=8.5)
        low, high = comparison.span
        axes.set_xlim(low - (high - low) * 0.02, high + (high - low) * 0.02)
        axes.set_xlabel(comparison.axis)
        axes.grid(axis="x")
        label_rows(canvas, axes, [row.name for row in rows], comparison.row)
        write_columns(axes, ("a", "b"), [row.figures for row in rows])
        _add_key(canvas, axes, comparison, rows)
        canvas.notes.append(comparison.test)
        if any(row.interval_a or row.interval_b for row in rows):
            canvas.notes.append("Lines: 95 % interval, of a above and of b below")
        if left_out := len(comparison.rows) - len(rows):
            canvas.notes.append(f"{left_out:,} further rows are not drawn")

    return draw(comparison.heading, 110 + count_pixels(len(rows)), paint)


def _paint_row(axes: Any, comparison: Comparison, place: int, row: ComparedRow) -> None:
    low, high = comparison.span
    a, b = (min(max(value, low), high) for value in (row.a, row.b))
    colour, marker = (VERMILLION, "D") if row.differs else (BLUE, "o")
    axes.plot((a, b), (place, place), color=PALE, linewidth=3, solid_capstyle="butt", zorder=1)
    for interval, shift, shade in ((row.interval_a, -_APART, GREY), (row.interval_b, _APART, colour)):
        if interval is not None:
            axes.plot(interval, (place + shift, place + shift), color=shade, linewidth=1.5, solid_capstyle="butt")
    axes.plot(a, place, color="white", markeredgecolor=INK, marker="o", markersize=7, linestyle="none", zorder=3)
    axes.plot(b, place, color=colour, marker=marker, markersize=6.5, linestyle="none", zorder=4)


def _add_key(canvas: Canvas, axes: Any, comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
    from matplotlib.lines import Line2D

    a, b = (canvas.names.fit(name, 18) for name in (comparison.a, comparison.b))
    none: dict[str, Any] = {"linestyle": "none"}
    handles = [
        Line2D([], [], color="white", markeredgecolor=INK, marker="o", markersize=7, label=f"a: {a}", **none),
        Line2D([], [], color=BLUE, marker="o", markersize=6.5, label=f"b: {b}", **none),
    ]
    if any(row.differs for row in rows):
        marked = f"b, {comparison.marked}"
        handles.append(Line2D([], [], color=VERMILLION, marker="D", markersize=6.5, label=marked, **none))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=1.9, labelcolor=INK)
