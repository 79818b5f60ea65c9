"""Histogram of a measurement, with its limits and its capability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, SKY, VERMILLION, Canvas, Chart, Heading, draw

_FAR = 3.0
"""Limits further away than so many widths of the data are named, not drawn: the data would be a line."""


@dataclass(frozen=True)
class Histogram:
    """Counts of values between `edges`, of which there is one more than counts, in order.

    `low` and `high` are the limits, None where there is none on that side. `figures` are capability and the like with
    their intervals, as (name, text). `mean` and `sd`, if both are given, draw the normal curve of the same area.
    """

    heading: Heading
    measurement: str
    edges: Sequence[float]
    counts: Sequence[int]
    units: str = ""
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    sd: float | None = None
    figures: Sequence[tuple[str, str]] = ()


def draw_histogram(histogram: Histogram) -> Chart:
    """Draw the distribution of a measurement between its limits."""

    def paint(canvas: Canvas) -> None:
        if not sum(histogram.counts):
            canvas.say("No values in this period")
            return
        axes = canvas.figure.add_subplot()
        _paint_bars(axes, histogram)
        _paint_limits(canvas, axes, histogram)
        _write_figures(canvas, axes, histogram)
        units = f", {canvas.names.fit(histogram.units, 16)}" if histogram.units else ""
        axes.set_xlabel(canvas.names.fit(histogram.measurement, 44) + units)
        axes.set_ylabel("values")
        axes.grid(axis="y")

    return draw(histogram.heading, 480, paint)


def _paint_bars(axes: Any, histogram: Histogram) -> None:
    edges, counts = histogram.edges, histogram.counts
    widths = [right - left for left, right in pairwise(edges)]
    single = not any(widths)
    if single:
        known = [abs(edges[0] - limit) for limit in (histogram.low, histogram.high) if limit not in (None, edges[0])]
        widths = [min([*known, abs(edges[0]) or 1.0]) / 20] * len(counts)
    lefts = [edge - widths[0] / 2 for edge in edges[:-1]] if single else edges[:-1]
    axes.bar(lefts, counts, width=widths, align="edge", color=SKY, edgecolor="white", linewidth=0.6)
    axes.set_ylim(0, max(counts) * 1.12)
    axes.locator_params(axis="y", integer=True)
    if histogram.mean is not None and histogram.sd and not single:
        area = sum(count * width for count, width in zip(counts, widths, strict=True))
        xs = [edges[0] + (edges[-1] - edges[0]) * i / 200 for i in range(201)]
        heights = [area * _normal_density(x, histogram.mean, histogram.sd) for x in xs]
        axes.plot(xs, heights, color=BLUE, linewidth=1.6)
        axes.set_ylim(0, max(*counts, *heights) * 1.12)


def _normal_density(x: float, mean: float, sd: float) -> float:
    return math.exp(-(((x - mean) / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))


def _paint_limits(canvas: Canvas, axes: Any, histogram: Histogram) -> None:
    begin, end = axes.get_xlim()
    reach = _FAR * (end - begin)
    known = {"lower limit": histogram.low, "upper limit": histogram.high}
    given = {name: limit for name, limit in known.items() if limit is not None}
    drawn = {name: limit for name, limit in given.items() if begin - reach <= limit <= end + reach}
    canvas.notes += [f"The {name}, {given[name]:.6g}, lies beyond the picture" for name in given if name not in drawn]
    left, right = min([begin, *drawn.values()]), max([end, *drawn.values()])
    room = (right - left) / 25
    axes.set_xlim(left - room, right + room)
    close = len(drawn) == 2 and abs(drawn["upper limit"] - drawn["lower limit"]) < 0.3 * (right - left)
    for name, limit in drawn.items():
        axes.axvline(limit, color=VERMILLION, linewidth=1.8)
        side = ("right" if name == "lower limit" else "left") if close else "center"
        _annotate(
            axes,
            f"{name} {limit:.6g}",
            (limit, 1),
            (0, 4),
            ("data", "axes fraction"),
            ha=side,
            va="bottom",
            color=VERMILLION,
        )
    if histogram.mean is not None:
        axes.axvline(histogram.mean, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
        curve = "; curve: the normal distribution of the same mean and standard deviation" if histogram.sd else ""
        canvas.notes.append(f"Dashed: mean{curve}")


def _write_figures(canvas: Canvas, axes: Any, histogram: Histogram) -> None:
    if histogram.figures:
        names, texts = zip(*histogram.figures, strict=True)
        for column, x, width in ((names, 12, 12), (texts, 76, 24)):
            lines = "\n".join(canvas.names.fit(text, width) for text in column)
            _annotate(axes, lines, (1, 1), (x, 0), "axes fraction", ha="left", va="top", linespacing=1.7)


def _annotate(axes: Any, text: str, at: Any, offset: Any, where: Any, **style: Any) -> None:
    axes.annotate(text, at, offset, where, textcoords="offset points", annotation_clip=False, fontsize=9.5, **style)
