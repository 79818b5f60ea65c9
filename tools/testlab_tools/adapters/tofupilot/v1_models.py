"""TofuPilot's own shapes of API v1, as its document shows them and client 1.12.1 types them; what names a run in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from hashlib import blake2s
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from testlab_tools.adapters.tofupilot.client import same_moment
from testlab_tools.adapters.tofupilot.models import (
    Attachment,
    MeasurementOutcome,
    Named,
    Numbered,
    OptionalId,
    Person,
    PhaseOutcome,
    RunOutcome,
    Serial,
)
from testlab_tools.http.response import Wire
from testlab_tools.limits import Limits
from testlab_tools.models.requests import NewRun
from testlab_tools.times import EARLIEST, Moment, seconds

T = TypeVar("T")
OptionalList = Annotated[list[T], BeforeValidator(lambda value: [] if value is None else value)]
"""A list that may be null or missing."""
_Length = Annotated[float | None, BeforeValidator(lambda value: seconds(value) if isinstance(value, str) else value)]


class V1Status(Wire):
    """`{"name": "Pass", "category": "Successful"}`."""

    name: str | None = None
    category: str | None = None


class V1Measurement(Wire):
    """A measurement in a v1 run; the document mixes `measured_value` with `lowerLimit`."""

    name: str
    outcome: Annotated[MeasurementOutcome, BeforeValidator(lambda value: value or "UNSET")] = "UNSET"
    measured_value: Annotated[Any, Field(validation_alias=AliasChoices("measured_value", "measuredValue"))] = None
    units: str | None = None
    lower: Annotated[float | None, Field(validation_alias=AliasChoices("lowerLimit", "lower_limit"))] = None
    upper: Annotated[float | None, Field(validation_alias=AliasChoices("upperLimit", "upper_limit"))] = None

    @property
    def limits(self) -> Limits:
        """Both as one range."""
        return Limits(self.lower, self.upper)


class V1Phase(Wire):
    """A phase in a v1 run, which tells no retries or sequences."""

    retry_count: ClassVar[int] = 0
    sequence_path: ClassVar[str] = ""

    name: str
    outcome: PhaseOutcome
    started_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("startedAt", "started_at"))] = None
    measurements: OptionalList[V1Measurement] = []


class V1Procedure(Named):
    """A run's procedure: `identifier` is what people call its id (`FVT1`)."""

    identifier: str | None = None


class V1Component(Wire):
    """A part."""

    part_number: str


class V1Revision(Wire):
    """A part's revision."""

    identifier: str
    component: V1Component | None = None


class V1Unit(Serial):
    """The unit of a run, as client 1.12.1 types it; the document does not show it."""

    revision: V1Revision | None = None
    batch: Numbered | None = None


class V1File(Attachment):
    """A file kept with a run, as client 1.12.1 types it."""

    name: Annotated[str, Field(validation_alias=AliasChoices("filename", "name"))]


class V1Run(Wire):
    """An element of `GET /v1/runs?serial_number=`. The document shows no id; some servers send one."""

    id: OptionalId = ""
    created_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("createdAt", "created_at"))] = None
    started_at: Annotated[Moment, Field(validation_alias=AliasChoices("startedAt", "started_at"))]
    duration: _Length = None
    status: V1Status | None = None
    run_passed: bool | None = None
    outcome: RunOutcome | None = None
    procedure: V1Procedure | str | None = None
    unit: V1Unit | None = None
    created_by: Annotated[Person | None, Field(validation_alias=AliasChoices("createdBy", "created_by_user"))] = None
    phases: OptionalList[V1Phase] = []
    attachments: list[V1File] | None = None

    @property
    def passed(self) -> bool | None:
        """Whether it passed; None where that is not told."""
        if self.outcome is not None:
            return self.outcome == "PASS"
        if self.run_passed is not None:
            return self.run_passed
        said = self.status and (self.status.category or self.status.name)
        return said.casefold() in ("successful", "pass", "passed") if said else None

    @property
    def mark(self) -> str:
        """A digest of all that is told of the run and does not change."""
        phases = [(phase.name, phase.outcome, str(phase.started_at)) for phase in self.phases]
        status = self.status and self.status.name
        told = (str(self.created_at), status, self.outcome, self.run_passed, self.duration, phases)
        return blake2s(repr(told).encode(), digest_size=4).hexdigest()


class V1Done(Wire):
    """Reply to `DELETE` and `PATCH`: its message is the service's text, and is not read."""

    message: str


_MAX_ADDRESS = 500
"""Characters at a message's end among which the run's address is looked for."""
_ADDRESS = re.compile(r"https?://\S+/runs/([A-Za-z0-9-]{1,64})/?$")


class V1Created(Wire):
    """Reply to `POST /v1/runs` and `/v1/import`: the document shows a message that ends in the run's address, of which
    only the id is read; client 1.12.1 reads an `id`. Whatever tells neither is no such reply."""

    id: OptionalId = ""
    message: str | None = None

    @model_validator(mode="after")
    def _tells(self) -> V1Created:
        if not self.id and self.message is None:
            raise ValueError("neither id nor message")
        return self

    @property
    def key(self) -> str:
        """The run's id; empty where neither tells it."""
        told = _ADDRESS.search((self.message or "")[-_MAX_ADDRESS:])
        return self.id or (told[1] if told else "")


_START = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d:\d\d)(?:~([0-9a-f]{8}))?(?:@(.+))?")


class Key(NamedTuple):
    """`005f1ec0-…`, the id. Where the list tells none, as the document's does not, the start and a mark of what else
    tells the run from another of that start, then the id, if creating it told one:
    `2024-09-05T08:38:17+00:00~9f0e51ac@005f1ec0-…`. The start alone names the only run of that start.
    """

    id: str = ""
    start: str = ""
    mark: str = ""

    @classmethod
    def parse(cls, text: str) -> Key:
        """Whatever is no start is an id."""
        found = _START.fullmatch(text)
        return cls(found[3] or "", found[1], found[2] or "") if found else cls(text)

    @classmethod
    def of(cls, row: V1Run, told: str = "") -> Key:
        """Of a run in its unit's list; `told` is its id, where only creating it told one."""
        return cls(row.id) if row.id else cls(told, row.started_at.isoformat(), row.mark)

    @classmethod
    def sent(cls, run: NewRun, told: str = "") -> Key:
        """Of a run that was recorded and not looked up."""
        start = run.started_at.astimezone(UTC)
        return cls(told, start.replace(microsecond=start.microsecond // 1000 * 1000).isoformat())

    def __str__(self) -> str:
        if not self.start:
            return self.id
        return f"{self.start}{f'~{self.mark}' if self.mark else ''}{f'@{self.id}' if self.id else ''}"

    def among(self, rows: Iterable[V1Run]) -> list[V1Run]:
        """The runs of the list that it names: several, when nothing tells them apart."""
        listed = list(rows)
        if self.id and (found := [row for row in listed if row.id == self.id]):
            return found
        return [
            row
            for row in listed
            if row.started_at.isoformat() == self.start and self.mark in ("", row.mark) and not (self.id and row.id)
        ]


def is_of(row: V1Run, run: NewRun) -> bool:
    """Whether it may be that run: the start, and as far as they are told procedure, outcome and phases, are its own."""
    if not same_moment(row.started_at, run.started_at):
        return False
    if row.passed is not None and row.passed != (run.outcome == "pass"):
        return False
    if row.phases and {phase.name for phase in row.phases} != {phase.name for phase in run.phases}:
        return False
    if row.procedure is None:
        return True
    told = row.procedure
    names = {told.id, told.name, told.identifier} if isinstance(told, V1Procedure) else {told}
    asked = {run.procedure_id.casefold(), run.procedure_name.casefold()}
    return any(name and name.casefold() in asked for name in names)


def newest(rows: Iterable[V1Run]) -> V1Run | None:
    """The one that was recorded last, as far as the list tells."""
    return max(rows, key=lambda row: row.created_at or EARLIEST, default=None)
