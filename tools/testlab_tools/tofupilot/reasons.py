"""Why runs failed, told from lists over many runs as `get_failed_cases` tells it of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from testlab_tools.capabilities import Failure
from testlab_tools.models import Run
from testlab_tools.tofupilot.entries import LogEntry, MeasurementEntry, PhaseEntry
from testlab_tools.tofupilot.models import MeasurementRow, RunRow
from testlab_tools.tofupilot.phases import measured, reason_of
from testlab_tools.untrusted import capped

_UNLISTED = frozenset({"multidimensional", "json"})
"""Types of measurement whose values `GET /v2/measurements` leaves out."""
_NEVER = datetime.min.replace(tzinfo=UTC)


Told = list[tuple[PhaseEntry, str]]
"""A run's failed phases in order of time, each with what its failing measurements say: value against limits."""


def told_of(phases: Iterable[PhaseEntry], failing: Iterable[MeasurementEntry]) -> dict[str, Told]:
    """What failed in each run, by its id."""
    by_run: defaultdict[str, list[PhaseEntry]] = defaultdict(list)
    measurements: defaultdict[str, list[MeasurementEntry]] = defaultdict(list)
    for phase in phases:
        by_run[phase.run_id].append(phase)
    for measurement in failing:
        measurements[measurement.run_id].append(measurement)
    return {run_id: _told(of_run, measurements[run_id]) for run_id, of_run in by_run.items()}


def failures_of(row: RunRow, run: Run, told: Told, said: str) -> list[Failure]:
    """One failure per failed phase; for a run without any, one with an empty case. `said` stands where no measurement
    says why: the last error of the run's log, or its notes."""
    revision = capped(row.procedure.version.tag) if row.procedure.version else ""
    found = [
        Failure(run, capped(phase.name), capped(reason or said), revision, phase.retry_count) for phase, reason in told
    ]
    return found or [Failure(run, "", capped(said), revision)]


def last_words(entries: Iterable[LogEntry]) -> dict[str, str]:
    """The last line of each run, of lines that come oldest first."""
    return {entry.run.id: entry.message for entry in entries}


def _told(phases: Sequence[PhaseEntry], failing: Collection[MeasurementEntry]) -> Told:
    ordered = sorted(phases, key=lambda phase: phase.started_at or _NEVER)
    return [(phase, "; ".join(_said(m) for m in _within(phase, phases, failing))) for phase in ordered]


def _within(
    phase: PhaseEntry, phases: Sequence[PhaseEntry], failing: Collection[MeasurementEntry]
) -> list[MeasurementEntry]:
    """A phase's measurements: they name it, and say no sequence; namesakes are told apart by when they began."""
    named = [m for m in failing if m.phase_name == phase.name]
    if sum(other.name == phase.name for other in phases) == 1:
        return named
    return [m for m in named if m.started_at == phase.started_at]


def _said(entry: MeasurementEntry) -> str:
    if entry.measurement_type in _UNLISTED:
        return f"{entry.measurement_name} does not keep its limits"
    values = (entry.value, entry.bool_value, entry.string_value)
    row = MeasurementRow(
        name=entry.measurement_name,
        outcome=entry.measurement_outcome,
        measured_value=next((value for value in values if value is not None), None),
        units=entry.units,
        validators=entry.validators,
    )
    return reason_of([measured(row)])
