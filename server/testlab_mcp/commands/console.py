"""Text for people at a terminal: tables, colour and progress, plain where there is no terminal (rich)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import StringIO
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from testlab_tools.untrusted import sanitize

_STYLES = {
    "pass": "green",
    "fail": "red",
    "error": "yellow",
    "free": "green",
    "busy": "cyan",
    "bold": "bold",
    "dim": "dim",
}
_PIPED_COLUMNS = 100_000
"""Where there is no terminal nothing is cut: what reads it can."""


def paint(text: str, style: str) -> str:
    """The text in a style, or in that of an outcome or a node's state, if standard output is a terminal."""
    return _render(Text(text, _STYLES.get(style, "")))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], indent: int = 2) -> str:
    """Columns as wide as they need to be, the widest cut with `…` so that a line fits the terminal."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in head:
        made.add_column(Text(title, no_wrap=True, overflow="ellipsis"))
    for row in rows:
        cells = [sanitize(str(cell)).replace("\n", " ") for cell in row]
        made.add_row(*(Text(cell, _STYLES.get(cell, ""), no_wrap=True, overflow="ellipsis") for cell in cells))
    return "\n".join(line.rstrip() for line in _render(Padding(made, (0, 0, 0, indent))).splitlines())


def fits(head: Sequence[str], rows: Sequence[Sequence[object]], indent: int = 2) -> bool:
    """Whether a table needs no cut."""
    columns = zip(head, *rows, strict=True)
    wide = sum(max(cell_len(str(cell)) for cell in column) + 2 for column in columns)
    return indent + wide <= _console(sys.stdout).width


def _render(what: Text | Padding) -> str:
    console = _console(sys.stdout, StringIO())
    with console.capture() as captured:
        console.print(what, end="", soft_wrap=isinstance(what, Text))
    return captured.get()


def _console(stream: TextIO, file: TextIO | None = None) -> Console:
    """A console that writes as `stream` can show it: rich reads NO_COLOR, TERM and the width."""
    is_terminal = stream.isatty()
    width = Console(file=stream).width if is_terminal else _PIPED_COLUMNS
    return Console(file=file or stream, force_terminal=is_terminal, width=width, highlight=False, markup=False)


class ProgressBar:
    """One bar that grows on standard output. Where there is no terminal, a line a change."""

    def __init__(self) -> None:
        self._said = ""
        self._bar: Progress | None = None

    def show(self, done: float, total: float, words: str) -> None:
        """Draw `done` of `total`."""
        words = sanitize(words)
        if not sys.stdout.isatty():
            if words != self._said:
                print(f"  {words}", flush=True)
            self._said = words
            return
        if self._bar is None:
            columns = (TextColumn(" "), BarColumn(30), TextColumn("{task.description}", markup=False))
            self._bar = Progress(*columns, console=_console(sys.stdout), auto_refresh=False)
            self._bar.start()
            self._bar.add_task("")
        self._bar.update(self._bar.task_ids[0], completed=done, total=total or None, description=words, refresh=True)

    def end(self) -> None:
        """Leave the bar as it is and go on below it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
