"""v2's JSON of units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.records import Unit
from testlab_sim.tofupilot.query import duration
from testlab_sim.tofupilot.shapes import attachment, part_of, run_head, stamp


def _head(unit: Unit) -> dict[str, Any]:
    return {
        "id": unit.id,
        "serial_number": unit.serial,
        "created_at": stamp(unit.created),
        "sample": unit.sample,
        "part": part_of(unit.part, unit.revision),
        "batch": {"id": unit.batch.id, "number": unit.batch.name} if unit.batch else None,
        "created_by_user": None,
        "created_by_station": None,
    }


def unit_row(unit: Unit) -> dict[str, Any]:
    """A unit in a list, with its last run."""
    return _head(unit) | {
        "children": [_named(child) for child in unit.children or ()],
        "parent": _named(unit.parent) if unit.parent else None,
        "last_run": _last_run(unit),
    }


def _named(unit: Unit) -> dict[str, Any]:
    return {"id": unit.id, "serial_number": unit.serial}


def _last_run(unit: Unit) -> dict[str, Any] | None:
    if not unit.runs:
        return None
    run = unit.runs[-1]
    return {
        "id": run.id,
        "outcome": run.outcome,
        "started_at": stamp(run.started),
        "ended_at": stamp(run.ended),
        "procedure": {"id": run.procedure.id, "name": run.procedure.name},
    }


def unit_whole(history: History, unit: Unit, download: Callable[[str], str]) -> dict[str, Any]:
    """A single unit; `download` gives the signed link of a file by its id."""
    return _head(unit) | {
        "parent": _relative(unit.parent) if unit.parent else None,
        "children": [_relative(child) for child in unit.children or ()],
        "created_during": _created_during(history, unit),
        "attachments": [_file(attachment(file, download)) for file in unit.attachments or ()],
        "metadata": unit.metadata or {},
    }


def _relative(unit: Unit) -> dict[str, Any]:
    return _named(unit) | {"part": part_of(unit.part, unit.revision)}


def _created_during(history: History, unit: Unit) -> dict[str, Any] | None:
    run = history.run_numbered(unit.created_in)
    if run is None:
        return None
    head = run_head(run)
    return {key: head[key] for key in ("id", "created_at", "started_at", "ended_at", "outcome")} | {
        "duration": duration(run.ended - run.started),
        "procedure": {"id": run.procedure.id, "name": run.procedure.name},
    }


def _file(shown: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in shown.items() if key != "is_report"}
