"""From phases as recorded, one per attempt, to cases: a phase retried within a run counts once.

Why runs failed, told from lists over many runs as `get_failed_cases` tells it of one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from testlab_tools.adapters.tofupilot.models import (
    LogEntry,
    MeasurementEntry,
    MeasurementRow,
    PhaseEntry,
    PhaseRow,
    RunOutcome,
    RunRow,
    Validator,
)
from testlab_tools.adapters.tofupilot.v1_models import V1Measurement, V1Phase
from testlab_tools.capabilities import Failure
from testlab_tools.limits import Limits
from testlab_tools.models.lab import Case, Measurement, Outcome, Run
from testlab_tools.untrusted import shorten

OUTCOMES: dict[RunOutcome, Outcome] = {
    "PASS": "pass",
    "FAIL": "fail",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ABORTED": "stopped",
}
_PHASE: dict[str, Outcome] = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "SKIP": "skip"}
_MEASUREMENT: dict[str, str] = {"PASS": "pass", "FAIL": "fail", "UNSET": "unset"}


def cases(phases: Iterable[PhaseRow | V1Phase]) -> list[Case]:
    """One case per phase name (and sequence), in order of its first attempt, with its last attempt's outcome."""
    attempts: dict[tuple[str, str], list[PhaseRow | V1Phase]] = {}
    for phase in sorted(phases, key=_when):
        path = (phase.sequence_path or "") if isinstance(phase, PhaseRow) else ""
        attempts.setdefault((path, phase.name), []).append(phase)
    return [_case(tries) for tries in attempts.values()]


def _case(tries: list[PhaseRow | V1Phase]) -> Case:
    last = tries[-1]
    measurements = [measured(m) for m in last.measurements]
    return Case(
        case=last.name,
        outcome=_PHASE[last.outcome],
        attempts=len(tries),
        reason=reason_of(measurements),
        measurements=measurements,
    )


def _when(phase: PhaseRow | V1Phase) -> tuple[datetime, int]:
    started = phase.started_at or datetime.min.replace(tzinfo=UTC)
    started = started if started.tzinfo else started.replace(tzinfo=UTC)
    return (started, phase.retry_count if isinstance(phase, PhaseRow) else 0)


def reason_of(measurements: Iterable[Measurement]) -> str:
    """Each failing value beside the limit it broke; empty when none fails."""
    return "; ".join(_sentence(m) for m in measurements if m.outcome == "fail")


def measured(row: MeasurementRow | V1Measurement) -> Measurement:
    """A measurement with its limits as one range, or as text."""
    if isinstance(row, V1Measurement):
        limits = Limits(row.lower, row.upper)
    else:
        limits = Limits()
        for validator in row.validators or ():
            limits = limits.narrow(_limits(validator))
    return Measurement.model_validate(
        {
            "name": row.name,
            "outcome": _MEASUREMENT[row.outcome],
            "value": row.measured_value,
            "units": row.units or "",
            "lower": limits.lower,
            "upper": limits.upper,
            "expected": limits.expected,
        }
    )


def _limits(validator: Validator) -> Limits:
    if validator.operator and validator.expected_value is not None:
        return Limits.validator(validator.operator, validator.expected_value)
    return Limits.parse(validator.expression) if validator.expression else Limits()


def _sentence(m: Measurement) -> str:
    unit = f" {m.units}" if m.units else ""
    value = m.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if m.lower is not None and value < m.lower:
            return f"{m.name} {value:g}{unit} is below {m.lower:g}{unit}"
        if m.upper is not None and value > m.upper:
            return f"{m.name} {value:g}{unit} is above {m.upper:g}{unit}"
    wanted = f", expected {m.expected}" if m.expected else ""
    return f"{m.name} is {value}{unit}{wanted}"


_UNLISTED = frozenset({"multidimensional", "json"})
"""Types of measurement whose values `GET /v2/measurements` leaves out."""
_NEVER = datetime.min.replace(tzinfo=UTC)


FailedPhases = list[tuple[PhaseEntry, str]]
"""A run's failed phases in order of time, each with what its failing measurements say: value against limits."""


def phases_by_run(phases: Iterable[PhaseEntry], failing: Iterable[MeasurementEntry]) -> dict[str, FailedPhases]:
    """What failed in each run, by its id."""
    by_run: defaultdict[str, list[PhaseEntry]] = defaultdict(list)
    measurements: defaultdict[str, list[MeasurementEntry]] = defaultdict(list)
    for phase in phases:
        by_run[phase.run_id].append(phase)
    for measurement in failing:
        measurements[measurement.run_id].append(measurement)
    return {run_id: _explain_phases(of_run, measurements[run_id]) for run_id, of_run in by_run.items()}


def failures_of(row: RunRow, run: Run, told: FailedPhases, said: str) -> list[Failure]:
    """One failure per failed phase; for a run without any, one with an empty case. `said` stands where no measurement
    says why: the last error of the run's log, or its notes."""
    revision = shorten(row.procedure.version.tag) if row.procedure.version else ""
    found = [
        Failure(run, shorten(phase.name), shorten(reason or said), revision, phase.retry_count)
        for phase, reason in told
    ]
    return found or [Failure(run, "", shorten(said), revision)]


def last_words(entries: Iterable[LogEntry]) -> dict[str, str]:
    """The last line of each run, of lines that come oldest first."""
    return {entry.run.id: entry.message for entry in entries}


def _explain_phases(phases: Sequence[PhaseEntry], failing: Collection[MeasurementEntry]) -> FailedPhases:
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
