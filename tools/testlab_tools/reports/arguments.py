"""A run as arguments of the tool `create_run`, for callers that have only the tools."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from testlab_tools.limits import Limits
from testlab_tools.questions import NewMeasurement, NewPhase, NewRun


def create_run_arguments(run: NewRun) -> dict[str, object]:
    """The arguments with which `create_run` records this run; what is empty is left out.

    `ref` has no argument: the tool makes one for each call.
    """
    given: dict[str, object] = {
        "procedure_id": run.procedure_id,
        "serial_number": run.serial_number,
        "outcome": run.outcome,
        "phases": [_phase(phase) for phase in run.phases],
        "started_at": _text(run.started_at),
        "ended_at": _text(run.ended_at),
        "part_number": run.part_number,
        "revision": run.revision,
        "batch_number": run.batch_number,
        "procedure_version": run.procedure_version,
        "procedure_name": run.procedure_name,
        "sub_units": list(run.sub_units),
        "notes": run.notes,
    }
    return _filled(given)


def _phase(phase: NewPhase) -> dict[str, object]:
    given: dict[str, object] = {
        "name": phase.name,
        "outcome": phase.outcome,
        "started_at": _text(phase.started_at),
        "duration_s": (phase.ended_at - phase.started_at).total_seconds(),
        "measurements": [_measurement(m) for m in phase.measurements],
    }
    return _filled(given)


def _measurement(m: NewMeasurement) -> dict[str, object]:
    given: dict[str, object] = {
        "name": m.name,
        "units": m.units,
        "limits": str(Limits(m.lower, m.upper, m.expected)),
        "outcome": m.outcome,
    }
    return _filled(given) | _measured(m.value)


_EXACT = 2**53
"""Integers beyond it are not all exact as `value`, which is a double."""


def _measured(value: Any) -> dict[str, object]:
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


def _filled(given: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in given.items() if value not in ("", [])}


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
