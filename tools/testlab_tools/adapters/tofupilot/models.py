"""TofuPilot's own shapes of API v2, as its client 2.26.1 types them; some of them are v1's as well.

A station's `api_key` is in none of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AliasChoices, Field

from testlab_tools.http.response import Id, Uuid, Wire
from testlab_tools.times import Moment

RunOutcome = Literal["PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED"]
PhaseOutcome = Literal["PASS", "FAIL", "SKIP", "ERROR"]
MeasurementOutcome = Literal["PASS", "FAIL", "UNSET"]


class Named(Wire):
    """`{id, name}`, as procedures and stations stand in a run."""

    id: Id
    name: str


class Version(Wire):
    """The version of a procedure."""

    tag: str


class Procedure(Named):
    """The procedure of a run."""

    version: Version | None = None


class Numbered(Wire):
    """`{id, number}`, as revisions and batches stand in a run."""

    number: str


class Part(Wire):
    """The part of a unit."""

    number: str
    revision: Numbered | None = None


class Unit(Wire):
    """The unit of a run; `sample` is golden, failing or ignored, null in production."""

    serial_number: str
    sample: Literal["golden", "failing", "ignored"] | None = None
    part: Part | None = None
    batch: Numbered | None = None


class Person(Wire):
    """Who operated or uploaded a run."""

    name: str | None = None
    email: str | None = None


class Maker(Wire):
    """The station that recorded a run; `GET /v2/runs/{id}` may tell it without a name."""

    name: str | None = None


class RunRow(Wire):
    """An element of `GET /v2/runs`."""

    id: Uuid
    started_at: Moment
    ended_at: Moment
    outcome: RunOutcome
    procedure: Procedure
    unit: Unit
    docstring: str | None = None
    created_by_station: Maker | None = None


class PageMeta(Wire):
    """`next_cursor` is opaque; null on the last page."""

    has_more: bool
    next_cursor: int | None = None


class RunRows(Wire):
    """`GET /v2/runs`. It does not say how many match."""

    data: list[RunRow]
    meta: PageMeta


class Validator(Wire):
    """A limit. `lower_limit` and `upper_limit` of a measurement are deprecated in its favour."""

    operator: str | None = None
    expected_value: Any = None
    expression: str = ""


class MeasurementRow(Wire):
    """A measurement of a run's phase."""

    name: str
    outcome: MeasurementOutcome
    measured_value: Any = None
    units: str | None = None
    validators: list[Validator] | None = None


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

    id: Id | None = None
    name: str
    size: int | None = None


class SubUnit(Wire):
    """A unit built into the one of a run."""

    serial_number: str


class WholeRun(RunRow):
    """`GET /v2/runs/{id}`."""

    operated_by: Person | None = None
    created_by_user: Person | None = None
    sub_units: list[SubUnit] | None = None
    metadata: dict[str, Any] | None = None
    phases: list[PhaseRow] | None = None
    logs: list[LogRow] | None = None
    attachments: list[Attachment] | None = None


class Created(Wire):
    """Reply to a create."""

    id: Id


class ManyIds(Wire):
    """Reply to a delete."""

    id: list[Id]


class Finalized(Wire):
    """Reply to a finalize: a presigned URL, which is not used."""

    url: Annotated[str, Field(repr=False)]


class Upload(Wire):
    """Where to PUT a file: `upload_url` in v2, `uploadUrl` in v1."""

    id: Id
    url: Annotated[str, Field(validation_alias=AliasChoices("upload_url", "uploadUrl"), repr=False)]


class Imported(Wire):
    """What became of one report; its `error` is the service's text and is not read."""

    success: bool
    id: Id | None = None
    ids: list[Id] | None = None
    already_imported: bool | None = None

    def every(self) -> list[str]:
        """The ids of all runs it became."""
        return self.ids or ([self.id] if self.id else [])


class Imports(Wire):
    """`POST /v2/imports/structured`."""

    results: list[Imported]


class UnitPlace(Wire):
    """A unit's parent or sub-unit."""

    serial_number: str


class UnitWhole(Unit):
    """`GET /v2/units/{serial_number}`; its attachments' presigned URLs are not read."""

    parent: UnitPlace | None = None
    children: list[UnitPlace] | None = None


class Procedures(Wire):
    """`GET /v2/procedures`."""

    data: list[Named]
    meta: PageMeta


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


class PartEntry(Wire):
    """An element of `GET /v2/parts`."""

    number: str
    name: str = ""
    revisions: list[Numbered] = []


class BatchEntry(Numbered):
    """An element of `GET /v2/batches`."""

    unit_count: int


class BatchUnit(Wire):
    """A unit of a batch."""

    serial_number: str


class BatchWhole(Numbered):
    """`GET /v2/batches/{number}`."""

    units: list[BatchUnit]


class StationEntry(Named):
    """An element of `GET /v2/stations`; of those that have a key, `GET /v2/stations/{id}` alone would tell it."""

    procedures: list[Named] = []


E = TypeVar("E")


class Entries(Wire, Generic[E]):
    """A page of a list."""

    data: list[E]
    meta: PageMeta


class PhaseEntry(Wire):
    """An element of `GET /v2/phases`."""

    id: Id
    name: str
    outcome: PhaseOutcome
    started_at: Moment | None = None
    retry_count: int = 0
    is_final_attempt: bool = True
    run_id: Uuid


class MeasurementEntry(Wire):
    """An element of `GET /v2/measurements`: one of three values, by its type; of a series or JSON data, none."""

    id: Id
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


class EntryRun(Wire):
    """The run that a log line is of."""

    id: Id


class LogEntry(Wire):
    """An element of `GET /v2/logs`."""

    level: str
    message: str
    created_at: Moment
    source_file: str | None = None
    line_number: int | None = None
    run: EntryRun
