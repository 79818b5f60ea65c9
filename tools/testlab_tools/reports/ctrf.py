"""Reads CTRF, the Common Test Report Format (ctrf.io): one JSON file, by its schema of specification 1.0.0."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import NewPhase, NewRun, PhaseOutcome
from testlab_tools.reports.properties import apply_properties
from testlab_tools.reports.report import (
    EPOCH,
    MAX_LOG,
    MAX_MILLIS,
    MAX_TRACEBACK,
    Framework,
    Millis,
    Report,
    Shape,
    UntimedReport,
    check_relative,
    digest,
    format_count,
    make_ref,
    parse_json,
    validate,
)
from testlab_tools.untrusted import sanitize, shorten, shorten_start

_BY = Framework("a CTRF", "CTRF 1.0", "a CTRF reporter")
_OUTCOMES: dict[str, PhaseOutcome] = {
    "passed": "pass",
    "failed": "fail",
    "skipped": "skip",
    "pending": "skip",
    "other": "error",
}
"""`other` is anything else that ended a test: timed out, interrupted, unknown."""

Status = Literal["passed", "failed", "skipped", "pending", "other"]
Span = Annotated[float, Field(ge=0, le=MAX_MILLIS, allow_inf_nan=False)]


class _File(Shape):
    name: str = ""
    path: str = ""


class _Attempt(Shape):
    status: Status
    attempt: int = 1
    duration: Span = 0
    start: Millis = 0
    message: str | None = None
    trace: str | None = None


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Test(Shape):
    """`suite` was one text in earlier versions."""

    name: str = Field(min_length=1)
    status: Status
    duration: Span
    start: Millis = 0
    suite: Annotated[list[str], BeforeValidator(_to_list)] = []
    message: str | None = None
    trace: str | None = None
    retries: int | None = None
    attempts: list[_Attempt] = Field(default=[], alias="retryAttempts")
    stdout: list[str] = []
    stderr: list[str] = []
    attachments: list[_File] = []


class _Summary(Shape):
    start: Millis = 0
    stop: Millis = 0
    failed: int = 0
    other: int = 0


class _Tool(Shape):
    name: str = ""


class _Results(Shape):
    tool: _Tool
    summary: _Summary
    tests: list[_Test]
    environment: dict[str, Any] = {}
    extra: dict[str, Any] = {}


class _Report(Shape):
    results: _Results
    extra: dict[str, Any] = {}


_FIELDS = {n for shape in (_Report, _Results, _Summary, _Test, _Attempt) for n in shape.model_fields}


def read_ctrf(content: bytes, started_at: datetime | None = None) -> Report:
    """Read a report: a test is a phase, `suite::name`; the run fails if one failed, else errs if one ended as `other`.

    CTRF has no unit and no procedure but by the names in `environment` and in `extra`. Tests without a start follow one
    another; a report without any needs `started_at`. Of retries, attempts that are not told are counted in `dropped`.
    `ref` is made from the content.

    Raises:
        BadInput: it is no such report, or has no test that ran. The error quotes nothing of it.
        UntimedReport: it does not say when it ran.
    """
    body = parse_json(content, _BY)
    report = validate(body, _Report, _FIELDS, _BY)
    results = report.results
    summary = results.summary
    begun = EPOCH + timedelta(milliseconds=summary.start) if summary.start else started_at
    begun = begun or min((_to_datetime(test.start) for test in results.tests if test.start), default=None)
    if begun is None:
        raise UntimedReport("The CTRF report does not say when it ran", "", "Give started_at as well.")
    phases = tuple(_to_phases(results.tests, begun))
    outcomes = {_OUTCOMES[test.status] for test in results.tests}
    outcomes |= ({"fail"} if summary.failed > 0 else set()) | ({"error"} if summary.other > 0 else set())
    if not phases or outcomes <= {"skip"}:
        why = "All its tests were skipped" if phases else "It has no test"
        raise BadInput("The CTRF report is of no run that can be recorded", why, "Give the report of a run.")
    ended = max(phase.ended_at for phase in phases)
    told = [f"{phase.name}: {phase.reason}" for phase in phases if phase.reason and phase.outcome != "skip"]
    run = NewRun(
        procedure_id="",
        serial_number="",
        outcome="fail" if "fail" in outcomes else "error" if "error" in outcomes else "pass",
        started_at=min(begun, *(phase.started_at for phase in phases)),
        ended_at=max(ended, _to_datetime(summary.stop)) if summary.stop else ended,
        ref=make_ref("ctrf", digest(body)),
        notes=shorten("\n".join(told)),
        phases=phases,
    )
    outputs = [text for test in results.tests for text in (*test.stdout, *test.stderr)]
    files = tuple(dict.fromkeys(f.path for test in results.tests for f in test.attachments if check_relative(f.path)))
    dropped = (*_list_dropped(results.tests), *format_count(len(outputs), "output line"))
    made = Report(run, dropped, files=files, log=shorten_start("\n".join(outputs), MAX_LOG))
    return apply_properties(made, list(_list_properties(report)))


def _to_phases(tests: list[_Test], clock: datetime) -> Iterator[NewPhase]:
    """The attempts of each test, in order."""
    seen: dict[str, int] = {}
    for test in tests:
        name = "::".join(filter(None, (sanitize(part).strip() for part in (*test.suite, test.name))))
        name = sanitize(test.name).strip() if test.name.startswith("::".join(test.suite)) else name
        count = seen[name] = seen.get(name, 0) + 1
        name = shorten(f"{name} ({count})" if count > 1 else name or "test", 200)
        last = _Attempt(
            status=test.status, duration=test.duration, start=test.start, message=test.message, trace=test.trace
        )
        for attempt in (*_list_earlier(test), last):
            begun = _to_datetime(attempt.start) if attempt.start else clock
            clock = begun + timedelta(milliseconds=attempt.duration)
            outcome = _OUTCOMES[attempt.status]
            reason = "" if outcome == "pass" else (attempt.message or "").strip().partition("\n")[0]
            trace = "" if outcome == "pass" else attempt.trace or ""
            yield NewPhase(name, outcome, begun, clock, (), shorten(reason, 500), shorten_start(trace, MAX_TRACEBACK))


def _list_earlier(test: _Test) -> list[_Attempt]:
    """The attempts before the one that counts, which some writers list again at the end."""
    attempts = sorted(test.attempts, key=lambda attempt: attempt.attempt)
    return attempts if test.retries is None else attempts[: max(test.retries, 0)]


def _list_dropped(tests: list[_Test]) -> Iterator[str]:
    untold = sum(max((test.retries or 0) - len(_list_earlier(test)), 0) for test in tests)
    yield from format_count(untold, "earlier attempt")
    yield from format_count(sum(not check_relative(f.path) for test in tests for f in test.attachments), "attachment")


def _list_properties(report: _Report) -> Iterator[tuple[str, str]]:
    """Names with texts and numbers."""
    environment = report.results.environment
    extra = environment.get("extra")
    within = cast("dict[Any, Any]", extra) if isinstance(extra, dict) else {}
    for source in (report.extra, report.results.extra, within, environment):
        for name, value in source.items():
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                yield str(name), str(value)


def _to_datetime(millis: int) -> datetime:
    return EPOCH + timedelta(milliseconds=millis)
