"""v2's JSON: runs, their phases, measurements and logs, with every key its client requires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testlab_sim.clock import iso
from testlab_sim.production.history import History
from testlab_sim.production.ids import mint
from testlab_sim.production.records import (
    Attachment,
    LogLine,
    Measurement,
    Part,
    Phase,
    Revision,
    Run,
    Series,
    Unit,
    Validator,
)
from testlab_sim.tofupilot.query import duration
from testlab_sim.tofupilot.service import email, identity
from testlab_sim.world import PEOPLE

_BY_EMAIL = {email(person): identity(person) for person in PEOPLE}
SHIFT = 12


def stamp(seconds: float) -> str:
    """ISO 8601 UTC, `Z`, milliseconds."""
    return iso(seconds, "")[:-3] + "Z"


def phase_id(run: Run, nth: int) -> str:
    return mint("phase", run.number << SHIFT | nth)


def measurement_id(run: Run, nth: int, place: int) -> str:
    return mint("measurement", (run.number << SHIFT | nth) << SHIFT | place)


def log_id(run: Run, nth: int) -> str:
    return mint("log", run.number << SHIFT | nth)


def part_of(part: Part, revision: Revision) -> dict[str, Any]:
    return {
        "id": part.id,
        "number": part.part_number,
        "name": part.name,
        "revision": {"id": revision.id, "number": revision.name},
    }


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
        "execution_id": detail.execution_id if detail else None,
        "slot_key": detail.slot_key if detail else None,
        "slot_name": detail.slot_name if detail else None,
        "procedure": {"id": run.procedure.id, "name": run.procedure.name, "version": version},
        "unit": {
            "id": unit.id,
            "serial_number": unit.serial,
            "sample": unit.sample,
            "part": part_of(unit.part, unit.revision),
            "batch": {"id": unit.batch.id, "number": unit.batch.name} if unit.batch else None,
        },
        "docstring": detail.docstring if detail else None,
        "created_by_user": user if run.station is None else None,
        "created_by_station": {"id": run.station.id, "name": run.station.name} if run.station else None,
        "operated_by": (user or {"id": None, "name": run.operator, "email": None}) if run.operator else None,
    }


def run_whole(history: History, run: Run, download: Callable[[str], str]) -> dict[str, Any]:
    """A single run; `download` gives the signed link of a file by its id."""
    detail = history.detail(run)
    children = detail.sub_units or run.unit.children or []
    return run_head(run) | {
        "config": detail.config,
        "secrets": detail.secrets,
        "phases": [phase(run, nth, item) for nth, item in enumerate(detail.phases)],
        "sequences": detail.sequences,
        "attachments": [attachment(item, download) for item in history.attachments(run)],
        "logs": [_log(run, nth, line) for nth, line in enumerate(detail.logs)],
        "sub_units": [_sub_unit(unit) for unit in children],
        "metadata": history.metadata(run),
    }


def phase(run: Run, nth: int, item: Phase) -> dict[str, Any]:
    return {
        "id": phase_id(run, nth),
        "name": item.name,
        "outcome": item.outcome,
        "started_at": stamp(item.started),
        "ended_at": stamp(item.ended),
        "duration": duration(item.ended - item.started),
        "retry_count": item.retry_count,
        "sequence_path": item.sequence_path,
        "measurements": [measurement(run, nth, place, m) for place, m in enumerate(item.measurements)],
        "docstring": item.docstring,
    }


def measurement(run: Run, nth: int, place: int, item: Measurement) -> dict[str, Any]:
    return {
        "id": measurement_id(run, nth, place),
        "name": item.name,
        "outcome": item.outcome,
        "validators": [validator(v) for v in item.validators] or None,
        "units": item.units,
        "aggregations": _aggregations(item, measurement_id(run, nth, place)),
        "measured_value": item.value,
        "data_series": [_series(series) for series in item.series] if item.series else None,
        "docstring": item.docstring,
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


def _aggregations(item: Measurement, owner: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{owner}-{nth}",
            "type": a.get("type", ""),
            "outcome": a.get("outcome"),
            "value": a.get("value"),
            "unit": a.get("unit"),
            "validators": None,
        }
        for nth, a in enumerate(item.aggregations or ())
    ]


def _series(item: Series) -> dict[str, Any]:
    return {
        "data": item.data,
        "units": item.units,
        "name": item.name,
        "description": item.description,
        "validators": None,
        "aggregations": None,
    }


def attachment(item: Attachment, download: Callable[[str], str]) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.name,
        "size": len(item.data),
        "content_type": item.content_type,
        "is_report": False,
        "download_url": download(item.id),
    }


def _log(run: Run, nth: int, line: LogLine) -> dict[str, Any]:
    return {
        "id": log_id(run, nth),
        "level": line.level,
        "timestamp": stamp(line.at),
        "message": line.message,
        "source_file": line.source,
        "line_number": line.line,
    }


def _sub_unit(unit: Unit) -> dict[str, Any]:
    return {
        "id": unit.id,
        "serial_number": unit.serial,
        "part_number": unit.part.part_number,
        "part_name": unit.part.name,
    }


def final_attempts(phases: list[Phase]) -> set[int]:
    """Indexes of the phases that are the last attempt at their step."""
    last = {(p.sequence_path, p.name): nth for nth, p in enumerate(phases)}
    return set(last.values())


def log_head(run: Run, at: tuple[int, LogLine]) -> dict[str, Any]:
    """A log entry on its own: with its run, unit and procedure."""
    nth, line = at
    head = run_head(run)
    return {
        "id": log_id(run, nth),
        "level": line.level,
        "message": line.message,
        "created_at": stamp(line.at),
        "source_file": line.source,
        "line_number": line.line,
        "run": {"id": run.id, "outcome": run.outcome, "started_at": stamp(run.started)},
        "unit": {"id": run.unit.id, "serial_number": run.unit.serial},
        "procedure": {"id": run.procedure.id, "name": run.procedure.name},
        "created_by_user": head["created_by_user"],
        "created_by_station": head["created_by_station"],
    }
