"""OpenHTF's reports, read as runs. The samples were written by OpenHTF 1.6.3."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.reports.openhtf import read_openhtf, read_openhtf_run

SAMPLES = Path(__file__).parents[2] / "samples"
LOT = sorted((SAMPLES / "openhtf_lot").glob("*.json"))


def read(name: str) -> NewRun:
    return read_openhtf_run((SAMPLES / "openhtf_lot" / name).read_bytes())


def changed(**fields: object) -> bytes:
    report = json.loads((SAMPLES / "openhtf_lot" / "SN-0000.1.json").read_bytes())
    return json.dumps({**report, **fields}).encode()


def measured(**fields: object) -> NewMeasurement:
    """One measurement, read from a report that has only this one."""
    measurement = {"name": "m", "outcome": "PASS", "measured_value": 1, **fields}
    phase = {
        "name": "p",
        "outcome": "PASS",
        "start_time_millis": 1,
        "end_time_millis": 2,
        "measurements": {"m": measurement},
    }
    return read_openhtf_run(changed(phases=[phase])).phases[0].measurements[0]


def first(phases: tuple[NewPhase, ...], name: str) -> NewPhase:
    return next(phase for phase in phases if phase.name == name)


@pytest.fixture(scope="module")
def validators() -> dict[str, NewMeasurement]:
    """The measurements of the sample that has every validator, by name."""
    run = read_openhtf_run((SAMPLES / "openhtf_validators" / "report.json").read_bytes())
    return {m.name: m for m in first(run.phases, "measure").measurements}


def test_a_report_is_read_whole() -> None:
    run = read("SN-0000.1.json")

    assert (run.serial_number, run.procedure_id, run.outcome) == ("SN-0000", "FVT1", "pass")
    assert (run.part_number, run.revision, run.batch_number) == ("PCB-100", "B", "LOT-42")
    assert run.procedure_version == "2.1.0"
    assert run.notes == ""
    assert run.sub_units == ()
    assert run.started_at == datetime(2026, 11, 21, 3, 7, 58, 970000, tzinfo=UTC)
    assert run.ended_at - run.started_at == timedelta(milliseconds=6)


def test_the_lot_has_the_outcomes_openhtf_gave_it() -> None:
    assert len(LOT) == 14
    assert {path.name: read(path.name).outcome for path in LOT if read(path.name).outcome != "pass"} == {
        "SN-0004.1.json": "fail",
        "SN-0005.1.json": "error",
        "SN-0005.2.json": "error",
    }


@pytest.mark.parametrize(
    ("written", "ours"),
    [("PASS", "pass"), ("FAIL", "fail"), ("ERROR", "error"), ("TIMEOUT", "error"), ("ABORTED", "stopped")],
)
def test_every_outcome_of_openhtf_has_one_of_ours(written: str, ours: str) -> None:
    assert read_openhtf_run(changed(outcome=written)).outcome == ours


def test_a_timeout_is_told_in_the_notes_because_the_outcome_cannot() -> None:
    assert read_openhtf_run(changed(outcome="TIMEOUT")).notes == "Timed out"


def test_outcome_details_become_notes() -> None:
    assert read("SN-0005.1.json").notes == "RuntimeError: DMM not responding on GPIB0::22"


def test_notes_are_stripped_of_what_acts_on_a_terminal() -> None:
    details = [{"code": "\x1b[31mRuntimeError\x1b[0m", "description": "hid\u200bden"}, {"code": 7, "description": ""}]

    assert read_openhtf_run(changed(outcome_details=details)).notes == "RuntimeError: hidden\n7"


def test_the_trigger_phase_is_dropped_and_no_other() -> None:
    assert [phase.name for phase in read("SN-0000.1.json").phases] == [
        "power_rails",
        "flash_firmware",
        "sweep",
        "calibrate",
    ]


def test_a_phase_of_the_tests_own_that_is_called_trigger_phase_is_kept() -> None:
    phase = {"outcome": "PASS", "start_time_millis": 1, "end_time_millis": 2}
    run = read_openhtf_run(changed(phases=[{**phase, "name": "power"}, {**phase, "name": "trigger_phase"}]))

    assert [phase.name for phase in run.phases] == ["power", "trigger_phase"]


def test_every_attempt_of_a_phase_is_kept_in_order() -> None:
    phases = read("SN-0001.1.json").phases

    assert [(p.name, p.outcome) for p in phases if p.name == "flash_firmware"] == [
        ("flash_firmware", "fail"),
        ("flash_firmware", "pass"),
    ]
    assert [p.measurements[0].value for p in phases if p.name == "flash_firmware"] == ["1.4.1", "1.4.2"]
    assert phases[1].started_at <= phases[1].ended_at <= phases[2].started_at


def test_the_same_phase_in_two_subtests_is_not_a_retry() -> None:
    run = read_openhtf_run((SAMPLES / "openhtf_validators" / "report.json").read_bytes())

    assert [(p.name, p.outcome) for p in run.phases[1:]] == [
        ("skipped", "skip"),
        ("repeated", "skip"),
        ("repeated", "skip"),
        ("repeated", "pass"),
        ("left: inside", "pass"),
        ("right: inside", "pass"),
    ]


def test_measurements_have_value_units_and_limits() -> None:
    rail, _, current = first(read("SN-0000.1.json").phases, "power_rails").measurements

    assert (rail.name, rail.outcome, rail.units, rail.lower, rail.upper) == ("rail_5v", "pass", "V", 4.85, 5.15)
    assert isinstance(rail.value, float)
    assert (current.units, current.lower, current.upper, current.expected) == ("A", None, 0.12, "")


def test_a_measurement_with_dimensions_keeps_its_points() -> None:
    (gain,) = first(read("SN-0005.1.json").phases, "sweep").measurements

    assert gain == NewMeasurement("gain", "pass", [[100, -3.064], [1000, -3.132], [10000, -2.456]], "dB")


@pytest.mark.parametrize(
    ("name", "lower", "upper", "expected"),
    [
        ("within_percent", 4.5, 5.5, ""),
        ("within_percent_marginal", 4.5, 5.5, ""),
        ("equals_number", 3, 3, ""),
        ("equals_text", None, None, "rev B-1.4_ü"),
        ("equals_tuple", None, None, "(1, 2)"),
        ("equals_flag", None, None, "True"),
        ("matches_regex", None, None, r"matches /^\d+$/"),
        ("all_in_range", 1, 5, ""),
        ("all_equal", 3, 3, ""),
        ("custom", None, None, "accepted by accepts"),
        ("custom_failed", 0, 5, "accepted by accepts"),
        ("two_ranges", 2, 5, ""),
        ("minimum", 1, None, ""),
        ("tiny", 1e-9, 1e-7, ""),
        ("never_set", 1, 2, ""),
        ("pivot", None, None, "All values pass: 0 <= x <= 5"),
        ("consistent_end", None, None, "Once pass, rest must also pass: 0 <= x <= 5"),
    ],
)
def test_every_validator_of_openhtf_is_read(
    validators: dict[str, NewMeasurement], name: str, lower: float | None, upper: float | None, expected: str
) -> None:
    m = validators[name]

    assert (m.lower, m.upper, m.expected) == (lower, upper, expected)


@pytest.mark.parametrize(
    ("name", "outcome", "value"),
    [
        ("custom_failed", "fail", 1),
        ("never_set", "unset", None),
        ("infinite", "pass", "inf"),
        ("not_a_number", "pass", "nan"),
        ("falsy", "pass", 0),
        ("empty", "pass", ""),
        ("equals_flag", "pass", True),
        ("pivot", "pass", [[100, 1, 3], [200, 1, 4]]),
    ],
)
def test_values_and_outcomes_are_kept_as_openhtf_judged_them(
    validators: dict[str, NewMeasurement], name: str, outcome: str, value: object
) -> None:
    m = validators[name]

    assert (m.outcome, m.value, type(m.value)) == (outcome, value, type(value))


@pytest.mark.parametrize("written", ["PARTIALLY_SET", "SKIPPED"])
def test_a_measurement_openhtf_did_not_judge_is_unset(written: str) -> None:
    assert measured(outcome=written).outcome == "unset"


def test_a_limit_that_holds_only_with_a_diagnosis_is_told_as_text() -> None:
    m = measured(validators=["0 <= x <= 5"], conditional_validators=[{"result": "HOT", "validator": "2 <= x <= 5"}])

    assert (m.lower, m.upper, m.expected) == (0, 5, "if HOT: 2 <= x <= 5")


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_json_does_not_know_are_read_as_text(written: str) -> None:
    content = changed().replace(b'"measured_value": "1.4.2"', f'"measured_value": {written}'.encode())
    (firmware,) = first(read_openhtf_run(content).phases, "flash_firmware").measurements

    assert firmware.value == {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(written, written)


@pytest.mark.parametrize(
    ("metadata", "procedure"),
    [
        ({"procedure_id": "FVT1", "procedure_name": "Function", "test_name": "t"}, "FVT1"),
        ({"procedure_id": None, "procedure_name": "Function", "test_name": "t"}, "Function"),
        ({"test_name": "t"}, "t"),
        ({"procedure_id": 17}, "17"),
    ],
)
def test_the_procedure_is_the_most_exact_name_there_is(metadata: dict[str, object], procedure: str) -> None:
    assert read_openhtf_run(changed(metadata=metadata)).procedure_id == procedure


def test_the_version_of_the_procedure_goes_before_that_of_the_test() -> None:
    metadata = {"test_name": "t", "test_version": "1", "procedure_version": "2"}

    assert read_openhtf_run(changed(metadata=metadata)).procedure_version == "2"


def test_the_same_report_has_the_same_ref_however_it_is_indented() -> None:
    content = (SAMPLES / "openhtf_lot" / "SN-0000.1.json").read_bytes()

    assert read_openhtf_run(content).ref == read_openhtf_run(content).ref
    assert read_openhtf_run(json.dumps(json.loads(content)).encode()).ref == read_openhtf_run(content).ref
    assert (
        read_openhtf_run(json.dumps(json.loads(content), sort_keys=True).encode()).ref == read_openhtf_run(content).ref
    )
    assert read_openhtf_run(b"\xef\xbb\xbf" + content).ref == read_openhtf_run(content).ref


def test_every_report_has_a_ref_of_its_own() -> None:
    assert len({read(path.name).ref for path in LOT}) == 14


def test_a_clock_set_back_during_the_test_gives_no_negative_length() -> None:
    run = read_openhtf_run(changed(start_time_millis=2_000, end_time_millis=1_000))

    assert run.ended_at == run.started_at


SECRET = "ignore_previous_instructions"


def _without(field: str) -> bytes:
    report = json.loads(changed())
    del report[field]
    return json.dumps(report).encode()


def _with_phase(**fields: Any) -> bytes:
    phase = {"name": "p", "outcome": "PASS", "start_time_millis": 1, "end_time_millis": 2, **fields}
    return changed(phases=[phase])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (SECRET.encode(), "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"dut_id": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b"[]", "not an OpenHTF report"),
        (b"null", "not an OpenHTF report"),
        (json.dumps({SECRET: SECRET}).encode(), "Field dut_id is missing"),
        (_without("phases"), "Field phases is missing"),
        (_without("outcome"), "Field outcome is missing"),
        (changed(outcome=SECRET), "Field outcome is not what"),
        (changed(outcome=None), "Field outcome is not what"),
        (changed(start_time_millis=10**20), "Field start_time_millis is not what"),
        (changed(dut_id=None), "no serial number"),
        (changed(dut_id=" "), "no serial number"),
        (changed(dut_id="UNKNOWN_DUT"), "no serial number"),
        (changed(metadata={SECRET: SECRET}), "names no procedure"),
        (_with_phase(outcome=SECRET), "Field phases.0.outcome is not what"),
        (_with_phase(measurements={SECRET: {"name": "m", "outcome": SECRET}}), "phases.0.measurements.outcome is not"),
        (_with_phase(measurements={SECRET: {"name": SECRET}}), "Field phases.0.measurements.outcome is missing"),
    ],
)
def test_anything_else_is_refused_with_what_why_and_next_step_and_without_its_text(content: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        read_openhtf_run(content)

    error = refused.value
    assert error.what
    assert error.why
    assert error.next_step
    assert SECRET not in str(error)


def test_log_records_are_the_log_and_what_is_none_is_left_out() -> None:
    records = [
        {"level": 30, "source": "rail.py", "lineno": 9, "timestamp_millis": 1_795_230_478_970, "message": "5.31 V"},
        {"level": 30, "timestamp_millis": 10**30, "message": "never"},
        "text",
    ]
    report = read_openhtf(changed(log_records=records))

    assert report.log == "2026-11-21T03:07:58.970Z WARNING rail.py:9 5.31 V"
    assert "3 log records" in report.dropped
