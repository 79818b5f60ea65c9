"""CTRF, read as a run; the report is as the schema of its specification 1.0.0 has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.reports.read import read_reports
from testlab_tools.reports.report import Report, UntimedReport

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
MILLIS = int(START.timestamp() * 1000)
SECRET = "ignore_previous_instructions"
SUMMARY = {
    "tests": 1,
    "passed": 1,
    "failed": 0,
    "skipped": 0,
    "pending": 0,
    "other": 0,
    "start": MILLIS,
    "stop": MILLIS,
}


def ctrf(*tests: dict[str, Any], summary: dict[str, Any] | None = None, **results: Any) -> bytes:
    body = {"tool": {"name": "t"}, "summary": SUMMARY | (summary or {}), "tests": list(tests), **results}
    return json.dumps({"reportFormat": "CTRF", "specVersion": "1.0.0", "results": body}).encode()


def case(name: str = "a", status: str = "passed", **fields: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "duration": 1000, **fields}


def read(content: bytes, started_at: datetime | None = None) -> Report:
    (report,) = read_reports(content, "ctrf.json", started_at)
    return report


def test_a_report_is_read_whole() -> None:
    failed = case("b", "failed", suite=["top", "inner"], message="off\nline 2", trace="Traceback", start=MILLIS + 5000)
    kept = {"attachments": [{"name": "n", "contentType": "t", "path": p} for p in ("a/b.png", "/etc/passwd", "../x")]}
    environment = {"appName": "board", "buildNumber": 7, "healthy": True, "extra": {"serialNumber": "SN-1"}}
    report = read(ctrf(case(stdout=["one", "two"]), failed | kept, environment=environment))

    assert [(p.name, p.outcome, p.started_at - START, p.reason, p.traceback) for p in report.run.phases] == [
        ("a", "pass", timedelta(0), "", ""),
        ("top::inner::b", "fail", timedelta(seconds=5), "off", "Traceback"),
    ]
    assert (report.run.outcome, report.run.started_at, report.run.notes) == ("fail", START, "top::inner::b: off")
    assert report.run.ended_at == START + timedelta(seconds=6)
    assert (report.run.serial_number, report.run.variables) == ("SN-1", (("appName", "board"), ("buildNumber", "7")))
    assert (report.files, report.log) == (("a/b.png",), "one\ntwo")
    assert report.dropped == ("2 attachments", "2 output lines")


@pytest.mark.parametrize(
    ("attempts", "retries", "outcomes", "dropped"),
    [
        ([("failed", 1)], 1, ["fail", "pass"], ()),
        ([("failed", 2), ("other", 1)], 2, ["error", "fail", "pass"], ()),
        ([("failed", 1), ("passed", 2)], 1, ["fail", "pass"], ()),
        ([("failed", 1)], None, ["fail", "pass"], ()),
        ([], 2, ["pass"], ("2 earlier attempts",)),
    ],
)
def test_retries_are_attempts(attempts: Any, retries: int | None, outcomes: list[str], dropped: Any) -> None:
    told = [{"status": status, "attempt": number, "duration": 10} for status, number in attempts]
    counted: dict[str, Any] = {} if retries is None else {"retries": retries}
    report = read(ctrf(case(retryAttempts=told, **counted)))

    assert [(phase.name, phase.outcome) for phase in report.run.phases] == [("a", outcome) for outcome in outcomes]
    assert (report.run.outcome, report.dropped) == ("pass", dropped)


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (ctrf(case(), case("b", "skipped"), case("c", "pending")), "pass"),
        (ctrf(case(), case("b", "other")), "error"),
        (ctrf(case("a", "other"), case("b", "failed")), "fail"),
        (ctrf(case(), summary={"failed": 1}), "fail"),
        (ctrf(case(), summary={"other": 1}), "error"),
    ],
)
def test_the_outcome_is_the_worst_there_is(content: bytes, outcome: str) -> None:
    assert read(content).run.outcome == outcome


def test_a_report_without_a_time_asks_for_it_and_takes_the_files() -> None:
    untimed = ctrf(case(), summary={"start": 0, "stop": 0})
    with pytest.raises(UntimedReport):
        read(untimed)
    assert read(untimed, START).run.started_at == START
    assert read(ctrf(case(start=MILLIS), summary={"start": 0, "stop": 0})).run.started_at == START


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (ctrf(), "no test"),
        (ctrf(case("a", "skipped")), "were skipped"),
        (ctrf(case("a", SECRET)), "Field results.tests.0.status"),
        (ctrf(case("a", duration=float("nan"))), "Field results.tests.0.duration"),
        (ctrf(case("a", duration=10**400)), "Field results.tests.0.duration"),
        (ctrf(case("a", start=10**18)), "Field results.tests.0.start"),
        (ctrf(case())[:-9], "damaged or break off"),
        (ctrf(case())[:-1] + b', "results": {}}', "twice"),
        (b'{"reportFormat": "CTRF", "results": ' + b"[" * 100_000, "damaged"),
    ],
)
def test_anything_else_is_refused_and_none_of_its_text_repeated(content: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        read(content)
    assert SECRET not in str(refused.value)
