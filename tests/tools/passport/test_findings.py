"""Gaps, steps out of order and open failures, from histories written down as tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from testlab_tools.models.lab import Outcome, Run
from testlab_tools.passport.compare import find_gaps, find_open_failures, find_out_of_order
from testlab_tools.passport.histories import PeerUnits, TimeSpan, find_peers, group_by_procedure
from testlab_tools.passport.passport import summarise

START = datetime(2026, 11, 1, tzinfo=UTC)
LATER = START + timedelta(days=30)
OUTCOMES: dict[str, Outcome] = {"+": "pass", "-": "fail", "!": "error", "~": "running", "s": "skip"}


def runs_of(unit: str, line: str, begin: float = 0.0) -> list[Run]:
    """`FVT+ EOL-`: a run an hour, named and with its outcome."""
    return [
        Run(
            run_id=f"factory:{unit}/{n}",
            outcome=OUTCOMES[word[-1]],
            test=word[:-1],
            started_at=START + timedelta(hours=begin + n),
            unit=unit,
            part="BOX",
        )
        for n, word in enumerate(line.split())
    ]


def peers(*lines: str) -> PeerUnits:
    return PeerUnits([group_by_procedure(runs_of(f"O{n}", line)) for n, line in enumerate(lines)])


USUAL = ["FVT+ EOL+ EMC+"] * 8


@pytest.mark.parametrize(
    ("line", "beside", "missing"),
    [
        ("FVT+ EOL+ EMC+", USUAL, []),
        ("FVT+ EOL+", USUAL, ["EMC"]),
        ("FVT- FVT-", USUAL, ["EOL", "EMC"]),
        ("fvt+ eol+ emc+", USUAL, []),
        ("FVT+ EOL+", [*USUAL, "FVT+ EOL+", "FVT+ EOL+"], ["EMC"]),
        ("FVT+ EOL+", [*USUAL, *["FVT+ EOL+"] * 3], []),
        ("FVT+ EOL+", [*USUAL, *["FVT+ EOL+ EMC-"] * 3], []),
        ("FVT+ EOL+ EMC-", USUAL, []),
        ("FVT+", USUAL[:5], ["EOL", "EMC"]),
        ("FVT+", USUAL[:4], []),
        ("", USUAL, ["FVT", "EOL", "EMC"]),
    ],
)
def test_a_gap_is_what_four_in_five_others_passed_and_this_one_never_saw(
    line: str, beside: list[str], missing: list[str]
) -> None:
    found = find_gaps(group_by_procedure(runs_of("SN", line)), peers(*beside), "")
    assert [one.test for one in found] == missing
    assert {one.kind for one in found} <= {"gap"}


def test_a_gap_states_how_many_others_it_was_worked_out_from() -> None:
    (gap,) = find_gaps(group_by_procedure(runs_of("SN", "FVT+ EOL+")), peers(*USUAL, "FVT+ EOL+ EMC-"), "PSU-1")
    assert gap.why == "8 of 9 other units of the part passed it, this one has no run of it"
    assert (gap.service, gap.unit) == ("factory", "PSU-1")


def test_there_is_no_gap_in_a_service_whose_runs_were_cut() -> None:
    assert find_gaps(group_by_procedure(runs_of("SN", "FVT+")), peers(*USUAL), "", {"factory"}) == []
    assert find_out_of_order(group_by_procedure(runs_of("SN", "EOL+ FVT+")), peers(*USUAL), "", {"factory"}) == []


@pytest.mark.parametrize(
    ("line", "beside", "early"),
    [
        ("FVT+ EOL+ EMC+", USUAL, []),
        ("EOL+ FVT+ EMC+", USUAL, [("EOL", "FVT")]),
        ("EMC+ FVT+ EOL+", USUAL, [("EMC", "FVT")]),
        ("FVT- EOL+ FVT+ EMC+", USUAL, []),
        ("EOL+ FVT+", [*USUAL, "EOL+ FVT+ EMC+"], []),
        ("EOL+ FVT+", [*["FVT+ EOL+"] * 9, "EOL+ FVT+"], [("EOL", "FVT")]),
        ("EOL+ FVT+", USUAL[:4], []),
        ("EOL+ EXTRA+ FVT+", USUAL, [("EOL", "FVT")]),
    ],
)
def test_out_of_order_is_what_began_before_a_step_that_nine_in_ten_others_began_first(
    line: str, beside: list[str], early: list[tuple[str, str]]
) -> None:
    found = find_out_of_order(group_by_procedure(runs_of("SN", line)), peers(*beside), "")
    assert [(one.test, one.before) for one in found] == early
    assert all(one.run_id == "factory:SN/0" for one in found)


@pytest.mark.parametrize(
    ("line", "still"),
    [("FVT- FVT+", []), ("FVT+ FVT-", ["FVT"]), ("FVT! EOL+", ["FVT"]), ("FVT+ EOL~", ["EOL"]), ("FVT+ EOLs", ["EOL"])],
)
def test_an_open_failure_is_a_procedure_whose_last_outcome_is_not_pass(line: str, still: list[str]) -> None:
    runs = runs_of("SN", line)
    found = find_open_failures(group_by_procedure(runs), "")
    assert [one.test for one in found] == still
    last = {run.test: run.run_id for run in runs}
    assert [one.run_id for one in found] == [last[test] for test in still]


def test_a_procedure_is_summed_up_by_its_first_and_last_run() -> None:
    runs = runs_of("SN", "FVT- FVT! FVT+")
    row = summarise(runs, "")
    assert (row.first, row.last, row.attempts, row.last_run) == ("fail", "pass", 3, "factory:SN/2")
    assert (row.first_at, row.last_at) == (runs[0].started_at, runs[2].started_at)


def many(lines: Sequence[str], apart: float) -> list[Run]:
    return [run for n, line in enumerate(lines) for run in runs_of(f"O{n}", line, begin=n * apart)]


def test_units_that_may_have_begun_before_the_stretch_or_go_on_after_it_are_left_out() -> None:
    runs = many(["FVT+ EOL+ EMC+"] * 14, apart=1)
    begin, end = START + timedelta(hours=3), START + timedelta(hours=12)
    inside = [run for run in runs if begin <= run.started_at <= end]
    found = find_peers([TimeSpan(inside, begin, end)], [], ["factory"], LATER)
    assert [len(history) for history in found.units] == [3, 3, 3]
    assert (found.begin, found.end) == (START + timedelta(hours=6), START + timedelta(hours=10))


def test_the_unit_itself_samples_and_runs_without_a_serial_number_are_no_others() -> None:
    runs = many(["FVT+ EOL+"] * 4, apart=1)
    runs[0].sample = "golden"
    for run in runs[2:4]:
        run.unit = ""
    found = find_peers([TimeSpan(runs)], ["o2"], ["factory"], LATER)
    assert [next(iter(history.values()))[0].unit for history in found.units] == ["O3"]


def test_units_still_on_the_line_are_no_others() -> None:
    runs = many(["FVT+ EOL+ EMC+"] * 6, apart=10)
    now = runs[-1].started_at - timedelta(minutes=30)
    found = find_peers([TimeSpan([run for run in runs if run.started_at < now])], [], ["factory"], now)
    assert len(found.units) == 5
