"""TofuPilot's own shapes of API v2, as its client 2.26.1 types them; some of them are v1's as well.

A station's `api_key` is in none of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field

from testlab_tools.http.response import Id, Uuid, Wire
from testlab_tools.limits import Limits
from testlab_tools.times import Moment

RunOutcome = Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED"]
PhaseOutcome = Literal["PASS", "FAIL", "SKIP", "ERROR"]
MeasurementOutcome = Literal["PASS", "FAIL", "UNSET"]
OptionalId = Annotated[Id | Literal[""], BeforeValidator(lambda value: "" if value is None else value)]
"""An id that may be null or missing."""
E = TypeVar("E")


class Identified(Wire):
    """`{id}`: reply to a create, and how a log line names its run."""

    id: Id


class Named(Identified):
    """`{id, name}`, as procedures and stations stand in a run."""

    name: str


class Numbered(Wire):
    """`{id, number}`, as revisions and batches stand in a run."""

    number: str


class Serial(Wire):
    """A unit named by another: its parent, a sub-unit, one of a batch."""

    serial_number: str


class Version(Wire):
    """The version of a procedure."""

    tag: str


class Procedure(Named):
    """The procedure of a run."""

    version: Version | None = None


class Part(Numbered):
    """The part of a unit."""

    revision: Numbered | None = None


class Unit(Serial):
    """The unit of a run; `sample` is golden, failing or ignored, null in production."""

    sample: Literal["golden", "failing", "ignored"] | None = None
    part: Part | None = None
    batch: Numbered | None = None


class Person(Wire):
    """Who operated or uploaded a run, or the station that recorded it; any may come without a name."""

    name: str | None = None
    email: str | None = None


class PageMeta(Wire):
    """`next_cursor` is opaque; null on the last page."""

    has_more: bool
    next_cursor: int | None = None


class Entries(Wire, Generic[E]):
    """A page of a list. It does not say how many there are."""

    data: list[E]
    meta: PageMeta

    @property
    def next_cursor(self) -> str:
        """Where the next page is; empty on the last."""
        return str(self.meta.next_cursor) if self.meta.has_more and self.meta.next_cursor is not None else ""


class RunRow(Wire):
    """An element of `GET /v2/runs`."""

    id: Uuid
    started_at: Moment
    ended_at: Moment
    outcome: RunOutcome
    procedure: Procedure
    unit: Unit
    docstring: str | None = None
    created_by_station: Person | None = None

    @property
    def version(self) -> str:
        """The procedure's; empty where it has none."""
        return self.procedure.version.tag if self.procedure.version else ""


class Validator(Wire):
    """A limit. `lower_limit` and `upper_limit` of a measurement are deprecated in its favour."""

    operator: str | None = None
    expected_value: Any = None
    expression: str = ""

    @property
    def limits(self) -> Limits:
        """The limit as a range or text."""
        if self.operator and self.expected_value is not None:
            return Limits.validator(self.operator, self.expected_value)
        return Limits.parse(self.expression) if self.expression else Limits()


class MeasurementRow(Wire):
    """A measurement of a run's phase."""

    name: str
    outcome: MeasurementOutcome
    measured_value: Any = None
    units: str | None = None
    validators: list[Validator] | None = None

    @property
    def limits(self) -> Limits:
        """All its limits as one."""
        limits = Limits()
        for validator in self.validators or ():
            limits = limits.narrow(validator.limits)
        return limits


class PhaseRow(Wire):
    """A phase of a run: one record per attempt, `retry_count` counting from 0."""

    name: str
    outcome: PhaseOutcome
    started_at: datetime
    retry_count: int = 0
    sequence_path: str | None = None
    measurements: list[MeasurementRow] = []


class LogRow(Wire):
    """A line of a run's log."""

    level: str
    message: str


class Attachment(Wire):
    """A file kept with a run; its `download_url` is presigned and is not read."""

    id: OptionalId = ""
    name: str
    size: int | None = None


class WholeRun(RunRow):
    """`GET /v2/runs/{id}`."""

    operated_by: Person | None = None
    created_by_user: Person | None = None
    sub_units: list[Serial] | None = None
    metadata: dict[str, Any] | None = None
    phases: list[PhaseRow] | None = None
    logs: list[LogRow] | None = None
    attachments: list[Attachment] | None = None


class ManyIds(Wire):
    """Reply to a delete."""

    id: list[Id]


class Finalized(Wire):
    """Reply to a finalize: a presigned URL, which is not used."""

    url: Annotated[str, Field(repr=False)]


class Upload(Identified):
    """Where to PUT a file: `upload_url` in v2, `uploadUrl` in v1."""

    url: Annotated[str, Field(validation_alias=AliasChoices("upload_url", "uploadUrl"), repr=False)]


class Imported(Wire):
    """What became of one report; its `error` is the service's text."""

    success: bool
    error: str | None = None
    id: Id | None = None
    ids: list[Id] | None = None
    already_imported: bool | None = None

    def every(self) -> list[str]:
        """The ids of all runs it became."""
        return self.ids or ([self.id] if self.id else [])


class Imports(Wire):
    """`POST /v2/imports/structured`."""

    results: list[Imported]


class UnitWhole(Unit):
    """`GET /v2/units/{serial_number}`; its attachments' presigned URLs are not read."""

    created_during: Identified | None = None
    parent: Serial | None = None
    children: list[Serial] | None = None


class Who(Wire):
    """`GET /v2/whoami`: a station's or a user's key."""

    type: Literal["station", "user"]
    organization: Named
    user: dict[str, Any] | None = None
    station: Named | None = None


class ProcedureWhole(Named):
    """`GET /v2/procedures/{id}`."""

    runs_count: int
    stations: list[Named] = []


class PartEntry(Numbered):
    """An element of `GET /v2/parts`."""

    name: str = ""
    revisions: list[Numbered] = []


class BatchEntry(Numbered):
    """An element of `GET /v2/batches`."""

    unit_count: int


class BatchWhole(Numbered):
    """`GET /v2/batches/{number}`."""

    units: list[Serial]


class StationEntry(Named):
    """An element of `GET /v2/stations`; of those that have a key, `GET /v2/stations/{id}` alone would tell it."""

    procedures: list[Named] = []


class PhaseEntry(Identified):
    """An element of `GET /v2/phases`."""

    name: str
    outcome: PhaseOutcome
    started_at: Moment | None = None
    retry_count: int = 0
    is_final_attempt: bool = True
    run_id: Uuid


class MeasurementEntry(Identified):
    """An element of `GET /v2/measurements`: one of three values, by its type; of a series or JSON data, none."""

    phase_name: str
    measurement_name: str
    started_at: Moment | None = None
    measurement_outcome: MeasurementOutcome
    measurement_type: str = ""
    value: Any = None
    bool_value: bool | None = None
    string_value: str | None = None
    units: str | None = None
    validators: list[Validator] | None = None
    is_final_attempt: bool = True
    run_id: Uuid


class LogEntry(LogRow):
    """An element of `GET /v2/logs`."""

    created_at: Moment
    source_file: str | None = None
    line_number: int | None = None
    run: Identified
