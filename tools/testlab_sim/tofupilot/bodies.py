"""Bodies of v2's writes as pydantic models. Imported when the first write comes: pydantic is slow to load."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from testlab_sim.tofupilot.service import Refusal

RunOutcome = Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED"]
Judgement = Literal["PASS", "FAIL", "UNSET"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_.:+-]+$", min_length=1, max_length=60)]
Metadata = dict[str, str | float | bool]


class Body(BaseModel):
    """Unknown keys are ignored, as the service does."""

    model_config = ConfigDict(extra="ignore")


class ValidatorBody(Body):
    operator: str | None = None
    expected_value: Any = None
    outcome: Judgement | None = None
    expression: str | None = None
    is_decisive: bool | None = None


class AggregationBody(Body):
    type: str
    outcome: Judgement | None = None
    value: float | str | bool | None = None
    unit: str | None = None


class AxisBody(Body):
    data: list[float]
    units: str | None = None
    name: str | None = None
    description: str | None = None


class MeasurementBody(Body):
    name: Annotated[str, StringConstraints(min_length=1)]
    outcome: Judgement
    x_axis: AxisBody | None = None
    y_axis: list[AxisBody] | None = None
    measured_value: Any = None
    units: str | list[str] | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None
    validators: list[ValidatorBody] | None = None
    aggregations: list[AggregationBody] | None = None
    docstring: str | None = None


class PhaseBody(Body):
    name: Annotated[str, StringConstraints(min_length=1)]
    outcome: Literal["PASS", "FAIL", "SKIP", "ERROR"]
    started_at: AwareDatetime
    ended_at: AwareDatetime
    docstring: str | None = None
    measurements: list[MeasurementBody] | None = None
    retry_count: Annotated[int, Field(ge=0)] = 0
    sequence_path: str | None = None


class SequenceBody(Body):
    path: str
    name: str
    outcome: Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED", "SKIP"]
    source: str | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None


class LogBody(Body):
    level: Level
    timestamp: AwareDatetime
    message: str
    source_file: str
    line_number: int


class ConfigBody(Body):
    key: str
    value: str | float | bool
    variable_id: str | None = None
    version: int | None = None
    source: str | None = None


class SecretBody(BaseModel):
    """`value` is refused: secrets are never sent (TofuPilot's `POST /v2/runs`)."""

    model_config = ConfigDict(extra="forbid")

    key: str
    variable_id: str | None = None
    version: int | None = None
    source: str | None = None


class RunBody(Body):
    outcome: RunOutcome
    procedure_id: str
    started_at: AwareDatetime
    ended_at: AwareDatetime
    serial_number: Identifier
    deployment_id: str | None = None
    client_run_ref: Annotated[str, StringConstraints(min_length=1)] | None = None
    execution_id: str | None = None
    slot_key: str | None = None
    slot_name: str | None = None
    procedure_version: str | None = None
    operated_by: str | None = None
    part_number: Identifier | None = None
    revision_number: Identifier | None = None
    batch_number: Identifier | None = None
    sub_units: list[str] = []
    docstring: str | None = None
    phases: list[PhaseBody] | None = None
    sequences: list[SequenceBody] | None = None
    logs: list[LogBody] | None = None
    metadata: Annotated[Metadata, Field(max_length=50)] = {}
    unit_metadata: Annotated[Metadata, Field(max_length=50)] = {}
    config: list[ConfigBody] = []
    secrets: list[SecretBody] = []


class UnitChange(Body):
    new_serial_number: Identifier | None = None
    part_number: Identifier | None = None
    revision_number: Identifier | None = None
    batch_number: Identifier | None = None
    attachments: list[str] = []
    sample: Literal["golden", "failing", "ignored"] | None = None
    metadata: Metadata = {}


class ImportItem(Body):
    upload_id: str
    importer: Literal["OPENHTF", "WATS", "WSXF", "ATML", "TESTSTAND", "STDF", "ATDF"]


class ImportBody(Body):
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
