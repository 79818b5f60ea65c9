"""What API v1 is sent to record a run: `POST /v1/runs`, "Create a run"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from testlab_tools.questions import NewMeasurement, NewPhase, NewRun
from testlab_tools.tofupilot.api import SENT, SENT_MEASUREMENT


def run_body(run: NewRun) -> Iterator[tuple[str, Any]]:
    """`POST /v1/runs`: optional fields are left out, not sent as null."""
    yield "procedure_id", run.procedure_id
    if run.procedure_name:
        yield "procedure_name", run.procedure_name
    unit = {
        "serial_number": run.serial_number,
        "part_number": run.part_number,
        "part_name": run.part_name,
        "revision": run.revision,
        "batch_number": run.batch_number,
    }
    yield "unit_under_test", {key: value for key, value in unit.items() if value}
    yield "run_passed", run.outcome == "pass"
    yield "started_at", run.started_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "duration", _duration(run.ended_at - run.started_at)
    yield "client", "testlab-mcp"
    if run.procedure_version:
        yield "procedure_version", run.procedure_version
    if run.sub_units:
        yield "sub_units", [{"serial_number": serial} for serial in run.sub_units]
    variables = ({"notes": run.notes} if run.notes else {}) | dict(run.variables)
    if variables:
        yield "report_variables", variables
    if run.phases:
        yield "phases", [_phase(phase) for phase in run.phases]


def _phase(phase: NewPhase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "outcome": SENT[phase.outcome],
        "start_time_millis": _millis(phase.started_at),
        "end_time_millis": _millis(phase.ended_at),
        "measurements": [_measurement(m) for m in phase.measurements],
    }


def _measurement(m: NewMeasurement) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": m.name,
        "outcome": SENT_MEASUREMENT[m.outcome],
        "measured_value": m.value,
        "units": m.units or None,
        "lower_limit": m.lower,
        "upper_limit": m.upper,
        "docstring": f"expected {m.expected}" if m.expected else None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _millis(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _duration(length: timedelta) -> str:
    return f"PT{length.total_seconds():.3f}S"
