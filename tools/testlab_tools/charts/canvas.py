"""The sheet that every picture is drawn on: title, period and filters above, notes below, PNG and SVG out of it.

matplotlib's objects with the Agg renderer, without pyplot. matplotlib is not thread-safe: one picture at a time.
"""

from __future__ import annotations

import io
import textwrap
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from testlab_tools.charts.names import Names
from testlab_tools.extra import require_statistics

WIDTH = 1024
"""Pixels. Clients shrink what is wider."""

DPI = 100
MAX_BYTES = 60 * 1024
"""Of a PNG: what a picture may take of a model's context. One that has much text gets fewer colours."""

_COLOURS = ((128, "MEDIANCUT"), (48, "MAXCOVERAGE"), (24, "MAXCOVERAGE"))

INK, GREY, PALE, GRID = "#1a1a1a", "#595959", "#d9d9d9", "#e6e6e6"
BLUE, SKY, ORANGE, VERMILLION, GREEN, PURPLE = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7"
"""Okabe and Ito, "Color Universal Design": apart for colour-blind readers. What differs has a form of its own, too."""

_MARGIN = 16
_MAX_FILTERS, _MAX_NOTES, _NOTE_COLUMNS = 6, 6, 700
_TITLE: dict[str, Any] = {"fontsize": 15, "fontweight": "bold", "color": INK}
_COUNT: dict[str, Any] = {"fontsize": 10.5, "color": INK}
_FILTERS: dict[str, Any] = {"fontsize": 10.5, "color": GREY}
_NOTES: dict[str, Any] = {"fontsize": 9, "color": GREY}
_ONE_AT_A_TIME = threading.Lock()
_STYLE: dict[str, Any] = {
    "text.parse_math": False,
    "text.color": INK,
    "font.size": 10.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "testlab-mcp",
    "path.simplify": True,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "hatch.color": PALE,
    "hatch.linewidth": 0.8,
}


@dataclass(frozen=True)
class Heading:
    """What a picture says of its data: `n` of what is `counted`, in a period (UTC; None: without that end).

    `filters` are (name, value). `notes` stand below the picture: what was left out, what a reader must know.
    """

    title: str
    n: int
    counted: str = "runs"
    since: datetime | None = None
    until: datetime | None = None
    filters: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A picture twice, the same bytes for the same data: PNG for a model, SVG for a report."""

    png: bytes
    svg: bytes


@dataclass
class Canvas:
    """A figure with its heading. A painter adds axes, has names fitted, and adds to `notes` what it left out."""

    figure: Any
    heading: Heading
    names: Names
    notes: list[str] = field(default_factory=list[str])

    def say(self, message: str) -> None:
        """Write a message where the data would be: there is none."""
        axes = self.figure.add_subplot()
        axes.set_axis_off()
        axes.text(0.5, 0.5, message, ha="center", va="center", fontsize=14, color=GREY, transform=axes.transAxes)


def draw(heading: Heading, height: int, paint: Callable[[Canvas], None]) -> Chart:
    """Draw a picture of WIDTH by `height` px and what its heading takes.

    Raises:
        Unsupported: without matplotlib.
    """
    require_statistics("matplotlib")
    with _ONE_AT_A_TIME, _style():
        from matplotlib.figure import Figure

        from testlab_tools.charts.fonts import can_draw

        canvas = Canvas(Figure(dpi=DPI, facecolor="white", layout="constrained"), heading, Names(can_draw))
        paint(canvas)
        _frame(canvas, height)
        png = _to_png(canvas.figure)
        canvas.figure.set_layout_engine(None)  # it is laid out: once for both
        return Chart(png, _to_svg(canvas.figure))


@contextmanager
def _style() -> Generator[None]:
    """matplotlib's own defaults with _STYLE, whatever the user's matplotlibrc says; as it was, afterwards."""
    import matplotlib

    from testlab_tools.charts.fonts import families

    library: Any = matplotlib
    own = {name: value for name, value in library.rcParamsDefault.items() if "backend" not in name}
    with library.rc_context({**own, **_STYLE, "font.family": families()}):
        yield


def _frame(canvas: Canvas, height: int) -> None:
    """Write heading and notes, and leave the rest of the sheet to the axes."""
    figure, head = canvas.figure, _head_lines(canvas)
    notes = _note_lines(canvas)
    above, below = 48 + 19 * (len(head) - 1), 10 + 16 * len(notes)
    total = above + height + below
    figure.set_size_inches(WIDTH / DPI, total / DPI)
    left, y = _MARGIN / WIDTH, total - _MARGIN
    for line, style in head:
        figure.text(left, y / total, line, ha="left", va="top", **style)
        y -= 30 if style is _TITLE else 19
    for place, line in enumerate(reversed(notes)):
        figure.text(left, (10 + 16 * place) / total, line, ha="left", va="bottom", **_NOTES)
    rect = (8 / WIDTH, below / total, 1 - 20 / WIDTH, height / total)
    figure.get_layout_engine().set(rect=rect, h_pad=0.06, w_pad=0.06)


def _head_lines(canvas: Canvas) -> list[tuple[str, dict[str, Any]]]:
    heading, fit = canvas.heading, canvas.names.fit
    count = f"n = {heading.n:,} {fit(heading.counted, 40)} · {describe_period(heading)}"
    lines = [(_fit_width(canvas, lambda columns: fit(heading.title, columns), 90, _TITLE), _TITLE), (count, _COUNT)]
    if shown := heading.filters[:_MAX_FILTERS]:
        further = len(heading.filters) - len(shown)

        def join(columns: int) -> str:
            share = max(4, columns // len(shown))
            told = [f"{fit(name, share // 3)}: {fit(value, share - share // 3)}" for name, value in shown]
            return " · ".join([*told, f"{further} more filters"] if further else told)

        lines.append((_fit_width(canvas, join, 120, _FILTERS), _FILTERS))
    return lines


def _note_lines(canvas: Canvas) -> list[str]:
    given = [canvas.names.fit(note, _NOTE_COLUMNS).rstrip(".") for note in canvas.heading.notes]
    text = ". ".join(note for note in (*canvas.notes, *canvas.names.describe(), *given) if note)
    wrapped = _fit_width(canvas, lambda columns: "\n".join(textwrap.wrap(text, columns)), 160, _NOTES).splitlines()
    if len(wrapped) <= _MAX_NOTES:
        return wrapped
    return [*wrapped[: _MAX_NOTES - 1], f"{wrapped[_MAX_NOTES - 1][:-20]} … [more notes cut]"]


def _fit_width(canvas: Canvas, write: Callable[[int], str], columns: int, style: dict[str, Any]) -> str:
    """The text of as many columns as fit between the margins, at most `columns`."""
    cut = (canvas.names.shortened, canvas.names.escaped)
    while True:
        canvas.names.shortened, canvas.names.escaped = cut
        text = write(columns)
        width = _measure(canvas.figure, text, style)
        room = WIDTH - 2 * _MARGIN
        if width <= room or columns <= 12:
            return text
        columns = min(columns - 1, int(columns * room / width))


def _measure(figure: Any, text: str, style: dict[str, Any]) -> float:
    """The width of a text in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = figure.text(0, 0, text, **style)
    width = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width
    drawn.remove()
    return width


def describe_period(heading: Heading) -> str:
    """The period of a heading, in UTC."""
    since, until = (f"{t.astimezone(UTC):%Y-%m-%d %H:%M}" if t else "" for t in (heading.since, heading.until))
    if since and until:
        return f"{since} to {until} UTC"
    return f"since {since} UTC" if since else f"until {until} UTC" if until else "all that is held"


def _to_png(figure: Any) -> bytes:
    """The figure in few colours: a third of the bytes, and no difference to see."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height()
    picture = Image.frombuffer("RGBA", size, bytes(canvas.buffer_rgba()), "raw", "RGBA", 0, 1).convert("RGB")
    data = b""
    for colours, method in _COLOURS:
        out = io.BytesIO()
        few = picture.quantize(colours, Image.Quantize[method], dither=Image.Dither.NONE)
        few.save(out, "PNG", optimize=True)
        data = out.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data


def _to_svg(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
