"""Heatmap of a rate by two groupings, as pass rate by test and node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testlab_tools.charts.canvas import GREY, INK, Canvas, Chart, Heading, draw
from testlab_tools.charts.rows import NAME_COLUMNS, choose_font_size, count_pixels

MAX_ROWS, MAX_COLUMNS = 50, 30
EMPTY = "#ececec"
_STEPS = 20
_ALL_ROWS_PX = 720
_MAX_WRITTEN = 16
"""Columns in which a rate still fits."""


@dataclass(frozen=True)
class Heatmap:
    """Rates from 0 to 1, None where nothing ran: `rates[row][column]`. `row` and `column` name the groupings."""

    heading: Heading
    row: str
    column: str
    rows: Sequence[str]
    columns: Sequence[str]
    rates: Sequence[Sequence[float | None]]
    metric: str = "Pass rate"


def draw_heatmap(heatmap: Heatmap) -> Chart:
    """Draw at most MAX_ROWS by MAX_COLUMNS cells, coloured by rate; a cell where nothing ran stays pale."""
    rows, columns = heatmap.rows[:MAX_ROWS], heatmap.columns[:MAX_COLUMNS]

    def paint(canvas: Canvas) -> None:
        if not any(rate is not None for line in heatmap.rates for rate in line):
            canvas.say(f"No {heatmap.heading.counted} in this period")
            return
        _paint_cells(canvas, heatmap, rows, columns)
        for kind, drawn, all_of in ((heatmap.row, rows, heatmap.rows), (heatmap.column, columns, heatmap.columns)):
            if left_out := len(all_of) - len(drawn):
                canvas.notes.append(f"{left_out:,} of {len(all_of):,} ({canvas.names.fit(kind, 30)}) are not drawn")

    return draw(heatmap.heading, 190 + min(count_pixels(max(len(rows), 5)), _ALL_ROWS_PX), paint)


def _paint_cells(canvas: Canvas, heatmap: Heatmap, rows: Sequence[str], columns: Sequence[str]) -> None:
    nan = float("nan")
    cells = [
        [nan if (rate := heatmap.rates[y][x]) is None else 100 * rate for x in range(len(columns))]
        for y in range(len(rows))
    ]
    from matplotlib import colormaps

    size = choose_font_size(len(rows))
    axes = canvas.figure.add_subplot()
    axes.set_facecolor(EMPTY)
    colours = colormaps["cividis"].resampled(_STEPS)
    mesh = axes.pcolormesh(cells, cmap=colours, vmin=0, vmax=100, edgecolors="white", linewidth=1)
    axes.set_yticks([y + 0.5 for y in range(len(rows))], canvas.names.fit_each(rows, NAME_COLUMNS), fontsize=size)
    labels = canvas.names.fit_each(columns, 24)
    axes.set_xticks([x + 0.5 for x in range(len(columns))], labels, **_turn(labels))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_xlabel(canvas.names.fit(heatmap.column, 30))
    corner: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "bottom", "annotation_clip": False}
    axes.annotate(canvas.names.fit(heatmap.row, 24), (0, 1), (-6, 5), "axes fraction", color=GREY, **corner)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = canvas.figure.colorbar(mesh, ax=axes, pad=0.015, fraction=0.03, aspect=25)
    bar.set_label(f"{heatmap.metric}, %")
    bar.outline.set_edgecolor(GREY)
    canvas.notes.append("Pale: nothing ran there")
    if len(columns) <= _MAX_WRITTEN:
        _write_rates(axes, cells)


def _turn(labels: Sequence[str]) -> dict[str, Any]:
    """How to write the names above the columns: across, slanted where they are long, upright where they are many."""
    if max(map(len, labels)) * len(labels) <= 80:
        return {}
    if len(labels) <= _MAX_WRITTEN:
        return {"rotation": 45, "ha": "left", "rotation_mode": "anchor"}
    return {"rotation": 90, "fontsize": 9}


def _write_rates(axes: Any, cells: Sequence[Sequence[float]]) -> None:
    for y, line in enumerate(cells):
        for x, rate in enumerate(line):
            if rate == rate:
                colour = "white" if rate < 50 else INK
                axes.text(x + 0.5, y + 0.5, f"{rate:.0f}", ha="center", va="center", fontsize=9, color=colour)
