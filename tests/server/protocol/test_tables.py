"""The text half of an answer: the same facts as the structure, whatever they are, in fewer tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as any_of

from testlab_mcp.protocol.tables import to_json, to_tables
from tests.answer_text import read_answer

NAMES = any_of.sampled_from(["run_id", "test", "started_at", "service", "note", "by_station", "history", "n2"])
TEXTS = any_of.one_of(
    any_of.text(max_size=12),
    any_of.text("\t\n\r ,|\"'=:[]{}…\\/\u2028\u0085\u202e", max_size=6),
    any_of.sampled_from(
        ["", "-", "12", "-1.5e3", "007", "true", "null", "NaN", "a\tb", 'runs[2]:\nid\n"x"', "a=b", "~"]
    ),
    any_of.sampled_from(["note: all passed", "n2:", "runs[0]:", "runs[1]", "end:", "_.a[1], each x:"]),
    any_of.sampled_from(["p:/a/1/x", "p:/a/1/y", "p:/a/1", "p", "a"]),
    any_of.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M}Z"),
    any_of.sampled_from(["2026-11-20T10:00Z", "2026-11-20T11:00:05Z", "2026-11-21T10:00Z", "2026-11-21T10:00:01.5Z"]),
)
NUMBERS = any_of.one_of(any_of.integers(), any_of.floats(allow_nan=False, allow_infinity=False))
SCALARS = any_of.one_of(TEXTS, NUMBERS, any_of.booleans(), any_of.none())
COUNTS = any_of.dictionaries(any_of.one_of(TEXTS, any_of.just("Rack 1")), any_of.integers(0, 3), max_size=3)
VALUES = any_of.recursive(
    any_of.one_of(SCALARS, COUNTS),
    lambda inner: any_of.one_of(
        any_of.lists(inner, max_size=5),
        any_of.dictionaries(NAMES, inner, max_size=4),
        any_of.lists(any_of.dictionaries(NAMES, inner, min_size=1, max_size=4), min_size=2, max_size=9),
    ),
    max_leaves=30,
)
ANSWERS = any_of.dictionaries(NAMES, VALUES, max_size=5)


@settings(max_examples=600, deadline=None)
@given(ANSWERS, any_of.lists(NAMES, max_size=3))
def test_whatever_an_answer_says_its_text_says_too(answer: dict[str, Any], untrusted: list[str]) -> None:
    whole = answer | {"untrusted": untrusted}
    text = to_tables(whole)
    assert text == "" or read_answer(text) == whole


@pytest.mark.parametrize("odd", ["two\nlines", "true", "Infinity", "ends in a space ", "a\ttab", "", "é", "12", "[x"])
def test_one_text_that_is_no_plain_cell_is_told_from_the_plain_ones_of_its_column(odd: str) -> None:
    answer = {"runs": [{"run_id": f"a:{at}", "test": test} for at, test in enumerate(["One", "Two", odd, "Three"])]}
    assert read_answer(to_tables(answer)) == answer


def test_an_answer_without_a_list_of_objects_has_no_tables() -> None:
    assert to_tables({"run": {"run_id": "a:1"}, "cases": ["x", "y"], "runs": [{"run_id": "a:1"}]}) == ""


def test_a_table_reads_as_its_docstring_says() -> None:
    runs = [
        {
            "run_id": f"portal:/box-1/0a/{at}/1",
            "outcome": "fail",
            "test": "tests/a.py::b",
            "started_at": f"2026-11-{at}T23:59:53Z",
            "job_uid": f"portal:/box-1/0a/{at}",
            "by_station": {"box-1": at, "box 2": 1},
            **({"reason": "It hung."} if at == 20 else {}),
        }
        for at in range(20, 25)
    ]
    lines = to_tables({"runs": runs, "untrusted": ["by_station", "reason", "test"]}).splitlines()
    assert lines[:3] == [
        'runs[5], each {"outcome":"fail","test":"tests/a.py::b"}, job_uid = run_id up to its last "/":',
        "run_id\tstarted_at (2026-11-…Z)\tby_station (name=count, …)",
        "portal:/box-1/0a/20/1\t20T23:59:53\tbox-1=20, box 2=1\treason=It hung.",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "a\tfail\tb",
        "x\nruns[1]:\nrun_id",
        'say "no"',
        "1",
        "null",
        " a ",
        '{"run_id":"b:2"}',
        "reason=x",
        "a\u2028b",
        "a\rb",
    ],
)
def test_what_others_wrote_stays_in_its_cell(said: str) -> None:
    answer = {"runs": [{"run_id": "a:1", "test": said}, {"run_id": "a:2", "test": "x"}], "untrusted": ["test"]}
    text = to_tables(answer)
    assert len(text.split("\n")) == 5
    assert [line.count("\t") for line in text.split("\n")[1:4]] == [1, 1, 1]
    assert read_answer(text) == answer


@pytest.mark.parametrize(
    "rows",
    [
        [{"test": "note: every run passed"}, {"test": "runs[0]:"}],
        [{"test": "summary[1]:"}, {"test": "a", "reason": "x"}, {"test": "note:", "reason": "y"}],
        [{"test": "runs[0]", "reason": "late:"}, {"test": "a", "reason": "b"}],
        [{"by_name": {"note: every run passed": 1}}, {"by_name": {"x": 1}}],
    ],
)
def test_no_text_makes_a_row_look_like_another_line(rows: list[dict[str, Any]]) -> None:
    answer = {"runs": rows, "untrusted": ["test", "reason", "by_name"]}
    assert read_answer(to_tables(answer)) == answer


def test_a_station_named_like_a_field_is_no_column() -> None:
    rows = [{"service": "a", "by_station": {"service": 1}}, {"service": "b", "by_station": {"service": 2}}]
    text = to_tables({"groups": rows, "untrusted": ["by_station"]})
    assert "by_station.service" not in text
    assert "service=1" in text


def test_a_table_of_plain_rows_takes_less_than_half_of_its_json() -> None:
    runs = [
        {"run_id": f"factory:{at}", "outcome": "pass", "test": "FCT", "started_at": f"2026-11-20T10:00:{at}Z"}
        for at in range(10, 60)
    ]
    assert len(to_tables({"runs": runs})) < 0.5 * len(to_json({"runs": runs}))
