"""Turns a run into arguments of the tool `create_run`, for callers that have only the tools."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from testlab_tools.limits import Limits
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun


def build_create_run_arguments(run: NewRun) -> dict[str, object]:
    """The arguments with which `create_run` records a run; empty ones are left out.

    `ref` has no argument: the tool makes one for each call.
    """
    given: dict[str, object] = {
        "procedure_id": run.procedure_id,
        "serial_number": run.serial_number,
        "outcome": run.outcome,
        "phases": [_build_phase(phase) for phase in run.phases],
        "started_at": _format_moment(run.started_at),
        "ended_at": _format_moment(run.ended_at),
        "part_number": run.part_number,
        "revision": run.revision,
        "batch_number": run.batch_number,
        "procedure_version": run.procedure_version,
        "procedure_name": run.procedure_name,
        "sub_units": list(run.sub_units),
        "notes": run.notes,
    }
    return _drop_empty(given)


def _build_phase(phase: NewPhase) -> dict[str, object]:
    given: dict[str, object] = {
        "name": phase.name,
        "outcome": phase.outcome,
        "started_at": _format_moment(phase.started_at),
        "duration_s": (phase.ended_at - phase.started_at).total_seconds(),
        "measurements": [_build_measurement(m) for m in phase.measurements],
    }
    return _drop_empty(given)


def _build_measurement(m: NewMeasurement) -> dict[str, object]:
    given: dict[str, object] = {
        "name": m.name,
        "units": m.units,
        "limits": str(Limits(m.lower, m.upper, m.expected)),
        "outcome": m.outcome,
    }
    return _drop_empty(given) | _build_value(m.value)


_EXACT = 2**53
"""Integers beyond it are not all exact as `value`, which is a double."""


def _build_value(value: Any) -> dict[str, object]:
    """The argument for a value of its type."""
    match value:
        case None:
            return {}
        case bool():
            return {"flag": value}
        case int() | float() if abs(value) <= _EXACT:
            return {"value": value}
        case str():
            return {"text": value}
        case _:
            return {"data": json.dumps(value, ensure_ascii=False)}


def _drop_empty(given: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in given.items() if value not in ("", [])}


def _format_moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
