"""Names in a picture: on one line, of characters that the fonts have, and short enough; what was cut is counted."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from testlab_tools.untrusted import sanitize

_LINE_BREAKS = {"\n": "\\n", "\t": "\\t"}
_CHARS_READ = 4_000


@dataclass
class Names:
    """Makes names fit. `can_draw` says whether a font has the character; one that none has is written as `\\u4e2d`."""

    can_draw: Callable[[str], bool]
    shortened: int = 0
    escaped: int = 0

    def fit(self, name: str, columns: int) -> str:
        """The name on one line of at most `columns` columns, cut in its middle: both ends tell names apart."""
        line = self._escape(sanitize(name[:_CHARS_READ]).strip())
        if len(name) <= _CHARS_READ and count_columns(line) <= columns:
            return line
        self.shortened += 1
        begin = _take(line, columns // 2)
        end = _take(line[::-1], columns - 1 - count_columns(begin))[::-1]
        return f"{begin.rstrip()}…{end.lstrip()}"

    def fit_each(self, names: Sequence[str], columns: int) -> list[str]:
        """Names to put beside one another: two that look alike once cut are numbered; an empty one says so."""
        fitted: list[str] = []
        seen: dict[str, int] = {}
        for name in names:
            label = self.fit(name, columns) or "(not told)"
            seen[label] = seen.get(label, 0) + 1
            if seen[label] > 1:
                label = f"{self.fit(label, columns - 5)} ({seen[label]})"
            fitted.append(label)
        return fitted

    def describe(self) -> list[str]:
        """What was done to texts, for the foot of the picture."""
        done = (
            (self.shortened, "shortened (…)"),
            (self.escaped, "with characters that the fonts lack, written as \\u escapes"),
        )
        return [f"{n:,} {'text' if n == 1 else 'texts'} {what}" for n, what in done if n]

    def _escape(self, text: str) -> str:
        line = "".join(_LINE_BREAKS.get(char) or (char if self.can_draw(char) else _to_escape(char)) for char in text)
        self.escaped += any(char not in _LINE_BREAKS and not self.can_draw(char) for char in text)
        return line


def count_columns(text: str) -> int:
    """The width of a text in columns; wide characters, as Chinese ones, take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _take(text: str, columns: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += count_columns(char)
        if taken > columns:
            return text[:place]
    return text


def _to_escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
