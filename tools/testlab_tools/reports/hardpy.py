"""Reads HardPy's report: the JSON of a `ResultRunStore`, as HardPy 0.25 writes it to disk or to its database."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator

from testlab_tools.errors import BadInput
from testlab_tools.limits import Limits
from testlab_tools.models.requests import MeasurementOutcome, NewMeasurement, NewPhase, NewRun, PhaseOutcome, RunOutcome
from testlab_tools.reports.report import (
    EPOCH,
    Framework,
    Report,
    Seconds,
    Shape,
    digest,
    format_count,
    make_ref,
    parse_json,
    validate,
)
from testlab_tools.untrusted import sanitize, shorten


def _drop_infinite(limit: float | None) -> float | None:
    return limit if limit is not None and math.isfinite(limit) else None


Limit = Annotated[float | None, AfterValidator(_drop_infinite)]
"""An infinite limit is none."""


class Measured(Shape):
    """`result` is null where HardPy was given no `operation`."""

    name: str | None = None
    operation: str | None = None
    result: bool | None = None
    value: Any = None
    unit: str | None = None
    comparison_value: Any = None
    lower_limit: Limit = None
    upper_limit: Limit = None


_RANGES = {
    "gtlt": "{} < x < {}",
    "gelt": "{} <= x < {}",
    "gtle": "{} < x <= {}",
    "ltgt": "x < {} or x > {}",
    "lege": "x <= {} or x >= {}",
    "legt": "x <= {} or x > {}",
    "ltge": "x < {} or x >= {}",
}
_SIGNS = {"ne": "!=", "gt": ">", "lt": "<"}


def to_measurement(m: Measured, number: int) -> NewMeasurement:
    """A measurement as services take it; without a name, it is named by its `number` within the case."""
    limits = _to_limits(m)
    name = shorten((m.name or "").strip()) or f"measurement {number}"
    return NewMeasurement(
        name, _to_outcome(m, limits), m.value, m.unit or "", limits.lower, limits.upper, shorten(limits.expected)
    )


def _to_limits(m: Measured) -> Limits:
    """The limits of a `ComparisonOperation`; one that is strict, or not a range, is kept as text."""
    operation, wanted = (m.operation or "").casefold(), m.comparison_value
    number = float(wanted) if isinstance(wanted, int | float) and not isinstance(wanted, bool) else None
    match operation:
        case "eq":
            return Limits(expected=str(wanted)) if number is None else Limits(number, number)
        case "ge":
            return Limits(lower=number)
        case "le":
            return Limits(upper=number)
        case operation if operation in _SIGNS:
            return Limits(expected=f"x {_SIGNS[operation]} {wanted}")
        case operation if operation in _RANGES and None not in (m.lower_limit, m.upper_limit):
            return Limits(expected=_RANGES[operation].format(m.lower_limit, m.upper_limit))
        case _:
            return Limits(m.lower_limit, m.upper_limit)


def _to_outcome(m: Measured, limits: Limits) -> MeasurementOutcome:
    if m.result is not None:
        return "pass" if m.result else "fail"
    if m.value is None:
        return "unset"
    if limits == Limits():
        return "pass"
    kept = limits.allow(m.value)
    return "unset" if kept is None else "pass" if kept else "fail"


_BY = Framework("a HardPy", "HardPy 0.25", "HardPy's JSON storage or CouchDB loader")

_RUN: dict[str, RunOutcome] = {"passed": "pass", "failed": "fail", "error": "error", "stopped": "stopped"}
_CASE: dict[str, PhaseOutcome] = {
    "passed": "pass",
    "failed": "fail",
    "error": "error",
    "stopped": "error",
    "run": "error",
    "skipped": "skip",
    "ready": "skip",
}


def _casefold(value: object) -> object:
    return value.casefold() if isinstance(value, str) else value


Status = Annotated[
    Literal["passed", "failed", "skipped", "error", "stopped", "run", "ready"], BeforeValidator(_casefold)
]
"""`ready`: not begun; `run`: begun and not ended."""


class _Case(Shape):
    status: Status
    start_time: Seconds | None = None
    stop_time: Seconds | None = None
    name: str | None = None
    assertion_msg: str | None = None
    msg: dict[str, Any] | None = None
    measurements: list[Measured] = []
    chart: dict[str, Any] | None = None
    attempt: int | None = None
    artifact: dict[str, Any] | None = None


class _Module(Shape):
    name: str | None = None
    cases: dict[str, _Case] = {}


class _Unit(Shape):
    serial_number: str | None = None


class _Dut(_Unit):
    name: str | None = None
    part_number: str | None = None
    revision: str | None = None
    sub_units: list[_Unit] | None = None
    info: dict[str, Any] | None = None


class _Named(Shape):
    name: str | None = None


class _Report(Shape):
    status: Status
    start_time: Seconds
    stop_time: Seconds
    name: str | None = None
    dut: _Dut
    process: _Named | None = None
    test_stand: _Named | None = None
    modules: dict[str, _Module]
    batch_serial_number: str | None = None
    error_code: int | str | None = None


_FIELDS = {n for s in (_Report, _Dut, _Named, _Module, _Case, Measured) for n in s.model_fields}


def read_hardpy(content: bytes) -> Report:
    """Read a report.

    The procedure is the process' name, else the project's. A case is a phase, `module: case`. HardPy keeps only the
    data of a case's last attempt, and the number of attempts, which goes to the notes with the assertions' messages and
    the error code. `dut.info` and the stand's name become variables. A measurement that HardPy has not judged (`result`
    null) is compared with its limits.

    `ref` is made from the content, whether it has `id` and `rev` as on disk or `_id` and `_rev` as in the database.

    Raises:
        BadInput: it is no such report, or of a run that has not ended or tested nothing; the error quotes none of it.
    """
    body = parse_json(content, _BY)
    report = validate(body, _Report, _FIELDS, _BY)
    if report.status not in _RUN:
        raise BadInput(
            "The HardPy report is of no run that can be recorded",
            "Every case was skipped" if report.status == "skipped" else "The run had not ended when it was written",
            "Give the report of a finished run.",
        )
    started = _to_datetime(report.start_time)
    cases = list(_name_cases(report))
    run = NewRun(
        procedure_id=_to_text(report.process.name if report.process else None) or _to_text(report.name),
        serial_number=_to_text(report.dut.serial_number),
        outcome=_RUN[report.status],
        started_at=started,
        ended_at=max(started, _to_datetime(report.stop_time)),
        ref=make_ref("hardpy", digest(_strip_revision(body))),
        part_number=_to_text(report.dut.part_number),
        part_name=_to_text(report.dut.name),
        revision=_to_text(report.dut.revision),
        batch_number=_to_text(report.batch_serial_number) or _to_text((report.dut.info or {}).get("batch_number")),
        notes=shorten("\n".join(_collect_notes(report, cases))),
        phases=tuple(_to_phases(cases, started)),
        sub_units=tuple(filter(None, (_to_text(unit.serial_number) for unit in report.dut.sub_units or ()))),
        variables=tuple(_collect_variables(report)),
    )
    return Report(run, tuple(_list_dropped([case for _, case in cases])))


def _strip_revision(body: object) -> object:
    """The report without its revision, which the database changes at each save, and its id under one name."""
    fields = dict(cast(dict[str, object], body))
    for key in ("rev", "_rev"):
        fields.pop(key, None)
    if "_id" in fields:
        fields["id"] = fields.pop("_id")
    return fields


def _name_cases(report: _Report) -> Iterator[tuple[str, _Case]]:
    """Each case with the name of its phase; cases of the same name are distinguished by their keys."""
    seen: set[str] = set()
    for module_key, module in report.modules.items():
        for key, case in module.cases.items():
            name = f"{_to_text(module.name) or sanitize(module_key)}: {_to_text(case.name) or sanitize(key)}"
            name = f"{name} ({sanitize(module_key)}::{sanitize(key)})" if name in seen else name
            seen.add(name)
            yield shorten(name), case


def _to_phases(cases: list[tuple[str, _Case]], clock: datetime) -> Iterator[NewPhase]:
    """The phases. A case that was not begun has no times, and gets the end of the case before it."""
    for name, case in cases:
        begun = clock if case.start_time is None else _to_datetime(case.start_time)
        clock = begun if case.stop_time is None else max(begun, _to_datetime(case.stop_time))
        measured = tuple(to_measurement(m, n) for n, m in enumerate(case.measurements, 1))
        yield NewPhase(name, _CASE[case.status], begun, clock, measured)


def _collect_notes(report: _Report, cases: list[tuple[str, _Case]]) -> Iterator[str]:
    if report.error_code is not None:
        yield f"Error code {report.error_code}"
    for name, case in cases:
        if case.assertion_msg and case.status != "passed":
            yield f"{name}: {case.assertion_msg.strip()}"
        if (case.attempt or 1) > 1:
            yield f"{name}: {case.attempt} attempts, of which HardPy keeps the last"


def _list_dropped(cases: list[_Case]) -> Iterator[str]:
    yield from format_count(sum(max((case.attempt or 1) - 1, 0) for case in cases), "earlier attempt")
    yield from format_count(sum(len(case.msg or ()) for case in cases), "message")
    yield from format_count(sum(bool(case.chart) for case in cases), "chart")
    yield from format_count(sum(bool(case.artifact) for case in cases), "artifact")
    yield "the test stand but its name"


def _collect_variables(report: _Report) -> Iterator[tuple[str, str]]:
    """The texts and numbers of `dut.info`, and the name of the test stand."""
    if stand := _to_text(report.test_stand.name if report.test_stand else None):
        yield "test_stand", stand
    for key, value in (report.dut.info or {}).items():
        if key != "batch_number" and (text := _to_text(value)):
            yield f"dut_{shorten(key, 60)}", text


def _to_datetime(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def _to_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return shorten(str(value).strip(), 200)
