"""What a delivery brings: a run with its files, or a report that the service itself reads.

The contents of files are kept beside it, numbered from 0 (`shelf`): a parcel is read often, they only to be sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from testlab_tools.models import CreatedRun
from testlab_tools.questions import NewRun

MOST_FILES = 100
"""Kept with a run, as many as TofuPilot's own clients send (1.12.1, 2.26.1)."""
MOST_BYTES = 64 * 2**20
"""Of all files kept with a run together."""


class FileFacts(BaseModel):
    """A file kept with a run. Its name is its author's, not ours."""

    name: str
    size: int


class RunParcel(BaseModel):
    """A run, and the files to keep with it; `unkept` counts those too many or too large to be written down.

    Of an earlier round: `earlier` is the run as it was recorded then, `sent` the numbers of the files it got.
    """

    kind: Literal["run"] = "run"
    run: dict[str, Any]
    files: list[FileFacts] = []
    unkept: int = 0
    earlier: CreatedRun | None = None
    sent: list[int] = []


class ReportParcel(BaseModel):
    """A report for one of the service's importers: its content is file 0.

    `serial_number` and `started_at` tell its run where it can be found by them. `earlier` are the handles of the runs
    it became before. `checked` says that somebody has looked, and that it is not there.
    """

    kind: Literal["report"] = "report"
    importer: str
    name: str
    size: int
    serial_number: str = ""
    started_at: datetime | None = None
    earlier: list[str] = []
    checked: bool = False


Parcel = RunParcel | ReportParcel


def packed(parcel: Parcel) -> list[Any]:
    """The parcel as JSON: a run alone, or nothing and the parcel whole."""
    bare = isinstance(parcel, RunParcel) and not (parcel.files or parcel.unkept or parcel.earlier)
    if isinstance(parcel, RunParcel) and bare:
        return [parcel.run]
    return [{}, parcel.model_dump(mode="json")]


def unpacked(content: Sequence[Any]) -> Parcel:
    """The parcel again."""
    run, *whole = content
    return _parcels().validate_python(whole[0]) if whole and whole[0] else RunParcel(run=run)


@cache
def runs() -> TypeAdapter[NewRun]:
    """Writes a run as JSON and reads it back; built when the first is sent."""
    return TypeAdapter(NewRun)


@cache
def _parcels() -> TypeAdapter[Parcel]:
    return TypeAdapter(Annotated[Parcel, Field(discriminator="kind")])
