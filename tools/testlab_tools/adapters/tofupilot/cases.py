"""From runs as recorded to the lab's words: a phase retried within a run, of which one record per attempt is kept,
counts once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from testlab_tools.adapters.tofupilot.models import MeasurementRow, Person, PhaseRow, RunOutcome, WholeRun
from testlab_tools.adapters.tofupilot.v1_models import V1Measurement, V1Phase, V1Run
from testlab_tools.models.lab import Case, Measurement, Outcome, Run
from testlab_tools.models.results import Artifact, KnownRun, RunDetail, labels
from testlab_tools.times import EARLIEST

OUTCOMES: dict[RunOutcome, Outcome] = {
    "PASS": "pass",
    "FAIL": "fail",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ABORTED": "stopped",
}
_PHASE: dict[str, Outcome] = {"PASS": "pass", "FAIL": "fail", "ERROR": "error", "SKIP": "skip"}


def cases(phases: Iterable[PhaseRow | V1Phase]) -> list[Case]:
    """One case per phase name (and sequence), in order of its first attempt, with its last attempt's outcome."""
    attempts: dict[tuple[str, str], list[PhaseRow | V1Phase]] = {}
    for phase in sorted(phases, key=_when):
        attempts.setdefault((phase.sequence_path or "", phase.name), []).append(phase)
    return [_case(tries) for tries in attempts.values()]


def failed(every: Iterable[Case]) -> list[Case]:
    """Those that did not pass."""
    return [case for case in every if case.outcome in ("fail", "error")]


def describe_failed(failed: Iterable[Case]) -> str:
    """The steps that failed, each with its reason."""
    return "; ".join(f"{case.case}: {case.reason}" if case.reason else case.case for case in failed)


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
    started = phase.started_at or EARLIEST
    return (started if started.tzinfo else started.replace(tzinfo=UTC), phase.retry_count)


def reason_of(measurements: Iterable[Measurement]) -> str:
    """Each failing value beside the limit it broke; empty when none fails."""
    return "; ".join(_sentence(m) for m in measurements if m.outcome == "fail")


def measured(row: MeasurementRow | V1Measurement) -> Measurement:
    """A measurement with its limits as one range, or as text."""
    limits = row.limits
    return Measurement.model_validate(
        {
            "name": row.name,
            "outcome": row.outcome.lower(),
            "value": row.measured_value,
            "units": row.units or "",
            "lower": limits.lower,
            "upper": limits.upper,
            "expected": limits.expected,
        }
    )


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


def v2_detail(run: Run, row: WholeRun) -> RunDetail:
    """A run of API v2; `tags` holds its metadata and the unit's revision and sub-units."""
    every = cases(row.phases or [])
    part = row.unit.part
    parts = {"unit_revision": part.revision.number} if part and part.revision else {}
    if row.sub_units:
        parts["sub_units"] = ", ".join(unit.serial_number for unit in row.sub_units)
    known = KnownRun(
        **run.model_dump(),
        user=_name(row.operated_by) or _name(row.created_by_user),
        batch=row.unit.batch.number if row.unit.batch else "",
        notes=row.docstring or "",
        cases_run=len(every),
    )
    return RunDetail(
        run=known,
        cases=every,
        tags=labels(parts, row.metadata or {}),
        artifacts=[Artifact(name=file.name, size=file.size) for file in row.attachments or []],
        next=_next(every),
    )


def v1_detail(run: Run, row: V1Run) -> RunDetail:
    """A run of API v1, which has neither tags nor files."""
    every = cases(row.phases)
    known = KnownRun(**run.model_dump(), user=_name(row.created_by), cases_run=len(every))
    return RunDetail(run=known, cases=every, next=_next(every))


def _name(person: Person | None) -> str:
    return (person.name or person.email or "") if person else ""


def _next(every: list[Case]) -> str:
    return "get_failed_cases explains what failed." if failed(every) else ""
