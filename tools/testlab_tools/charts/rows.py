"""Axes with a row for each name, and figures in columns to the right of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testlab_tools.charts.canvas import GREY, Canvas

NAME_COLUMNS = 44
_COLUMN_POINTS = 46
_ROW_PX, _ALL_ROWS_PX = 23, 800
_MIN_ROWS = 3


def count_pixels(rows: int) -> int:
    """The height of so many rows: less for each when they are many, so that a picture is not higher than it is wide."""
    return min(_ROW_PX * max(rows, _MIN_ROWS), _ALL_ROWS_PX)


def choose_font_size(rows: int) -> float:
    """The size of a row's text in points."""
    return 10.5 if rows * _ROW_PX <= _ALL_ROWS_PX else 9


def label_rows(canvas: Canvas, axes: Any, names: Sequence[str], group: str = "") -> None:
    """Name the rows 0, 1, … from the top; `group`, what they are, stands above their names."""
    labels = canvas.names.fit_each(names, NAME_COLUMNS)
    axes.set_yticks(range(len(labels)), labels, fontsize=choose_font_size(len(labels)))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(labels), _MIN_ROWS) - 0.4, -0.6)
    if group:
        _annotate(axes, canvas.names.fit(group, 24), (0, 1), (-6, 5), "axes fraction", va="bottom", color=GREY)


def write_columns(axes: Any, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write figures beside the rows, right-aligned below their heads."""
    size = choose_font_size(len(rows)) - 1
    for nth, head in enumerate(heads, 1):
        x = nth * _COLUMN_POINTS
        _annotate(axes, head, (1, 1), (x, 5), "axes fraction", va="bottom", color=GREY)
        for y, row in enumerate(rows):
            _annotate(axes, row[nth - 1], (1, y), (x, 0), ("axes fraction", "data"), va="center", fontsize=size)


def _annotate(axes: Any, text: str, at: Any, offset: Any, where: Any, *, fontsize: float = 9.5, **style: Any) -> None:
    style |= {"textcoords": "offset points", "ha": "right", "annotation_clip": False, "fontsize": fontsize}
    axes.annotate(text, at, offset, where, **style)
