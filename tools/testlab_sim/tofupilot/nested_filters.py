"""Which parts of runs a v2 list shows, in which order, and as what row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from testlab_sim.production.history import History
from testlab_sim.production.records import LogLine, Measurement, Phase, Run
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.shapes import final_attempts, log_id, measurement_id, phase_id, stamp, validator

T = TypeVar("T")
Entry = tuple[Run, T]

PHASE_OUTCOMES = ("PASS", "FAIL", "SKIP", "ERROR")
MEASUREMENT_OUTCOMES = ("PASS", "FAIL", "UNSET")
TYPES = ("numeric", "boolean", "string", "multidimensional", "empty", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class PhaseAt(NamedTuple):
    """A phase, where it is in its run, and whether it is the last attempt."""

    nth: int
    phase: Phase
    final: bool


class MeasurementAt(NamedTuple):
    """A measurement and where it is in its phase."""

    owner: PhaseAt
    place: int
    item: Measurement


LogAt = tuple[int, LogLine]


def phases(history: History, run: Run) -> Iterator[PhaseAt]:
    items = history.detail(run).phases
    final = final_attempts(items)
    return (PhaseAt(nth, item, nth in final) for nth, item in enumerate(items))


def measurements(history: History, run: Run) -> Iterator[MeasurementAt]:
    for at in phases(history, run):
        for place, item in enumerate(at.phase.measurements):
            yield MeasurementAt(at, place, item)


def logs(history: History, run: Run) -> Iterator[LogAt]:
    return iter(enumerate(history.detail(run).logs))


def type_of(item: Measurement) -> str:
    """v2's `measurement_type`."""
    value = item.value
    if item.series:
        return "multidimensional"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "numeric"
    return "string" if isinstance(value, str) else "json"


def phase_test(query: Query) -> Callable[[Run, PhaseAt], bool]:
    names, paths, ids = query.many("names"), query.many("sequence_paths"), query.many("ids")
    outcomes, final = query.choice("outcomes", PHASE_OUTCOMES), query.flag("exclude_retries")
    low, high = query.duration("duration_min") or 0.0, query.duration("duration_max")

    def keep(run: Run, at: PhaseAt) -> bool:
        item = at.phase
        seconds = item.ended - item.started
        return (
            (at.final or not final)
            and (not names or item.name.lower() in names)
            and (not outcomes or item.outcome in outcomes)
            and (not paths or (item.sequence_path or "").lower() in paths)
            and low <= seconds
            and (high is None or seconds <= high)
            and (not ids or phase_id(run, at.nth) in ids)
        )

    return keep


def measurement_test(query: Query) -> Callable[[Run, MeasurementAt], bool]:
    phase_names = query.many("phase_names") | query.many("phase_name")
    names, ids, strings = query.many("measurement_name"), query.many("ids"), query.many("value_strings")
    outcomes = query.choice("measurement_outcomes", MEASUREMENT_OUTCOMES)
    types, final = query.choice("measurement_types", TYPES), query.flag("exclude_retries")
    in_range, boolean = _range_test(query), query.flag("value_bool")

    def keep(run: Run, at: MeasurementAt) -> bool:
        item = at.item
        return (
            (at.owner.final or not final)
            and (not phase_names or at.owner.phase.name.lower() in phase_names)
            and (not names or item.name.lower() in names)
            and (not outcomes or item.outcome in outcomes)
            and (not types or type_of(item) in types)
            and (boolean is None or item.value is boolean)
            and (not strings or (isinstance(item.value, str) and item.value.lower() in strings))
            and in_range(item.value)
            and (not ids or measurement_id(run, at.owner.nth, at.place) in ids)
        )

    return keep


def _range_test(query: Query) -> Callable[[Any], bool]:
    low, high = query.number("value_min"), query.number("value_max")
    if low is None and high is None:
        return lambda value: True
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (low is None or value >= low)
        and (high is None or value <= high)
    )


def log_test(query: Query) -> Callable[[Run, LogAt], bool]:
    levels, files, ids = query.choice("levels", LEVELS), query.many("source_files"), query.many("ids")
    text = query.text("search_query").casefold()
    after, before = query.instant("timestamp_after"), query.instant("timestamp_before")

    def keep(run: Run, at: LogAt) -> bool:
        nth, line = at
        return (
            (not levels or line.level in levels)
            and (not files or line.source.lower() in files)
            and (not text or text in line.message.casefold())
            and (after is None or line.at >= after)
            and (before is None or line.at <= before)
            and (not ids or log_id(run, nth) in ids)
        )

    return keep


PHASE_SORTS: dict[str, Callable[[Entry[PhaseAt]], Any]] = {
    "started_at": lambda e: e[1].phase.started,
    "duration": lambda e: e[1].phase.ended - e[1].phase.started,
    "outcome": lambda e: e[1].phase.outcome,
    "serial_number": lambda e: e[0].unit.serial,
    "phase_name": lambda e: e[1].phase.name,
}
MEASUREMENT_SORTS: dict[str, Callable[[Entry[MeasurementAt]], Any]] = {
    "started_at": lambda e: e[1].owner.phase.started,
    "value": lambda e: _sortable(e[1].item.value),
    "outcome": lambda e: e[1].item.outcome,
    "serial_number": lambda e: e[0].unit.serial,
    "phase_name": lambda e: e[1].owner.phase.name,
    "measurement_name": lambda e: e[1].item.name,
}
LOG_SORTS: dict[str, Callable[[Entry[LogAt]], Any]] = {
    "created_at": lambda e: e[1][1].at,
    "level": lambda e: LEVELS.index(e[1][1].level),
    "run_id": lambda e: e[0].id,
    "outcome": lambda e: e[0].outcome,
}


def _sortable(value: Any) -> tuple[bool, float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number, value if number else 0.0


def phase_row(run: Run, at: PhaseAt) -> dict[str, Any]:
    item = at.phase
    return {
        "id": phase_id(run, at.nth),
        "name": item.name,
        "outcome": item.outcome,
        "started_at": stamp(item.started),
        "ended_at": stamp(item.ended),
        "duration_ms": round((item.ended - item.started) * 1000),
        "retry_count": item.retry_count,
        "sequence_path": item.sequence_path,
        "is_final_attempt": at.final,
        "run_id": run.id,
        "run_outcome": run.outcome,
        "serial_number": run.unit.serial,
        "sample": run.unit.sample,
    }


def measurement_row(run: Run, at: MeasurementAt) -> dict[str, Any]:
    item, owner = at.item, at.owner.phase
    kind = type_of(item)
    return {
        "id": measurement_id(run, at.owner.nth, at.place),
        "phase_name": owner.name,
        "measurement_name": item.name,
        "started_at": stamp(owner.started),
        "value": item.value if kind == "numeric" else None,
        "bool_value": item.value if kind == "boolean" else None,
        "string_value": item.value if kind == "string" else None,
        "units": item.units,
        "measurement_outcome": item.outcome,
        "run_id": run.id,
        "serial_number": run.unit.serial,
        "sample": run.unit.sample,
        "measurement_type": kind,
        "retry_count": owner.retry_count,
        "is_final_attempt": at.owner.final,
        "validators": [validator(v) for v in item.validators] or None,
    }
