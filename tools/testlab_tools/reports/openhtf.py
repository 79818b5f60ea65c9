"""Reads OpenHTF's report: the JSON of `openhtf.output.callbacks.json_factory.OutputToJSON`, as of OpenHTF 1.6.3."""

from __future__ import annotations

import logging
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from testlab_tools.errors import BadInput
from testlab_tools.limits import Limits
from testlab_tools.models.requests import MeasurementOutcome, NewMeasurement, NewPhase, NewRun, PhaseOutcome, RunOutcome
from testlab_tools.reports.report import (
    EPOCH,
    MAX_LOG,
    MAX_MILLIS,
    Attachment,
    Framework,
    Millis,
    Report,
    Shape,
    digest,
    format_count,
    make_ref,
    parse_json,
    validate,
)
from testlab_tools.untrusted import sanitize, shorten, shorten_start

_BY = Framework("an OpenHTF", "OpenHTF 1.6", "OpenHTF's OutputToJSON")
_TRIGGER = "trigger_phase"

_RUN: dict[str, RunOutcome] = {
    "PASS": "pass",
    "FAIL": "fail",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ABORTED": "stopped",
}
_PHASE: dict[str, PhaseOutcome] = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "SKIP": "skip"}
_MEASUREMENT: dict[str, MeasurementOutcome] = {
    "PASS": "pass",
    "FAIL": "fail",
    "UNSET": "unset",
    "PARTIALLY_SET": "unset",
    "SKIPPED": "unset",
}


class _Units(Shape):
    suffix: str | None = None


class _Conditional(Shape):
    result: Any = None
    validator: str


class _Measurement(Shape):
    """`measured_value` of a measurement with dimensions is a list of points, the value last in each."""

    name: str = Field(min_length=1)
    outcome: Literal["PASS", "FAIL", "UNSET", "PARTIALLY_SET", "SKIPPED"]
    measured_value: Any = None
    units: _Units | None = None
    validators: list[str] = []
    conditional_validators: list[_Conditional] = []


class _File(Shape):
    """`data` is base64, and absent unless the report was written with `inline_attachments=True`."""

    data: str | None = None


class _Phase(Shape):
    name: str = Field(min_length=1)
    outcome: Literal["PASS", "FAIL", "SKIP", "ERROR"]
    start_time_millis: Millis
    end_time_millis: Millis
    subtest_name: str | None = None
    measurements: dict[str, _Measurement] = {}
    attachments: dict[str, _File] = {}


class _Detail(Shape):
    code: str | int = ""
    description: str = ""


class _Report(Shape):
    dut_id: str | None
    start_time_millis: Millis
    end_time_millis: Millis
    outcome: Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED"]
    outcome_details: list[_Detail] = []
    metadata: dict[str, Any]
    phases: list[_Phase]
    log_records: list[Any] = []


_FIELDS = {name for shape in (_Report, _Phase, _Measurement, _Units) for name in shape.model_fields}


def read_openhtf_run(content: bytes) -> NewRun:
    """The run that a report is about, as `read_openhtf` reads it.

    Raises:
        BadInput: it is no such report, or names no serial number or procedure. The error quotes nothing of it.
    """
    run = read_openhtf(content).run
    if not run.serial_number:
        raise BadInput(
            "The OpenHTF report has no serial number",
            "Its test was started without a dut_id",
            "Give test.execute() a test_start that returns the serial number, or create_run one by hand.",
        )
    if not run.procedure_id:
        raise BadInput(
            "The OpenHTF report names no procedure",
            "Its metadata has neither procedure_id nor procedure_name nor test_name",
            "Give htf.Test(…) a procedure_id.",
        )
    return run


def read_openhtf(content: bytes) -> Report:
    """Read a report.

    The procedure is metadata's `procedure_id`, else `procedure_name`, else `test_name`; its version
    `procedure_version`, else `test_version`. Every attempt of a phase is kept, in order; the phase of a subtest is
    named `subtest: phase`. `trigger_phase`, which OpenHTF itself puts first to wait for the serial number, is
    dropped, and so are logs. `outcome_details` become notes. `ref` is made from the content, whatever its indentation.

    Raises:
        BadInput: it is no such report. The error quotes nothing of it.
    """
    body = parse_json(content, _BY)
    report = validate(body, _Report, _FIELDS, _BY)
    serial = sanitize(report.dut_id or "").strip()
    started = _to_datetime(report.start_time_millis)
    run = NewRun(
        procedure_id=_first_text(report.metadata, "procedure_id", "procedure_name", "test_name"),
        serial_number="" if serial == "UNKNOWN_DUT" else serial,
        outcome=_RUN[report.outcome],
        started_at=started,
        ended_at=max(started, _to_datetime(report.end_time_millis)),
        ref=make_ref("openhtf", digest(body)),
        procedure_name=_first_text(report.metadata, "procedure_name", "test_name"),
        part_number=_first_text(report.metadata, "part_number"),
        revision=_first_text(report.metadata, "revision"),
        batch_number=_first_text(report.metadata, "batch_number"),
        procedure_version=_first_text(report.metadata, "procedure_version", "test_version"),
        notes=_collect_notes(report),
        phases=tuple(_to_phase(phase) for n, phase in enumerate(report.phases) if n or phase.name != _TRIGGER),
    )
    named = [item for phase in report.phases for item in phase.attachments.items()]
    attachments = tuple(_decode_attachments(named))
    absent = ("attachments that are not in the report",) if len(attachments) < len(named) else ()
    dropped = (*absent, *format_count(len(report.log_records), "log record"))
    log = shorten_start("\n".join(_format_records(report.log_records)), MAX_LOG)
    return Report(run, dropped, attachments, log=log)


def _format_records(records: list[Any]) -> Iterator[str]:
    """Lines `2026-11-20T08:00:00.001Z WARNING phase_executor.py:332 message`."""
    for record in records:
        match record:
            case {"timestamp_millis": int(millis), "level": int(level), "message": str(message)} if (
                0 <= millis <= MAX_MILLIS
            ):
                moment = _to_datetime(millis).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                place = f"{record.get('source', '')}:{record.get('lineno', '')}"
                yield f"{moment} {logging.getLevelName(level)} {place} {message}"
            case _:
                continue


def _decode_attachments(named: list[tuple[str, _File]]) -> Iterator[Attachment]:
    for name, file in named:
        if file.data is not None:
            try:
                yield Attachment(shorten(name, 200), b64decode(file.data, validate=True))
            except ValueError:
                continue


def _to_phase(phase: _Phase) -> NewPhase:
    name = f"{phase.subtest_name}: {phase.name}" if phase.subtest_name else phase.name
    started = _to_datetime(phase.start_time_millis)
    return NewPhase(
        shorten(name),
        _PHASE[phase.outcome],
        started,
        max(started, _to_datetime(phase.end_time_millis)),
        tuple(_to_measurement(m) for m in phase.measurements.values()),
    )


def _to_measurement(m: _Measurement) -> NewMeasurement:
    limits = Limits.parse_all(m.validators)
    for conditional in m.conditional_validators:
        limits = limits.narrow(Limits(expected=f"if {conditional.result}: {conditional.validator}"))
    units = (m.units.suffix or "") if m.units else ""
    outcome = _MEASUREMENT[m.outcome]
    return NewMeasurement(m.name, outcome, m.measured_value, units, limits.lower, limits.upper, limits.expected)


def _collect_notes(report: _Report) -> str:
    """A timeout, which no service has as an outcome of a new run, and OpenHTF's details of the outcome."""
    details = [": ".join(filter(None, (str(d.code), d.description.strip()))) for d in report.outcome_details]
    return shorten("\n".join(["Timed out", *details] if report.outcome == "TIMEOUT" else details))


def _first_text(metadata: dict[str, Any], *keys: str) -> str:
    for key in keys:
        value = metadata.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and (text := str(value).strip()):
            return shorten(text)
    return ""


def _to_datetime(millis: int) -> datetime:
    return EPOCH + timedelta(milliseconds=millis)
