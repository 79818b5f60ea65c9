"""v2 phases, measurements and logs: parts of runs, listed across runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.records import LogLine, Measurement, Phase, Run, is_uuid
from testlab_sim.tofupilot.query import Query, nested_page
from testlab_sim.tofupilot.runs import filter_runs
from testlab_sim.tofupilot.service import api, invalid
from testlab_sim.tofupilot.shapes import (
    final_attempts,
    log_id,
    measurement_id,
    phase_id,
    stamp,
    validator,
)
from testlab_sim.world import World

Row = dict[str, Any]

PHASE_OUTCOMES = ("PASS", "FAIL", "SKIP", "ERROR")
MEASUREMENT_OUTCOMES = ("PASS", "FAIL", "UNSET")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@api.route("GET", "/api/v2/phases")
async def list_phases(request: Request, world: World) -> Response:
    """List the phases of one procedure's runs; `exclude_retries` keeps only last attempts."""
    query, history = Query(request), world.production
    names, outcomes = query.many("names"), query.choice("outcomes", PHASE_OUTCOMES)

    def rows(run: Run) -> Iterator[Row]:
        for nth, phase, final in _attempts(history, run, query):
            if (not names or phase.name.lower() in names) and (not outcomes or phase.outcome in outcomes):
                yield _phase_row(run, nth, phase, final=final)

    return _list_parts(query, _runs_of_procedure(history, query, "run_outcomes"), "started_at", rows)


@api.route("GET", "/api/v2/measurements")
async def list_measurements(request: Request, world: World) -> Response:
    """List the measurements of one procedure's runs; `exclude_retries` keeps only those of last attempts."""
    query, history = Query(request), world.production
    names, outcomes = query.many("measurement_name"), query.choice("measurement_outcomes", MEASUREMENT_OUTCOMES)

    def rows(run: Run) -> Iterator[Row]:
        for nth, phase, final in _attempts(history, run, query):
            for place, item in enumerate(phase.measurements):
                if (not names or item.name.lower() in names) and (not outcomes or item.outcome in outcomes):
                    yield _measurement_row(run, measurement_id(run, nth, place), phase, item, final=final)

    return _list_parts(query, _runs_of_procedure(history, query, "outcomes"), "started_at", rows)


@api.route("GET", "/api/v2/logs")
async def list_logs(request: Request, world: World) -> Response:
    """List log entries across runs."""
    query, history = Query(request), world.production
    ids, levels = query.many("run_ids"), query.choice("levels", LEVELS)

    def rows(run: Run) -> Iterator[Row]:
        for nth, line in enumerate(history.detail(run).logs):
            if not levels or line.level in levels:
                yield _log_row(run, nth, line)

    runs = filter_runs(history, query, "run_outcomes", [], ids=ids)
    return _list_parts(query, runs, "created_at", rows)


def _runs_of_procedure(history: History, query: Query, outcomes_key: str) -> Sequence[Run]:
    uuid = query.text("procedure_id")
    if not is_uuid(uuid):
        raise invalid("procedure_id", "Invalid uuid" if uuid else "Required")
    return filter_runs(history, query, outcomes_key, [], uuid)


def _list_parts(query: Query, runs: Sequence[Run], by: str, rows: Callable[[Run], Iterator[Row]]) -> Response:
    return nested_page(query, runs if query.descending(by) else runs[::-1], rows)


def _attempts(history: History, run: Run, query: Query) -> Iterator[tuple[int, Phase, bool]]:
    """The run's phases that are asked for, each with its place in the run and whether it is the last attempt."""
    phases, last_only = history.detail(run).phases, query.flag("exclude_retries")
    last = final_attempts(phases)
    return ((nth, phase, nth in last) for nth, phase in enumerate(phases) if nth in last or not last_only)


def _phase_row(run: Run, nth: int, item: Phase, *, final: bool) -> Row:
    return {
        "id": phase_id(run, nth),
        "name": item.name,
        "outcome": item.outcome,
        "started_at": stamp(item.started),
        "ended_at": stamp(item.ended),
        "duration_ms": round((item.ended - item.started) * 1000),
        "retry_count": item.retry_count,
        "sequence_path": item.sequence_path,
        "is_final_attempt": final,
        "run_id": run.id,
        "run_outcome": run.outcome,
        "serial_number": run.unit.serial,
        "sample": run.unit.sample,
    }


def _measurement_row(run: Run, item_id: str, owner: Phase, item: Measurement, *, final: bool) -> Row:
    kind = _type_of(item)
    return {
        "id": item_id,
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
        "is_final_attempt": final,
        "validators": [validator(v) for v in item.validators] or None,
    }


def _type_of(item: Measurement) -> str:
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


def _log_row(run: Run, nth: int, line: LogLine) -> Row:
    return {
        "id": log_id(run, nth),
        "level": line.level,
        "message": line.message,
        "created_at": stamp(line.at),
        "source_file": line.source,
        "line_number": line.line,
        "run": {"id": run.id, "outcome": run.outcome, "started_at": stamp(run.started)},
    }
