"""Pareto chart: causes by how often they occurred, with the line of their cumulative share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, PALE, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns

MAX_BARS = 25


@dataclass(frozen=True)
class ParetoBar:
    """One cause and its count.

    `covered` is how many have this cause or one before it; it is given where several causes may be of one thing.
    Without it counts add up.
    """

    name: str
    count: int
    covered: int | None = None


@dataclass(frozen=True)
class Pareto:
    """Causes, the most frequent first. `counted` is what the counts are of, `total` how many of them there are, those
    of causes that are not named included (0: no others)."""

    heading: Heading
    bars: Sequence[ParetoBar]
    counted: str = "failures"
    total: int = 0


def draw_pareto(pareto: Pareto) -> Chart:
    """Draw the causes, the most frequent on top; beyond MAX_BARS the rest is one bar."""
    shown = pareto.bars[:MAX_BARS]
    running = list(accumulate(bar.count for bar in pareto.bars))
    covered = [up if bar.covered is None else bar.covered for bar, up in zip(pareto.bars, running, strict=True)]
    total = max([pareto.total, *covered])
    others = total - max(covered[:MAX_BARS], default=0)
    if others:
        covered = [*covered[: len(shown)], total]

    def paint(canvas: Canvas) -> None:
        if not shown and not others:
            canvas.say(f"No {pareto.counted} in this period")
            return
        _paint_bars(canvas, pareto, covered[: len(shown) + 1], others)
        if others:
            canvas.notes.append(f"Others: {others:,} {pareto.counted} with none of the causes named")

    count = len(shown) + bool(others)
    return draw(pareto.heading, 110 + count_pixels(count), paint)


def _paint_bars(canvas: Canvas, pareto: Pareto, covered: Sequence[int], others: int) -> None:
    bars = pareto.bars[:MAX_BARS]
    names = [bar.name for bar in bars] + ["others"] * bool(others)
    counts = [bar.count for bar in bars] + [others] * bool(others)
    total = covered[-1]

    def to_percent(count: Any) -> Any:
        return count / total * 100

    def to_count(percent: Any) -> Any:
        return percent * total / 100

    axes = canvas.figure.add_subplot()
    rows = range(len(counts))
    colours = [BLUE] * len(bars) + [GREY] * bool(others)
    axes.barh(rows, counts, height=0.7, color=colours)
    axes.plot(covered, rows, color=INK, linewidth=1.4, marker="o", markersize=4)
    axes.axvline(0.8 * total, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, total * 1.02)
    axes.set_xlabel(pareto.counted)
    axes.grid(axis="x")
    label_rows(canvas, axes, names)
    share = axes.secondary_xaxis("top", functions=(to_percent, to_count))
    share.set_xlabel("cumulative share, %")
    share.set_xticks(range(0, 101, 20))
    axes.spines["top"].set_visible(True)
    axes.spines["top"].set_color(PALE)
    figures = [
        (f"{n:,}", f"{100 * n / total:.1f} %", f"{100 * up / total:.1f} %")
        for n, up in zip(counts, covered, strict=True)
    ]
    write_columns(axes, ("n", "share", "cumul."), figures)
