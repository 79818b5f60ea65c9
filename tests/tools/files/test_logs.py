"""Logs are read once, in any pieces, and only the lines to show are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from testlab_tools.files.logs import LINE_KEPT, SHOWN_CHARS, LineSelector, LogReading, Matches, Splitter, Tail, read_log

LOG = "".join(f"{n} {'Match' if n in (3, 4, 20, 60) else 'line'} ü\n" for n in range(1, 61))


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(data: bytes, lens: LineSelector, size: int = 1000) -> LogReading:
    return await read_log(pieces(data, size), lens, seconds=5)


def numbers(shown: str) -> list[str]:
    return [line.split(" ")[0].rstrip("0123456789") or line for line in shown.split("\n")]


@pytest.mark.parametrize("size", [1, 2, 3, 50, 10_000])
async def test_lines_are_the_same_however_the_log_is_cut(size: int) -> None:
    tail, matches = Tail(2), Matches("MATCH Ü", 1)
    reading = await read(LOG.encode(), tail, size)
    await read(LOG.encode(), matches, size)

    assert (reading.lines, reading.bytes, reading.whole) == (60, len(LOG.encode()), True)
    assert tail.shown() == "59:59 line ü\n60:60 Match ü"
    assert matches.count == 4
    assert matches.shown().split("\n") == [
        "2-2 line ü",
        "3:3 Match ü",
        "4:4 Match ü",
        "5-5 line ü",
        "--",
        "19-19 line ü",
        "20:20 Match ü",
        "21-21 line ü",
        "--",
        "59-59 line ü",
        "60:60 Match ü",
    ]


@pytest.mark.parametrize("context", [0, 1, 5, 20])
async def test_every_line_around_a_match_is_shown_once(context: int) -> None:
    matches = Matches("match", context)
    await read(LOG.encode(), matches, 37)

    hits = (3, 4, 20, 60)
    near = sorted({n for hit in hits for n in range(hit - context, hit + context + 1) if 1 <= n <= 60})
    shown = [line for line in matches.shown().split("\n") if line != "--"]
    assert [line.partition(" ")[0] for line in shown] == [f"{n}{':' if n in hits else '-'}{n}" for n in near]


async def test_a_last_line_without_a_line_break_counts() -> None:
    tail = Tail(5)

    assert (await read(b"one\ntwo", tail)).lines == 2
    assert tail.shown() == "1:one\n2:two"


async def test_an_empty_log_has_no_lines() -> None:
    tail = Tail(5)

    assert (await read(b"", tail)).lines == 0
    assert tail.shown() == ""


def test_bytes_that_are_no_utf_8_are_replaced_and_lines_kept() -> None:
    split = Splitter()

    assert split.feed(b"a\xffb\n\xc3") == ["a\ufffdb"]
    assert split.feed(b"\xbc\n") == ["ü"]
    assert split.end() == []


def test_of_a_line_without_end_only_the_beginning_is_kept() -> None:
    split = Splitter()
    for _ in range(50):
        assert split.feed(b"x" * 10_000) == []

    assert split.end() == ["x" * LINE_KEPT]


async def test_what_is_shown_is_bounded_and_keeps_both_ends() -> None:
    matches, tail = Matches("hit", 3), Tail(1000)
    log = b"".join(b"hit %d %s\n" % (n, b"y" * 300) for n in range(1, 2001))
    await read(log, matches)
    await read(log, tail)

    for shown in (matches.shown(), tail.shown()):
        assert SHOWN_CHARS - 1000 < len(shown) <= SHOWN_CHARS + 10
        assert shown.split("\n")[-1].startswith("2000:hit 2000")
    assert matches.shown().startswith("1:hit 1 ")
    assert matches.shown().count("\n--\n") == 1
    assert matches.count == 2000


async def test_reading_ends_when_its_time_is_over_and_says_so() -> None:
    async def stalls() -> AsyncIterator[bytes]:
        yield b"one\ntwo\nthr"
        await asyncio.Event().wait()

    tail = Tail(5)
    reading = await read_log(stalls(), tail, seconds=0.05)

    assert (reading.whole, reading.lines) == (False, 2)
    assert tail.shown() == "1:one\n2:two"
