"""Phases as TofuPilot records them, one per attempt, become cases: a retried phase counts once."""

from __future__ import annotations

from typing import Any

import pytest

from testlab_tools.adapters.tofupilot.cases import cases
from testlab_tools.adapters.tofupilot.models import PhaseRow
from testlab_tools.adapters.tofupilot.v1_models import V1Phase
from testlab_tools.models.lab import Case


def phase(name: str, outcome: str, second: int = 0, **fields: Any) -> PhaseRow:
    started = f"2026-11-20T08:00:{second:02}Z"
    return PhaseRow.model_validate({"name": name, "outcome": outcome, "started_at": started, **fields})


def measurement(**fields: Any) -> dict[str, Any]:
    return {"name": "rail_5v", "outcome": "FAIL", "measured_value": 5.31, "units": "V", **fields}


def between(lower: float, upper: float) -> list[dict[str, Any]]:
    return [{"operator": ">=", "expected_value": lower}, {"operator": "<=", "expected_value": upper}]


def case_of(*measurements: dict[str, Any], outcome: str = "FAIL") -> Case:
    (case,) = cases([phase("p", outcome, measurements=list(measurements))])
    return case


def shown(*phases: PhaseRow | V1Phase) -> list[tuple[str, str, int]]:
    return [(case.case, case.outcome, case.attempts) for case in cases(phases)]


def test_a_retried_phase_counts_once_with_its_last_attempt() -> None:
    flashed = [phase("flash", "FAIL", 1), phase("flash", "FAIL", 2, retry_count=1), phase("flash", "PASS", 3)]

    assert shown(phase("power", "PASS"), *flashed, phase("sweep", "FAIL", 9)) == [
        ("power", "pass", 1),
        ("flash", "pass", 3),
        ("sweep", "fail", 1),
    ]


def test_attempts_are_put_in_order_of_time_whatever_order_they_come_in() -> None:
    assert shown(phase("flash", "PASS", 3), phase("power", "PASS"), phase("flash", "FAIL", 1)) == [
        ("power", "pass", 1),
        ("flash", "pass", 2),
    ]


def test_attempts_of_the_same_moment_are_told_apart_by_their_retry_count() -> None:
    assert shown(phase("flash", "PASS", 1, retry_count=1), phase("flash", "FAIL", 1, retry_count=0)) == [
        ("flash", "pass", 2)
    ]


def test_phases_of_one_name_in_two_sequences_are_two_cases() -> None:
    left, right = phase("power", "FAIL", 1, sequence_path="left"), phase("power", "PASS", 2, sequence_path="right")

    assert shown(left, right) == [("power", "fail", 1), ("power", "pass", 1)]


def test_a_case_has_the_measurements_of_its_last_attempt() -> None:
    first = phase("flash", "FAIL", 1, measurements=[measurement(measured_value=9)])
    last = phase("flash", "FAIL", 2, measurements=[measurement(measured_value=5.31)])
    (case,) = cases([first, last])

    assert [m.value for m in case.measurements] == [5.31]


@pytest.mark.parametrize(
    ("written", "ours"), [("PASS", "pass"), ("FAIL", "fail"), ("ERROR", "error"), ("SKIP", "skip")]
)
def test_every_outcome_has_one_of_ours(written: str, ours: str) -> None:
    assert shown(phase("p", written)) == [("p", ours, 1)]


def test_a_run_without_phases_has_no_cases() -> None:
    assert cases([]) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"validators": between(4.85, 5.15)}, "rail_5v 5.31 V is above 5.15 V"),
        ({"validators": between(4.85, 5.15), "measured_value": 4.7}, "rail_5v 4.7 V is below 4.85 V"),
        ({"validators": between(4.85, 5.15), "units": None}, "rail_5v 5.31 is above 5.15"),
        ({"measured_value": "1.4.1", "units": None, "validators": [{"operator": "==", "expected_value": "1.4.2"}]},
         "rail_5v is 1.4.1, expected 1.4.2"),
        ({"measured_value": "x", "validators": [{"operator": "matches", "expected_value": "^y"}], "units": ""},
         "rail_5v is x, expected matches /^y/"),
        ({"measured_value": False, "units": None}, "rail_5v is False"),
        ({"measured_value": None, "validators": between(1, 2)}, "rail_5v is None V"),
        ({"validators": None}, "rail_5v is 5.31 V"),
    ],
)  # fmt: skip
def test_the_reason_says_the_value_beside_the_limit_it_broke(fields: dict[str, Any], reason: str) -> None:
    assert case_of(measurement(**fields)).reason == reason


def test_the_reason_names_every_failing_measurement_and_no_other() -> None:
    case = case_of(measurement(), measurement(name="ok", outcome="PASS"), measurement(name="current", units="A"))

    assert case.reason == "rail_5v is 5.31 V; current is 5.31 A"
    assert len(case.measurements) == 3


@pytest.mark.parametrize(
    ("validators", "limits"),
    [
        (between(4.85, 5.15), (4.85, 5.15, "")),
        ([{"operator": "==", "expected_value": 3}], (3, 3, "")),
        ([{"operator": "in", "expected_value": ["a", "b"]}], (None, None, "in ['a', 'b']")),
        ([{"expression": "4.85 <= x <= 5.15"}], (4.85, 5.15, "")),
        ([{"operator": None, "expected_value": None, "expression": "len(x) > 3"}], (None, None, "len(x) > 3")),
        ([{"outcome": "UNSET"}], (None, None, "")),
        (None, (None, None, "")),
    ],
)
def test_limits_are_read_from_validators(validators: Any, limits: tuple[float | None, float | None, str]) -> None:
    (m,) = case_of(measurement(validators=validators)).measurements

    assert (m.lower, m.upper, m.expected) == limits


def test_text_of_a_phase_is_made_plain() -> None:
    (case,) = cases([phase("\x1b[31mpower\u202e", "FAIL", measurements=[measurement(units="V\x07")])])

    assert case.case == "power"
    assert case.reason == "rail_5v is 5.31 V"


def v1_phase(name: str, outcome: str, **fields: Any) -> V1Phase:
    return V1Phase.model_validate({"name": name, "outcome": outcome, **fields})


def test_phases_of_v1_without_times_keep_their_order() -> None:
    assert shown(v1_phase("power", "PASS"), v1_phase("flash", "FAIL"), v1_phase("flash", "PASS")) == [
        ("power", "pass", 1),
        ("flash", "pass", 2),
    ]


@pytest.mark.parametrize("names", [("lowerLimit", "upperLimit"), ("lower_limit", "upper_limit")])
def test_limits_of_v1_are_read_in_both_its_spellings(names: tuple[str, str]) -> None:
    row = {"name": "rail", "outcome": "FAIL", "measured_value": 5.31, names[0]: 4.85, names[1]: 5.15}
    (case,) = cases([v1_phase("power", "FAIL", measurements=[row])])

    assert case.reason == "rail 5.31 is above 5.15"
