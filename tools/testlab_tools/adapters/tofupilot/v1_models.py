"""TofuPilot's own shapes of API v1, as its document shows them and client 1.12.1 types them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from testlab_tools.adapters.tofupilot.models import (
    MeasurementOutcome,
    Named,
    Numbered,
    Person,
    PhaseOutcome,
    RunOutcome,
)
from testlab_tools.http.response import Id, Wire
from testlab_tools.times import Moment, seconds

T = TypeVar("T")


def _none_is_empty(value: Any) -> Any:
    return [] if value is None else value


OptionalId = Annotated[Id | Literal[""], BeforeValidator(lambda value: "" if value is None else value)]
"""An id that may be null or missing."""
OptionalList = Annotated[list[T], BeforeValidator(_none_is_empty)]
"""A list that may be null or missing."""


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


class V1Phase(Wire):
    """A phase in a v1 run."""

    name: str
    outcome: PhaseOutcome
    started_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("startedAt", "started_at"))] = None
    measurements: OptionalList[V1Measurement] = []


def _length(value: Any) -> Any:
    return seconds(value) if isinstance(value, str) else value


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


class V1Unit(Wire):
    """The unit of a run, as client 1.12.1 types it; the document does not show it."""

    serial_number: str
    revision: V1Revision | None = None
    batch: Numbered | None = None


class V1File(Wire):
    """A file kept with a run, as client 1.12.1 types it."""

    id: OptionalId = ""
    name: Annotated[str, Field(validation_alias=AliasChoices("filename", "name"))]
    size: int | None = None


class V1Run(Wire):
    """An element of `GET /v1/runs?serial_number=`. The document shows no id; some servers send one."""

    id: OptionalId = ""
    created_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("createdAt", "created_at"))] = None
    started_at: Annotated[Moment, Field(validation_alias=AliasChoices("startedAt", "started_at"))]
    duration: Annotated[float | None, BeforeValidator(_length)] = None
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


class V1Done(Wire):
    """Reply to `DELETE` and `PATCH`: its message is the service's text, and is not read."""

    message: str


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


_MAX_ADDRESS = 500
"""Characters at the message's end among which the address is looked for."""
_ADDRESS = re.compile(r"https?://\S+/runs/([A-Za-z0-9-]{1,64})/?$")
