"""What API v2 is sent to record a run: `POST /v2/runs`, as its client 2.26.1 does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from testlab_tools.adapters.tofupilot.client import SENT, SENT_MEASUREMENT, check_identifier
from testlab_tools.limits import Limits
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun


def run_body(run: NewRun, procedure_id: str) -> Iterator[tuple[str, Any]]:
    """`POST /v2/runs`: optional fields are left out, not sent as null."""
    yield "procedure_id", procedure_id
    yield "serial_number", check_identifier(run.serial_number, "serial_number")
    yield "outcome", SENT[run.outcome]
    yield "started_at", stamp(run.started_at)
    yield "ended_at", stamp(run.ended_at)
    yield "client_run_ref", run.ref
    for key, value in (("part_number", run.part_number), ("revision_number", run.revision)):
        if value:
            yield key, check_identifier(value, key)
    for key, value in (
        ("batch_number", run.batch_number),
        ("procedure_version", run.procedure_version),
        ("docstring", run.notes),
    ):
        if value:
            yield key, value
    if run.sub_units:
        yield "sub_units", list(run.sub_units)
    if run.variables:
        yield "metadata", dict(run.variables)
    if run.phases:
        yield "phases", list(_phases(run.phases))


def _phases(phases: tuple[NewPhase, ...]) -> Iterator[dict[str, Any]]:
    tries: dict[str, int] = {}
    for phase in phases:
        count = tries[phase.name] = tries.get(phase.name, -1) + 1
        yield {
            "name": phase.name,
            "outcome": SENT[phase.outcome],
            "started_at": stamp(phase.started_at),
            "ended_at": stamp(phase.ended_at),
            "retry_count": count,
            "measurements": [dict(_measurement(m)) for m in phase.measurements],
        }


def _measurement(m: NewMeasurement) -> Iterator[tuple[str, Any]]:
    yield "name", m.name
    yield "outcome", SENT_MEASUREMENT[m.outcome]
    if m.value is not None:
        yield "measured_value", m.value
    if m.units:
        yield "units", m.units
    if validators := list(_validators(m)):
        yield "validators", validators


def _validators(m: NewMeasurement) -> Iterator[dict[str, Any]]:
    """One per limit, each with its own outcome: the server stores it as sent and does not evaluate."""
    for operator, limits, bound in ((">=", Limits(lower=m.lower), m.lower), ("<=", Limits(upper=m.upper), m.upper)):
        if bound is not None:
            kept = limits.allow(m.value)
            outcome = m.outcome if kept is None else "pass" if kept else "fail"
            yield {"operator": operator, "expected_value": bound, "outcome": SENT_MEASUREMENT[outcome]}
    if m.expected:
        pattern = m.expected.removeprefix("matches /").removesuffix("/")
        operator = "==" if pattern == m.expected else "matches"
        yield {"operator": operator, "expected_value": pattern, "outcome": SENT_MEASUREMENT[m.outcome]}


def stamp(moment: datetime) -> str:
    """ISO 8601 UTC to the millisecond, `Z` at its end."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
