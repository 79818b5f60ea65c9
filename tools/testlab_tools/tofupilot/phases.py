"""From phases as recorded, one per attempt, to cases: a phase retried within a run counts once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from testlab_tools.limits import Limits
from testlab_tools.models import Case, Measurement, Outcome
from testlab_tools.tofupilot.models import MeasurementRow, PhaseRow, RunOutcome, Validator
from testlab_tools.tofupilot.v1_models import V1Measurement, V1Phase

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
            limits = limits.narrowed(_limits(validator))
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
