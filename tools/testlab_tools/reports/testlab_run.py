"""Reads and writes our own report format, `testlab-run`: one JSON file per run. docs/testlab-run.md describes it, and
docs/testlab-run.schema.json is its schema."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from testlab_tools.errors import BadInput
from testlab_tools.models.requests import MeasurementOutcome, NewMeasurement, NewPhase, NewRun, PhaseOutcome, RunOutcome
from testlab_tools.reports.report import (
    Framework,
    Report,
    Shape,
    check_relative,
    digest,
    format_count,
    make_ref,
    parse_json,
    validate,
)
from testlab_tools.times import utc
from testlab_tools.untrusted import sanitize

FORMAT = "testlab-run"
VERSION = 1


def _parse_moment(value: object) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("a moment is ISO 8601 text with a zone")
    try:
        return utc(moment)
    except OverflowError:
        raise ValueError("a moment must lie between the years 1 and 9999") from None


def _check_path(path: str) -> str:
    if not check_relative(path):
        raise ValueError("not the path of a file below the report's folder")
    return path


def _parse_uuid(value: object) -> str:
    return str(UUID(cast(Any, value)))


Text = Annotated[str, AfterValidator(sanitize)]
Name = Annotated[str, Field(min_length=1), AfterValidator(sanitize)]
Moment = Annotated[datetime, BeforeValidator(_parse_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Limit = Annotated[float | None, Field(allow_inf_nan=False)]
RelativePath = Annotated[str, AfterValidator(_check_path)]
Ref = Annotated[str, BeforeValidator(_parse_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]


class _Part(Shape):
    """Numbers are numbers, text is text: nothing is converted."""

    model_config = ConfigDict(strict=True)


class Measurement(_Part):
    """A measured value. `lower` and `upper` are inclusive limits; `expected` is a limit that is no such range, as text.
    `value` is a number, text, true or false, or JSON data such as a list of points."""

    name: Name
    outcome: MeasurementOutcome
    value: Any = None
    units: Text = ""
    lower: Limit = None
    upper: Limit = None
    expected: Text = ""


class Phase(_Part):
    """A step of the run. A step that was tried several times stands here once per attempt, in order, under one name.
    `reason` says in a line why it did not pass."""

    name: Name
    outcome: PhaseOutcome
    started_at: Moment
    ended_at: Moment
    reason: Text = ""
    traceback: Text = ""
    measurements: list[Measurement] = []

    @model_validator(mode="after")
    def _check_order(self) -> Phase:
        return _check_span(self)


class Unit(_Part):
    """What was tested. `sub_units` are the serial numbers of the units built into it."""

    serial_number: Text = ""
    part_number: Text = ""
    part_name: Text = ""
    revision: Text = ""
    batch_number: Text = ""
    sub_units: list[Name] = []


class Procedure(_Part):
    """What was done. `id` is the id or name by which a service knows it."""

    id: Text = ""
    name: Text = ""
    version: Text = ""


class Variable(_Part):
    """A name with a value to keep beside the run."""

    name: Name
    value: Text


class TestlabRun(_Part):
    """One execution of a procedure on a unit. `ref` is the same in every copy of the run; `attachments` are files, by
    their paths relative to the folder of this one, with `/`; `log` is lines of text. Times are ISO 8601 with a zone."""

    format: Literal["testlab-run"]
    version: Literal[1]
    ref: Ref | None = None
    outcome: RunOutcome
    started_at: Moment
    ended_at: Moment
    unit: Unit = Unit()
    procedure: Procedure = Procedure()
    station: Text = ""
    operator: Text = ""
    notes: Text = ""
    phases: list[Phase] = []
    variables: list[Variable] = []
    attachments: list[RelativePath] = []
    log: Text = ""

    @model_validator(mode="after")
    def _check_order(self) -> TestlabRun:
        return _check_span(self)


def _check_span(part: Any) -> Any:
    if part.ended_at < part.started_at:
        raise ValueError("it ends before it begins")
    return part


_BY = Framework("a testlab-run", "testlab-run, version 1,", "the pytest plugin or testlab-mcp")
_SHAPES = (TestlabRun, Phase, Measurement, Unit, Procedure, Variable)
_FIELDS = {name for shape in _SHAPES for name in shape.model_fields}


def read_testlab_run(content: bytes) -> Report:
    """Read a report. Its `files` are named, not read; without a `ref` one is made from the content.

    Raises:
        BadInput: it is no such report, or of a later version. The error quotes nothing of it.
    """
    body: Any = parse_json(content, _BY)
    version = cast("dict[str, object]", body).get("version") if isinstance(body, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise BadInput(
            "The report is of a later version of testlab-run", f"This reads version {VERSION}", "Update testlab-mcp."
        )
    report = validate(cast("object", body), TestlabRun, _FIELDS, _BY)
    unit, procedure = report.unit, report.procedure
    run = NewRun(
        procedure_id=procedure.id,
        serial_number=unit.serial_number,
        outcome=report.outcome,
        started_at=report.started_at,
        ended_at=report.ended_at,
        ref=report.ref or make_ref(FORMAT, digest(cast("object", body))),
        procedure_name=procedure.name,
        part_number=unit.part_number,
        part_name=unit.part_name,
        revision=unit.revision,
        batch_number=unit.batch_number,
        procedure_version=procedure.version,
        notes=report.notes,
        phases=tuple(_to_phase(phase) for phase in report.phases),
        sub_units=tuple(unit.sub_units),
        variables=tuple((variable.name, variable.value) for variable in report.variables),
    )
    dropped = format_count(len(report.log.splitlines()), "line") if report.log else ()
    return Report(
        run,
        tuple(f"{lines} of log" for lines in dropped),
        files=tuple(report.attachments),
        station=report.station,
        operator=report.operator,
        log=report.log,
    )


def _to_phase(phase: Phase) -> NewPhase:
    return NewPhase(
        phase.name,
        phase.outcome,
        phase.started_at,
        phase.ended_at,
        tuple(NewMeasurement(**dict(measurement)) for measurement in phase.measurements),
        phase.reason,
        phase.traceback,
    )


def write_run(run: NewRun, *, station: str = "", operator: str = "", files: Sequence[str] = (), log: str = "") -> bytes:
    """Return the report of a run, which `read_testlab_run` reads back as it is, but for characters that act on a
    terminal or hide.

    `files` are attachments, by paths relative to the folder the report is put in, with `/`. Numbers that JSON has not
    are written as text; limits of that kind are none.

    Raises:
        BadInput: it holds more than is read back, or contradicts itself (ends before it begins, a path out of the
            folder).
    """
    body: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "ref": run.ref,
        "outcome": run.outcome,
        "started_at": _format_moment(run.started_at),
        "ended_at": _format_moment(run.ended_at),
        "unit": _drop_empty(
            serial_number=run.serial_number,
            part_number=run.part_number,
            part_name=run.part_name,
            revision=run.revision,
            batch_number=run.batch_number,
            sub_units=list(run.sub_units),
        ),
        "procedure": _drop_empty(id=run.procedure_id, name=run.procedure_name, version=run.procedure_version),
        **_drop_empty(station=station, operator=operator, notes=run.notes),
        "phases": [_describe_phase(phase) for phase in run.phases],
        **_drop_empty(
            variables=[{"name": name, "value": value} for name, value in run.variables],
            attachments=list(files),
            log=log,
        ),
    }
    try:
        content = json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False).encode("utf-8", "replace")
    except (ValueError, TypeError, RecursionError):
        raise BadInput(
            "A measured value cannot be written as JSON", "", "Give numbers, text, flags or lists."
        ) from None
    read_testlab_run(content)
    return content


def _describe_phase(phase: NewPhase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "outcome": phase.outcome,
        "started_at": _format_moment(phase.started_at),
        "ended_at": _format_moment(phase.ended_at),
        **_drop_empty(reason=phase.reason, traceback=phase.traceback),
        **_drop_empty(measurements=[_describe_measurement(m) for m in phase.measurements]),
    }


def _describe_measurement(m: NewMeasurement) -> dict[str, Any]:
    return {
        "name": m.name,
        "outcome": m.outcome,
        **({} if m.value is None else {"value": _to_json(m.value)}),
        **_drop_empty(units=m.units, lower=_to_limit(m.lower), upper=_to_limit(m.upper), expected=m.expected),
    }


def _to_limit(limit: float | None) -> float | None:
    return limit if limit is not None and math.isfinite(limit) else None


def _to_json(value: Any) -> Any:
    """Numbers that JSON has not as text, as `parse_json` reads them."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case list() | tuple():
            return [_to_json(item) for item in cast("Sequence[Any]", value)]
        case dict():
            return {str(name): _to_json(item) for name, item in cast("dict[Any, Any]", value).items()}
        case _:
            return value


def _format_moment(moment: datetime) -> str:
    return utc(moment).isoformat().replace("+00:00", "Z")


def _drop_empty(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def describe_schema() -> dict[str, Any]:
    """The JSON Schema of the format."""
    schema = TestlabRun.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "testlab-run, version 1"}
