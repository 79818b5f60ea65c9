"""Phases, measurements and log lines as API v2 lists them over many runs."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from testlab_tools.times import Moment
from testlab_tools.tofupilot.models import MeasurementOutcome, PageMeta, PhaseOutcome, Validator
from testlab_tools.wire import Id, Wire

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
    run_id: Id


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
    run_id: Id


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
