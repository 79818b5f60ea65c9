"""Reads a log of any size once, from front to back, and keeps only the lines to show: the last ones, those around
matches, or those around the reason of a failure.

A search is for plain text in any case, not for a pattern, so its time depends on the log's length alone.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from testlab_tools.untrusted import sanitize

LINE_CHARS = 500
"""Shown of a longer line."""

LINE_KEPT = 100_000
"""Searched of a longer line, to bound memory when a log has no line breaks."""

SHOWN_CHARS = 16_000
"""Shown of a log in all: some 6,000 tokens."""


class LineSelector(Protocol):
    """Selects the lines to show."""

    def see(self, lines: list[str]) -> None:
        """Take in the next lines."""


@dataclass
class LogReading:
    """The result of reading a log; `whole` is false when time ran out, `certain` is false when the log may have been
    cut unnoticed."""

    lines: int = 0
    bytes: int = 0
    whole: bool = True
    certain: bool = True


async def read_log(chunks: AsyncIterator[bytes], selector: LineSelector, seconds: float) -> LogReading:
    """Pass every line to `selector`, for so many seconds.

    Bytes that are not UTF-8 become U+FFFD; the last line may lack its line break.
    """
    reading, split = LogReading(), Splitter()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                reading.bytes += len(chunk)
                _show(split.feed(chunk), selector, reading)
                await asyncio.sleep(0)
    except TimeoutError:
        reading.whole = False
    else:
        _show(split.end(), selector, reading)
    return reading


def _show(lines: list[str], selector: LineSelector, reading: LogReading) -> None:
    reading.lines += len(lines)
    selector.see(lines)


class Splitter:
    """Splits bytes into lines without their line breaks; of a line longer than LINE_KEPT, the beginning is kept."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that end in this chunk."""
        *lines, rest = self._decoder.decode(chunk).split("\n")
        if lines:
            lines[0] = self._rest + lines[0]
            self._rest = rest[:LINE_KEPT]
        else:
            self._rest = (self._rest + rest)[:LINE_KEPT]
        return lines

    def end(self) -> list[str]:
        """The line that the log ends with, if it has no line break."""
        last = self._rest + self._decoder.decode(b"", final=True)
        return [last] if last else []


class Tail:
    """The last lines."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lines: deque[str] = deque(maxlen=count)
        self._seen = 0

    def see(self, lines: list[str]) -> None:
        self._seen += len(lines)
        self._lines.extend(line[: 2 * LINE_CHARS] for line in lines[-self._count :])

    def shown(self) -> str:
        """The lines, as `grep -n` prints them."""
        first = self._seen - len(self._lines) + 1
        ends, left = list[str](), SHOWN_CHARS
        for number, text in zip(range(self._seen, first - 1, -1), reversed(self._lines), strict=True):
            line = _format_line(number, ":", text)
            left -= len(line) + 1
            if left < 0:
                break
            ends.append(line)
        return "\n".join(reversed(ends))


class Matches:
    """The lines that contain a text, in any case, with `context` lines around each; `count` counts all of them.

    Of too many, the first and the last are shown; with `last`, only so many from the end.
    """

    def __init__(self, text: str, context: int, last: int = 0) -> None:
        self._text = text.casefold()
        self._context = context
        self._before: deque[str] = deque(maxlen=context)
        self._after = 0
        self._seen = 0
        self._shown = Ends(SHOWN_CHARS)
        self._last = last
        self._latest: deque[Ends] = deque([self._shown], maxlen=last or 1)
        self.count = 0

    def see(self, lines: list[str]) -> None:
        found = self._contains("\n".join(lines))
        if found or self._after:
            for number, line in enumerate(lines, self._seen + 1):
                self._look(number, line, found and self._contains(line))
        else:
            self._before.extend(lines[-self._context :] if self._context else ())
        self._seen += len(lines)

    def shown(self) -> str:
        """The lines, as `grep -n` prints them."""
        return Ends.join(self._latest).render()

    def _contains(self, text: str) -> bool:
        return self._text in text.casefold()

    def _look(self, number: int, line: str, found: bool) -> None:
        if found:
            self.count += 1
            if self._last:
                self._shown = Ends(SHOWN_CHARS)
                self._latest.append(self._shown)
            for n, earlier in enumerate(self._before, number - len(self._before)):
                self._shown.add(n, "-", earlier)
            self._before.clear()
            self._shown.add(number, ":", line)
            self._after = self._context
        elif self._after:
            self._after -= 1
            self._shown.add(number, "-", line)
        else:
            self._before.append(line)


class Ends:
    """Numbered lines; of too many, the first and the last are kept."""

    def __init__(self, most_chars: int) -> None:
        self._half = most_chars // 2
        self._first: list[tuple[int, str]] = []
        self._last: deque[tuple[int, str]] = deque()
        self._first_size = self._last_size = 0

    def add(self, number: int, mark: str, text: str) -> None:
        """Add a line, with `:` or `-` after its number."""
        self._keep(number, _format_line(number, mark, text))

    def _keep(self, number: int, line: str) -> None:
        size = len(line) + 1
        if not self._last and self._first_size + size <= self._half:
            self._first.append((number, line))
            self._first_size += size
            return
        self._last.append((number, line))
        self._last_size += size
        while self._last_size > self._half:
            self._last_size -= len(self._last.popleft()[1]) + 1

    @classmethod
    def join(cls, parts: Iterable[Ends]) -> Ends:
        """The lines of all, in order."""
        joined = cls(SHOWN_CHARS)
        for part in parts:
            for number, line in (*part._first, *part._last):
                joined._keep(number, line)
        return joined

    def render(self) -> str:
        """The lines, with `--` between those that do not follow each other."""
        shown: list[str] = []
        previous = 0
        for number, line in (*self._first, *self._last):
            if shown and number != previous + 1:
                shown.append("--")
            shown.append(line)
            previous = number
        return "\n".join(shown)


def _format_line(number: int, mark: str, text: str) -> str:
    text = sanitize(text[: 2 * LINE_CHARS].replace("\r", " ")).rstrip()
    return f"{number}{mark}{text}" if len(text) <= LINE_CHARS else f"{number}{mark}{text[:LINE_CHARS]}… [line cut]"


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

    def fit(self, chars: int) -> str:
        """The lines in at most so many characters, as `grep -n` prints them; those nearest to the match stay."""
        window = next((window for window in self._windows if window.at), None)
        lines, at = (window.lines, window.at) if window else (list(self._end), self._seen)
        kept: dict[int, str] = {}
        for number, text in sorted(lines, key=lambda line: (abs(line[0] - at), line[0])):
            cut = sanitize(text.replace("\r", " ")).rstrip()
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
