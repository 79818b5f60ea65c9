"""Bodies of v2's writes as pydantic models, and from one to the draft of a run. Imported when the first write comes:
pydantic is slow to load."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Detail, LogLine, Measurement, Phase, Validator
from testlab_sim.tofupilot.intake import Draft, judge
from testlab_sim.tofupilot.service import Refusal, invalid

Judgement = Literal["PASS", "FAIL", "UNSET"]
Text = Annotated[str, StringConstraints(min_length=1)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:+-]+$", min_length=1, max_length=60)]


class ValidatorBody(BaseModel):
    operator: str
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
    outcome: Literal["PASS", "FAIL", "SKIP", "ERROR"]
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
    procedure = history.procedures.get(run.procedure_id.lower())
    if procedure is None:
        raise Refusal(404, f"Procedure with ID {run.procedure_id} not found")
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
    return Phase(
        body.name, body.outcome, begun, ended, body.retry_count, measurements, sequence_path=body.sequence_path
    )


def _measurement(body: MeasurementBody) -> Measurement:
    item = Measurement(body.name, body.outcome, body.measured_value, body.units)
    item.validators = [_validator(v, item) for v in body.validators or ()]
    return item


def _validator(body: ValidatorBody, item: Measurement) -> Validator:
    expected = body.expected_value
    number = isinstance(expected, int | float) and not isinstance(expected, bool)
    # The service keeps the outcome it is sent; one left out is taken from the numbers where there are any.
    outcome = body.outcome or (judge(body.operator, expected, item) if number else "UNSET")
    return Validator(body.operator, expected, f"x {body.operator} {expected}", outcome)
