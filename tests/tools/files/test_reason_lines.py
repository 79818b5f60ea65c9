"""The lines of a log that tell of a failure, however the log comes in."""

from __future__ import annotations

import pytest

from testlab_tools.files.logs import AFTER, BEFORE, ReasonLines, search_texts

LOG = [f"line {n}" for n in range(1, 101)]


def read(clues: ReasonLines, lines: list[str], at_once: int) -> ReasonLines:
    for start in range(0, len(lines), at_once):
        clues.see(lines[start : start + at_once])
    return clues


@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_the_lines_around_the_last_match_are_shown_whatever_the_chunks(at_once: int) -> None:
    log = [*LOG]
    log[29] = "No Video"
    log[59] = "later: no video again"
    shown = read(ReasonLines(["no video"]), log, at_once).fit(4_000).splitlines()
    numbers = [int(line.split("-" if ":" not in line else ":")[0]) for line in shown]
    assert numbers == list(range(60 - BEFORE, 60 + AFTER + 1))
    assert [line for line in shown if line.startswith("60:")] == ["60:later: no video again"]


@pytest.mark.parametrize("at_once", [1, 9, 100])
def test_the_first_text_that_is_there_counts_and_without_one_the_logs_end(at_once: int) -> None:
    clues = read(ReasonLines(["nowhere", "line 40", "line 80"]), LOG, at_once)
    assert clues.found
    assert "40:line 40" in clues.fit(4_000).splitlines()
    none = read(ReasonLines(["nowhere"]), LOG, at_once)
    assert not none.found
    assert none.fit(4_000).splitlines()[-1] == "100-line 100"
    assert len(none.fit(4_000).splitlines()) == BEFORE + AFTER + 1


def test_what_does_not_fit_is_left_out_from_the_far_ends() -> None:
    clues = read(ReasonLines(["line 50"]), LOG, 10)
    shown = clues.fit(50).splitlines()
    assert "50:line 50" in shown
    assert sum(len(line) + 1 for line in shown) <= 50
    assert {abs(int(line[:2]) - 50) for line in shown} <= {0, 1, 2}


def test_lines_without_end_are_cut_and_made_plain() -> None:
    clues = read(ReasonLines(["boom"]), ["\x1b[31mboom\u202e" + "x" * 90_000], 1)
    assert clues.fit(1_000).startswith("1:boomx")
    assert len(clues.fit(1_000)) <= 1_000


def test_the_reasons_first_lines_are_looked_for_then_the_names_of_what_failed() -> None:
    assert search_texts(["\n  No video\nmore", "", "No video"], ["tests/a.py::b", "x"]) == ["No video", "tests/a.py::b"]
    assert search_texts(["r" * 500], []) == ["r" * 100]
