"""HardPy's reports, read as runs. The samples were written by HardPy 0.25.2."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewMeasurement
from testlab_tools.reports.hardpy import read_hardpy
from testlab_tools.reports.report import Report

SAMPLES = Path(__file__).parents[2] / "samples" / "hardpy"
FAILED, PASSED = (
    SAMPLES / f"01a1fc19-{rest}.json" for rest in ("e47b-7476-8f25-c753fce1e79b", "eafc-77bc-b880-2752ac180681")
)
SECRET = "ignore_previous_instructions"


def changed(change: Callable[[dict[str, Any]], object] = lambda report: None, **fields: object) -> bytes:
    report = {**json.loads(FAILED.read_bytes()), **fields}
    change(report)
    return json.dumps(report).encode()


def measured(**fields: object) -> NewMeasurement:
    """The measurement of the case `test_rail`, with these fields in place of those it has."""

    def change(report: dict[str, Any]) -> None:
        report["modules"]["test_1_power"]["cases"]["test_rail"]["measurements"][0].update(fields)

    return read_hardpy(changed(change)).run.phases[1].measurements[0]


def of_case(**fields: object) -> Report:
    return read_hardpy(changed(lambda r: r["modules"]["test_1_power"]["cases"]["test_rail"].update(fields)))


def test_a_report_is_read_whole() -> None:
    run = read_hardpy(FAILED.read_bytes()).run

    assert (run.serial_number, run.part_number, run.part_name) == ("SN-0001", "PCB-100", "Main board")
    assert (run.procedure_id, run.outcome, run.batch_number) == ("Final test", "fail", "LOT-42")
    assert run.started_at == datetime(2026, 11, 21, 3, 15, 16, tzinfo=UTC)
    assert run.ended_at - run.started_at == timedelta(seconds=1)
    assert [(p.name, p.outcome) for p in run.phases] == [
        ("Power: Identify DUT", "pass"),
        ("Power: 5 V rail", "fail"),
        ("Power: Leakage", "pass"),
    ]
    assert run.variables == (("test_stand", "FCT-01"), ("dut_firmware", "1.4.2"))


def test_a_measurement_that_hardpy_did_not_judge_is_compared_with_its_limits() -> None:
    failed, passed = (read_hardpy(path.read_bytes()).run.phases[1].measurements[0] for path in (FAILED, PASSED))

    assert failed == NewMeasurement("rail_5v", "fail", 5.31, "V", 4.75, 5.25)
    assert passed == NewMeasurement("rail_5v", "pass", 5.02, "V", 4.75, 5.25)


@pytest.mark.parametrize(
    ("fields", "outcome", "limits"),
    [
        ({"result": True, "operation": "gele"}, "pass", (4.75, 5.25, "")),
        ({"result": False, "operation": "gtlt"}, "fail", (None, None, "4.75 < x < 5.25")),
        ({"result": True, "operation": "ltgt"}, "pass", (None, None, "x < 4.75 or x > 5.25")),
        ({"result": True, "operation": "ge", "comparison_value": 5}, "pass", (5.0, None, "")),
        ({"result": True, "operation": "le", "comparison_value": 6}, "pass", (None, 6.0, "")),
        ({"result": False, "operation": "eq", "comparison_value": 5}, "fail", (5.0, 5.0, "")),
        (
            {"result": True, "operation": "eq", "comparison_value": "1.4.2", "value": "1.4.2"},
            "pass",
            (None, None, "1.4.2"),
        ),
        ({"result": False, "operation": "ne", "comparison_value": 0}, "fail", (None, None, "x != 0")),
        ({"value": None}, "unset", (4.75, 5.25, "")),
        ({"value": "n/a"}, "unset", (4.75, 5.25, "")),
        ({"lower_limit": None, "upper_limit": None}, "pass", (None, None, "")),
        ({"lower_limit": float("-inf"), "upper_limit": 6}, "pass", (None, 6.0, "")),
        ({"result": False, "operation": "gtlt", "lower_limit": None, "upper_limit": 120}, "fail", (None, 120.0, "")),
    ],
)
def test_every_comparison_has_its_limits(fields: dict[str, object], outcome: str, limits: tuple[object, ...]) -> None:
    m = measured(**fields)

    assert (m.outcome, (m.lower, m.upper, m.expected)) == (outcome, limits)


def test_a_measurement_without_a_name_is_numbered() -> None:
    assert measured(name=None).name == "measurement 1"


def test_attempts_and_assertions_are_told_in_the_notes_and_what_is_lost_is_said() -> None:
    report = read_hardpy(FAILED.read_bytes())

    assert report.run.notes == (
        "Power: 5 V rail: AssertionError: rail_5v 5.31 V out of 4.75..5.25\nassert 5.31 <= 5.25\n"
        "Power: 5 V rail: 2 attempts, of which HardPy keeps the last"
    )
    assert report.dropped == ("1 earlier attempt", "1 message", "the test stand but its name")
    assert read_hardpy(changed(error_code=17)).run.notes.startswith("Error code 17\n")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("passed", "pass"), ("FAILED", "fail"), ("error", "error"), ("stopped", "stopped")],
)
def test_every_outcome_of_hardpy_has_one_of_ours(status: str, outcome: str) -> None:
    assert read_hardpy(changed(status=status)).run.outcome == outcome


@pytest.mark.parametrize(
    ("status", "outcome"), [("stopped", "error"), ("run", "error"), ("ready", "skip"), ("skipped", "skip")]
)
def test_a_case_that_did_not_end_is_no_pass(status: str, outcome: str) -> None:
    assert of_case(status=status, start_time=None, stop_time=None).run.phases[1].outcome == outcome


def test_a_case_without_times_stands_where_the_one_before_it_ended() -> None:
    phases = of_case(start_time=None, stop_time=None).run.phases

    assert phases[1].started_at == phases[1].ended_at == phases[0].ended_at


def test_cases_named_alike_stay_apart() -> None:
    def change(report: dict[str, Any]) -> None:
        for case in report["modules"]["test_1_power"]["cases"].values():
            case["name"] = "Check"

    names = [phase.name for phase in read_hardpy(changed(change)).run.phases]

    assert names == ["Power: Check", "Power: Check (test_1_power::test_rail)", "Power: Check (test_1_power::test_leak)"]


def test_the_same_report_has_one_ref_on_disk_and_in_the_database() -> None:
    body = json.loads(FAILED.read_bytes())
    stored = {**body, "_id": body.pop("id"), "_rev": "7-ab"}
    del stored["id"], stored["rev"]

    assert read_hardpy(json.dumps(stored).encode()).run == read_hardpy(FAILED.read_bytes()).run
    assert read_hardpy(FAILED.read_bytes()).run.ref != read_hardpy(PASSED.read_bytes()).run.ref


def test_what_the_report_does_not_name_is_missing() -> None:
    nameless = {"serial_number": None, "part_number": None}

    assert read_hardpy(changed(dut=nameless)).missing == ["serial_number"]
    assert read_hardpy(changed(dut=nameless, process={}, name=None)).missing == ["serial_number", "procedure_id"]
    assert read_hardpy(changed(process={"name": None})).run.procedure_id == "hardpy_gen"


def test_sub_units_are_those_with_a_serial_number() -> None:
    dut = {"serial_number": "A", "sub_units": [{"serial_number": "B"}, {"serial_number": None}, {"serial_number": "C"}]}

    assert read_hardpy(changed(dut=dut)).run.sub_units == ("B", "C")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (SECRET.encode(), "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (FAILED.read_bytes()[:700], "not JSON"),
        (b"[]", "not a HardPy report"),
        (json.dumps({SECRET: SECRET}).encode(), "Field status is missing"),
        (changed(status=SECRET), "Field status is not what"),
        (changed(start_time=-1), "Field start_time is not what"),
        (changed(stop_time=1e300), "Field stop_time is not what"),
        (changed(modules={SECRET: {"cases": {SECRET: {"status": SECRET}}}}), "modules.cases.status is not what"),
        (changed(status="run"), "had not ended"),
        (changed(status="ready"), "had not ended"),
        (changed(status="skipped"), "Every case was skipped"),
    ],
)
def test_anything_else_is_refused_and_none_of_its_text_repeated(content: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        read_hardpy(content)
    assert refused.value.why
    assert refused.value.next_step
    assert SECRET not in str(refused.value)
