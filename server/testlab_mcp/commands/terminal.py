"""Plain text for people at a terminal: tables that fit, a progress bar, colour where there is a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Collection, Sequence

from testlab_tools.untrusted import sanitize

_COLOURS = {"pass": "32", "fail": "31", "error": "33", "free": "32", "busy": "36", "bold": "1", "dim": "2"}


def paint(text: str, style: str) -> str:
    """Coloured, if standard output is a terminal and NO_COLOR is not set."""
    code = _COLOURS.get(style, "")
    if not code or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    indent: int = 2,
    whole: Collection[str] = (),
    piped: int = 110,
) -> str:
    """Columns as wide as they need to be, the widest but those in `whole` cut with `…` so that a line fits the
    terminal, or `piped` columns where there is none."""
    cells = [[sanitize(str(cell)).replace("\n", " ") for cell in row] for row in rows]
    widths = [max([_width(title), *(_width(row[n]) for row in cells)]) for n, title in enumerate(head)]
    room = max(60, shutil.get_terminal_size((piped, 24)).columns) - indent - 2 * (len(head) - 1)
    cut = [n for n, title in enumerate(head) if title not in whole]
    while sum(widths) > room and (widest := max(cut, key=widths.__getitem__, default=-1)) >= 0 and widths[widest] > 8:
        widths[widest] = max(8, widths[widest] - (sum(widths) - room))
    lines = [paint(_line(list(head), widths), "dim"), *(_coloured(row, widths) for row in cells)]
    return "\n".join(" " * indent + line.rstrip() for line in lines)


class ProgressBar:
    """One line that grows. Where there is no terminal, a line a change."""

    def __init__(self, width: int = 30) -> None:
        self._width = width
        self._last = ""

    def show(self, done: float, total: float, words: str) -> None:
        """Draw `done` of `total`."""
        full = round(self._width * done / total) if total else 0
        line = f"  [{'█' * full}{'·' * (self._width - full)}] {sanitize(words)}"
        if line == self._last:
            return
        if sys.stdout.isatty():
            sys.stdout.write(f"\r{line}{' ' * max(0, len(self._last) - len(line))}")
        else:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self._last = line

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if self._last and sys.stdout.isatty():
            sys.stdout.write("\n")


def _coloured(row: list[str], widths: list[int]) -> str:
    parts = [_fit(cell, width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(paint(part, cell) for part, cell in zip(parts, row, strict=True))


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(_fit(cell, width) for cell, width in zip(cells, widths, strict=True))


def _fit(text: str, width: int) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
