"""TofuPilot's own shapes of API v1, as its document shows them and client 1.12.1 types them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from testlab_tools.times import Moment, seconds
from testlab_tools.tofupilot.models import MeasurementOutcome, Named, Numbered, Person, PhaseOutcome, RunOutcome
from testlab_tools.wire import Id, Wire


class V1Status(Wire):
    """`{"name": "Pass", "category": "Successful"}`."""

    name: str


class V1Measurement(Wire):
    """A measurement in a v1 run; the document mixes `measured_value` with `lowerLimit`."""

    name: str
    outcome: MeasurementOutcome = "UNSET"
    measured_value: Annotated[Any, Field(validation_alias=AliasChoices("measured_value", "measuredValue"))] = None
    units: str | None = None
    lower: Annotated[float | None, Field(validation_alias=AliasChoices("lowerLimit", "lower_limit"))] = None
    upper: Annotated[float | None, Field(validation_alias=AliasChoices("upperLimit", "upper_limit"))] = None


class V1Phase(Wire):
    """A phase in a v1 run."""

    name: str
    outcome: PhaseOutcome
    started_at: Annotated[Moment | None, Field(validation_alias=AliasChoices("startedAt", "started_at"))] = None
    measurements: list[V1Measurement] = []


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


class V1Run(Wire):
    """An element of `GET /v1/runs?serial_number=`. The document shows no id; some servers send one."""

    id: Id = ""
    started_at: Annotated[Moment, Field(validation_alias=AliasChoices("startedAt", "started_at"))]
    duration: Annotated[float | None, BeforeValidator(_length)] = None
    status: V1Status | None = None
    run_passed: bool | None = None
    outcome: RunOutcome | None = None
    procedure: V1Procedure | str | None = None
    unit: V1Unit | None = None
    created_by: Annotated[Person | None, Field(validation_alias=AliasChoices("createdBy", "created_by_user"))] = None
    phases: list[V1Phase] = []


class V1Created(Wire):
    """Reply to `POST /v1/runs` and `/v1/import`: the document shows a message that ends in the run's address, of which
    only the id is read; client 1.12.1 reads an `id`."""

    id: str = ""
    message: str | None = None

    @property
    def key(self) -> str:
        """The run's id; empty where neither tells it."""
        told = _ADDRESS.search(self.message or "")
        return self.id or (told[1] if told else "")


_ADDRESS = re.compile(r"https?://\S+/runs/([A-Za-z0-9-]{1,64})/?$")
