"""v2's JSON: runs with their phases, measurements and logs, and units, with every key its client requires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.records import (
    Attachment,
    LogLine,
    Measurement,
    Phase,
    Procedure,
    Run,
    Station,
    Unit,
    Validator,
    mint,
)
from testlab_sim.tofupilot.query import duration
from testlab_sim.tofupilot.service import email, identity
from testlab_sim.world import PEOPLE, iso

_BY_EMAIL = {email(person): identity(person) for person in PEOPLE}
_SHIFT = 12


def stamp(seconds: float) -> str:
    """ISO 8601 UTC, `Z`, milliseconds."""
    return iso(seconds, "")[:-3] + "Z"


def phase_id(run: Run, nth: int) -> str:
    return mint("phase", run.number << _SHIFT | nth)


def measurement_id(run: Run, nth: int, place: int) -> str:
    return mint("measurement", (run.number << _SHIFT | nth) << _SHIFT | place)


def log_id(run: Run, nth: int) -> str:
    return mint("log", run.number << _SHIFT | nth)


def named(thing: Procedure | Station) -> dict[str, Any]:
    return {"id": thing.id, "name": thing.name}


def _identified(unit: Unit) -> dict[str, Any]:
    return {"id": unit.id, "serial_number": unit.serial}


def _part_of(unit: Unit) -> dict[str, Any]:
    part, revision = unit.part, unit.revision
    shown = {"id": part.id, "number": part.part_number, "name": part.name}
    return shown | {"revision": {"id": revision.id, "number": revision.name}}


def _batch_of(unit: Unit) -> dict[str, Any] | None:
    return {"id": unit.batch.id, "number": unit.batch.name} if unit.batch else None


def run_head(run: Run) -> dict[str, Any]:
    """What a list of runs and a single run have in common."""
    unit, detail = run.unit, run.detail
    version = {"id": run.version.id, "tag": run.version.tag} if run.version else None
    user = _BY_EMAIL.get(run.operator)
    return {
        "id": run.id,
        "created_at": stamp(run.created),
        "started_at": stamp(run.started),
        "ended_at": stamp(run.ended),
        "duration": duration(run.ended - run.started),
        "outcome": run.outcome,
        **dict.fromkeys(("execution_id", "slot_key", "slot_name")),
        "procedure": named(run.procedure) | {"version": version},
        "unit": _identified(unit) | {"sample": unit.sample, "part": _part_of(unit), "batch": _batch_of(unit)},
        "docstring": detail.docstring if detail else None,
        "created_by_user": user if run.station is None else None,
        "created_by_station": named(run.station) if run.station else None,
        "operated_by": (user or {"id": None, "name": run.operator, "email": None}) if run.operator else None,
    }


def run_whole(history: History, run: Run, download: Callable[[str], str]) -> dict[str, Any]:
    """A single run; `download` gives the signed link of a file by its id."""
    detail = history.detail(run)
    children = detail.sub_units or run.unit.children or []
    return run_head(run) | {
        "config": [],
        "secrets": [],
        "phases": [_phase(run, nth, item) for nth, item in enumerate(detail.phases)],
        "attachments": [_attachment(item, download(item.id)) for item in history.attachments(run)],
        "logs": [_log_line(log_id(run, nth), line) for nth, line in enumerate(detail.logs)],
        "sub_units": [
            _identified(unit) | {"part_number": unit.part.part_number, "part_name": unit.part.name} for unit in children
        ],
        "metadata": history.metadata(run),
    }


def _phase(run: Run, nth: int, item: Phase) -> dict[str, Any]:
    return {
        "id": phase_id(run, nth),
        "name": item.name,
        "outcome": item.outcome,
        "started_at": stamp(item.started),
        "ended_at": stamp(item.ended),
        "duration": duration(item.ended - item.started),
        "retry_count": item.retry_count,
        "sequence_path": item.sequence_path,
        "measurements": [_measurement(run, nth, place, m) for place, m in enumerate(item.measurements)],
    }


def _measurement(run: Run, nth: int, place: int, item: Measurement) -> dict[str, Any]:
    return {
        "id": measurement_id(run, nth, place),
        "name": item.name,
        "outcome": item.outcome,
        "validators": [validator(v) for v in item.validators] or None,
        "units": item.units,
        "measured_value": item.value,
        "data_series": [asdict(series) for series in item.series] if item.series else None,
    }


def validator(item: Validator) -> dict[str, Any]:
    return {
        "outcome": item.outcome,
        "operator": item.operator,
        "expected_value": item.expected,
        "expression": item.expression,
        "is_decisive": item.decisive,
        "is_expression_only": item.operator is None,
        "analytics_expression": None if item.operator is None else item.expression,
        "has_custom_expression": item.operator is None,
    }


def _attachment(item: Attachment, download_url: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "size": len(item.data),
        "content_type": item.content_type,
        "is_report": False,
        "download_url": download_url,
    }


def _log_line(line_id: str, line: LogLine) -> dict[str, Any]:
    return {
        "id": line_id,
        "level": line.level,
        "timestamp": stamp(line.at),
        "message": line.message,
        "source_file": line.source,
        "line_number": line.line,
    }


def final_attempts(phases: list[Phase]) -> set[int]:
    """Indexes of the phases that are the last attempt at their step."""
    last = {(p.sequence_path, p.name): nth for nth, p in enumerate(phases)}
    return set(last.values())


def _created_during(run: Run) -> dict[str, Any]:
    """The run that made a unit: `created_during` in the client's types."""
    keys = ("id", "created_at", "started_at", "ended_at", "duration", "outcome")
    head = run_head(run)
    return {key: head[key] for key in keys} | {"procedure": named(run.procedure)}


def unit_whole(unit: Unit) -> dict[str, Any]:
    """A unit, with the parts of its parent and sub-units."""
    return _identified(unit) | {
        "created_at": stamp(unit.created),
        "sample": unit.sample,
        "part": _part_of(unit),
        "batch": _batch_of(unit),
        "parent": _identified(unit.parent) | {"part": _part_of(unit.parent)} if unit.parent else None,
        "children": [_identified(child) | {"part": _part_of(child)} for child in unit.children or ()],
        "created_during": _created_during(unit.created_during) if unit.created_during else None,
    }
