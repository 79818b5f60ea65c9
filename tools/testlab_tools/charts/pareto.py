"""Pareto chart: causes by how often they occurred, with the line of their cumulative share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testlab_tools.charts.canvas import BLUE, GREY, INK, PALE, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import count_pixels, label_rows, write_columns

MAX_BARS = 25


@dataclass(frozen=True)
class ParetoBar:
    """One cause and its count."""

    name: str
    count: int


@dataclass(frozen=True)
class Pareto:
    """Causes, in any order. `counted` is what the counts are of; `further` is the count of causes not named."""

    heading: Heading
    bars: Sequence[ParetoBar]
    counted: str = "failures"
    further: int = 0


def draw_pareto(pareto: Pareto) -> Chart:
    """Draw the causes, the most frequent on top; beyond MAX_BARS the rest is one bar."""
    bars = sorted(pareto.bars, key=lambda bar: (-bar.count, bar.name))
    shown, rest = bars[:MAX_BARS], bars[MAX_BARS:]
    others = sum(bar.count for bar in rest) + pareto.further

    def paint(canvas: Canvas) -> None:
        if not shown and not others:
            canvas.say(f"No {pareto.counted} in this period")
            return
        _paint_bars(canvas, shown, others, pareto.counted)
        if rest:
            canvas.notes.append(f"Others: {len(rest):,} further causes with {others:,} {pareto.counted}")

    count = len(shown) + bool(others)
    return draw(pareto.heading, 110 + count_pixels(count), paint)


def _paint_bars(canvas: Canvas, bars: Sequence[ParetoBar], others: int, counted: str) -> None:
    names = [bar.name for bar in bars] + ["others"] * bool(others)
    counts = [bar.count for bar in bars] + [others] * bool(others)
    total = sum(counts)
    running = [sum(counts[: place + 1]) for place in range(len(counts))]

    def to_percent(count: Any) -> Any:
        return count / total * 100

    def to_count(percent: Any) -> Any:
        return percent * total / 100

    axes = canvas.figure.add_subplot()
    rows = range(len(counts))
    colours = [BLUE] * len(bars) + [GREY] * bool(others)
    axes.barh(rows, counts, height=0.7, color=colours)
    axes.plot(running, rows, color=INK, linewidth=1.4, marker="o", markersize=4)
    axes.axvline(0.8 * total, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, total * 1.02)
    axes.set_xlabel(counted)
    axes.grid(axis="x")
    label_rows(canvas, axes, names)
    share = axes.secondary_xaxis("top", functions=(to_percent, to_count))
    share.set_xlabel("cumulative share, %")
    share.set_xticks(range(0, 101, 20))
    axes.spines["top"].set_visible(True)
    axes.spines["top"].set_color(PALE)
    figures = [
        (f"{n:,}", f"{100 * n / total:.1f} %", f"{100 * up / total:.1f} %")
        for n, up in zip(counts, running, strict=True)
    ]
    write_columns(axes, ("n", "share", "cumul."), figures)
