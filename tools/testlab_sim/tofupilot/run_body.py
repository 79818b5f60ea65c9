"""Bodies of writes as pydantic models, v2's and v1's, and from one to the draft of a run. Imported when the first write
comes: pydantic is slow to load."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, StrictBool, StringConstraints, ValidationError

from testlab_sim.production.history import History
from testlab_sim.production.records import (
    Detail,
    LogLine,
    Measurement,
    Phase,
    Procedure,
    Validator,
    is_uuid,
    limit_of,
    limits_of,
)
from testlab_sim.tofupilot.intake import Draft, count_attempts
from testlab_sim.tofupilot.query import parse_duration, parse_instant
from testlab_sim.tofupilot.service import Refusal, found, invalid

Judgement = Literal["PASS", "FAIL", "UNSET"]
PhaseOutcome = Literal["PASS", "FAIL", "SKIP", "ERROR"]
Text = Annotated[str, StringConstraints(min_length=1)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:+-]+$", min_length=1, max_length=60)]


class ValidatorBody(BaseModel):
    operator: Literal[">=", "<=", ">", "<", "==", "!=", "matches"]
    expected_value: Any = None
    outcome: Judgement | None = None


class MeasurementBody(BaseModel):
    name: Text
    outcome: Judgement
    measured_value: Any = None
    units: str | None = None
    validators: list[ValidatorBody] | None = None


class PhaseBody(BaseModel):
    name: Text
    outcome: PhaseOutcome
    started_at: AwareDatetime
    ended_at: AwareDatetime
    measurements: list[MeasurementBody] | None = None
    retry_count: Annotated[int, Field(ge=0)] = 0
    sequence_path: str | None = None


class LogBody(BaseModel):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    timestamp: AwareDatetime
    message: str
    source_file: str
    line_number: int


class RunBody(BaseModel):
    """Unknown keys are ignored, as the service does."""

    outcome: Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED"]
    procedure_id: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    serial_number: Identifier
    client_run_ref: Text | None = None
    procedure_version: str | None = None
    part_number: Identifier | None = None
    revision_number: Identifier | None = None
    batch_number: Identifier | None = None
    sub_units: list[str] = []
    docstring: str | None = None
    phases: list[PhaseBody] | None = None
    logs: list[LogBody] | None = None
    metadata: Annotated[dict[str, str | float | bool], Field(max_length=50)] = {}


class UnitChange(BaseModel):
    batch_number: Identifier | None = None
    sample: Literal["golden", "failing", "ignored"] | None = None


class ImportItem(BaseModel):
    upload_id: str
    importer: Literal["OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"]


class ImportBody(BaseModel):
    items: Annotated[list[ImportItem], Field(min_length=1, max_length=100)]
    allow_duplicate: bool | None = None


class UnitV1(BaseModel):
    serial_number: Text
    part_number: str | None = None
    part_name: str | None = None
    revision: str | None = None
    batch_number: str | None = None


class MeasurementV1(BaseModel):
    name: Text
    outcome: Judgement
    measured_value: Any = None
    units: str | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None


class PhaseV1(BaseModel):
    name: Text
    outcome: PhaseOutcome
    start_time_millis: float | None = None
    end_time_millis: float | None = None
    measurements: list[MeasurementV1] | None = None


class SubUnitV1(BaseModel):
    serial_number: Text


class SubUnitsV1(BaseModel):
    """Of a run, or to add to a unit."""

    sub_units: list[SubUnitV1] | None = None

    @property
    def serials(self) -> list[str]:
        return [unit.serial_number for unit in self.sub_units or ()]


class RunV1(SubUnitsV1):
    procedure_id: str | None = None
    procedure_name: str | None = None
    unit_under_test: UnitV1
    run_passed: StrictBool
    started_at: str | None = None
    duration: str | None = None
    procedure_version: str | None = None
    phases: list[PhaseV1] | None = None
    report_variables: dict[str, Any] | None = None


BodyT = TypeVar("BodyT", bound=BaseModel)


def parse(model: type[BodyT], body: dict[str, Any]) -> BodyT:
    """The body as `model`; what does not fit is a 400 with one issue per place."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        issues = [
            {"message": f"{'.'.join(map(str, e['loc']))}: {e['msg']}", "path": list(e["loc"])} for e in error.errors()
        ]
        raise Refusal(400, "Input validation failed", issues) from None


def draft_of(history: History, body: dict[str, Any]) -> Draft:
    """The draft of the run that a `POST /v2/runs` body tells."""
    run = parse(RunBody, body)
    if not is_uuid(run.procedure_id):
        raise invalid("procedure_id", "Invalid uuid")
    procedure = found(history.procedures.get(run.procedure_id.lower()), f"Procedure with ID {run.procedure_id}")
    logs = [
        LogLine(line.level, line.timestamp.timestamp(), line.message, line.source_file, line.line_number)
        for line in run.logs or ()
    ]
    return Draft(
        procedure,
        run.serial_number,
        run.outcome,
        run.started_at.timestamp(),
        run.ended_at.timestamp(),
        part_number=run.part_number or "",
        revision=run.revision_number or "",
        batch=run.batch_number or "",
        version=run.procedure_version or "",
        sub_units=run.sub_units,
        metadata=dict(run.metadata),
        detail=Detail([_phase(phase) for phase in run.phases or ()], logs, docstring=run.docstring),
    )


def _phase(body: PhaseBody) -> Phase:
    begun, ended = body.started_at.timestamp(), body.ended_at.timestamp()
    measurements = [_measurement(m) for m in body.measurements or ()]
    return Phase(body.name, body.outcome, begun, ended, body.retry_count, measurements, body.sequence_path)


def _measurement(body: MeasurementBody) -> Measurement:
    validators = [_validator(v, body.measured_value) for v in body.validators or ()]
    return Measurement(body.name, body.outcome, body.measured_value, body.units, validators)


def _validator(body: ValidatorBody, value: Any) -> Validator:
    """The service keeps the outcome it is sent; one left out is taken from the numbers where there are any."""
    expected, outcome = body.expected_value, body.outcome or "UNSET"
    if body.outcome is None and isinstance(expected, int | float) and not isinstance(expected, bool):
        outcome = limit_of(body.operator, expected, value).outcome
    return Validator(body.operator, expected, f"x {body.operator} {expected}", outcome)


def draft_of_v1(run: RunV1, procedure: Procedure, now: float) -> Draft:
    """The draft of a run of v1; without `started_at` it began its `duration` before now."""
    unit = run.unit_under_test
    seconds = parse_duration(run.duration, "duration") if run.duration else 0.0
    started = parse_instant(run.started_at, "started_at") if run.started_at else now - seconds
    phases = count_attempts([_phase_v1(body, started) for body in run.phases or ()])
    if not seconds and phases:
        seconds = max(0.0, max(phase.ended for phase in phases) - started)
    return Draft(
        procedure,
        unit.serial_number,
        "PASS" if run.run_passed else "FAIL",
        started,
        started + seconds,
        unit.part_number or "",
        unit.part_name or "",
        unit.revision or "",
        unit.batch_number or "",
        run.procedure_version or "",
        sub_units=run.serials,
        metadata={key: str(value) for key, value in (run.report_variables or {}).items()},
        detail=Detail(phases),
    )


def _phase_v1(body: PhaseV1, started: float) -> Phase:
    begun = (body.start_time_millis or started * 1000) / 1000
    ended = (body.end_time_millis or begun * 1000) / 1000
    measurements = [
        Measurement(
            m.name, m.outcome, m.measured_value, m.units, limits_of(m.lower_limit, m.upper_limit, m.measured_value)
        )
        for m in body.measurements or ()
    ]
    return Phase(body.name, body.outcome, begun, ended, 0, measurements)
