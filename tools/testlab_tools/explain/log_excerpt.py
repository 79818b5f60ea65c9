"""The lines of a log around the last one that says why a run failed, else the log's end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from testlab_tools.files.logs import LINE_CHARS
from testlab_tools.untrusted import plain

BEFORE = 8
AFTER = 3
TEXT_CHARS = 100
"""How much of a reason is looked for: a log may break the line."""


class ReasonLines:
    """Selects lines of a log by several texts at once, of which the first found in this order counts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._windows = [_Window(text) for text in texts]
        self._end: deque[tuple[int, str]] = deque(maxlen=BEFORE + AFTER + 1)
        self._seen = 0

    def see(self, lines: list[str]) -> None:
        folded = "\n".join(lines).casefold()
        for window in self._windows:
            window.see(lines, folded, self._seen + 1)
        self._seen += len(lines)
        self._end.extend(_number(lines[-(BEFORE + AFTER + 1) :], self._seen))

    @property
    def found(self) -> bool:
        """Whether one of the texts was there."""
        return any(window.at for window in self._windows)

    def shown(self) -> str:
        return self.fit(4_000)

    def fit(self, chars: int) -> str:
        """The lines in at most so many characters, as `grep -n` prints them; those nearest to the match stay."""
        window = next((window for window in self._windows if window.at), None)
        lines, at = (window.lines, window.at) if window else (list(self._end), self._seen)
        kept: dict[int, str] = {}
        for number, text in sorted(lines, key=lambda line: (abs(line[0] - at), line[0])):
            cut = plain(text.replace("\r", " ")).rstrip()
            line = f"{number}{':' if window and number == at else '-'}{cut[: max(80, chars // 4)]}"
            chars -= len(line) + 1
            if chars < 0:
                break
            kept[number] = line
        return "\n".join(kept[number] for number in sorted(kept))


class _Window:
    """The last line that holds a text, at number `at`, with those around it."""

    def __init__(self, text: str) -> None:
        self._text = text.casefold()
        self._before: deque[tuple[int, str]] = deque(maxlen=BEFORE)
        self.lines: list[tuple[int, str]] = []
        self.at = 0

    def see(self, lines: list[str], folded: str, first: int) -> None:
        """`folded` is all of `lines` in lower case, `first` the number of the first of them."""
        if self._text not in folded and not (self.at and first <= self.at + AFTER):
            self._before.extend(_number(lines[-BEFORE:], first + len(lines) - 1))
            return
        for number, line in enumerate(lines, first):
            kept = line[: 2 * LINE_CHARS]
            if self._text in line.casefold():
                self.lines, self.at = [*self._before, (number, kept)], number
            elif self.at and number <= self.at + AFTER:
                self.lines.append((number, kept))
            self._before.append((number, kept))


def _number(lines: Sequence[str], last: int) -> list[tuple[int, str]]:
    return [(number, line[: 2 * LINE_CHARS]) for number, line in enumerate(lines, last - len(lines) + 1)]


def search_texts(reasons: Sequence[str], names: Sequence[str]) -> list[str]:
    """What to look for: the first lines of reasons, then the names of what failed."""
    lines = [next((line.strip() for line in reason.splitlines() if line.strip()), "") for reason in reasons]
    return [text for text in dict.fromkeys(text[:TEXT_CHARS] for text in (*lines, *names)) if len(text) > 3][:6]
