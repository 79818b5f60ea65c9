"""v2 phases, measurements and logs: parts of runs, listed across runs and got by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid, number_of
from testlab_sim.production.records import Run
from testlab_sim.tofupilot import nested_filters as nested
from testlab_sim.tofupilot.nested_filters import Entry
from testlab_sim.tofupilot.paging import nested_page, page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.run_filters import RUN_OUTCOMES, SHARED, duration_tests, matching, run_tests, time_tests
from testlab_sim.tofupilot.service import Refusal, invalid, operation, reply
from testlab_sim.tofupilot.shapes import SHIFT, log_head, measurement, phase
from testlab_sim.world import World

T = TypeVar("T")

_PAGING = ("sort_by", "sort_order", "limit", "cursor", "ids", *SHARED)
_PHASE_QUERY = (
    *("procedure_id", "names", "outcomes", "sequence_paths", "started_after", "started_before", "exclude_retries"),
    *("run_outcomes", "duration_min", "duration_max", *_PAGING),
)
_MEASUREMENT_QUERY = (
    *("procedure_id", "phase_name", "measurement_name", "phase_names", "outcomes", "duration_min", "duration_max"),
    *("started_after", "started_before", "exclude_retries", "value_min", "value_max", "value_bool", "value_strings"),
    *("measurement_outcomes", "measurement_types", *_PAGING),
)
_LOG_QUERY = (
    *("procedure_ids", "search_query", "levels", "timestamp_after", "timestamp_before", "source_files", "run_ids"),
    *("run_outcomes", *_PAGING),
)


@operation("GET", "/api/v2/phases", query=_PHASE_QUERY, fails=(400,))
async def list_phases(request: Request, world: World) -> Response:
    """List the phases of one procedure's runs; `exclude_retries` keeps only last attempts."""
    query = Query(request.query_params)
    runs = _runs(world.production, query, "run_outcomes")
    keep = nested.phase_test(query)
    return _listed(query, world.production, runs, nested.phases, keep, nested.PHASE_SORTS, nested.phase_row)


@operation("GET", "/api/v2/measurements", query=_MEASUREMENT_QUERY, fails=(400,))
async def list_measurements(request: Request, world: World) -> Response:
    """List the measurements of one procedure's runs; `exclude_retries` keeps only those of last attempts."""
    query = Query(request.query_params)
    runs = [run for run in _runs(world.production, query, "outcomes") if all(t(run) for t in duration_tests(query))]
    keep = nested.measurement_test(query)
    sorts = nested.MEASUREMENT_SORTS
    return _listed(query, world.production, runs, nested.measurements, keep, sorts, nested.measurement_row)


@operation("GET", "/api/v2/logs", query=_LOG_QUERY, fails=(400,))
async def list_logs(request: Request, world: World) -> Response:
    """List log entries across runs."""
    history, query = world.production, Query(request.query_params)
    tests = run_tests(query)
    if ids := query.many("run_ids"):
        tests.append(lambda run: run.id in ids)
    if outcomes := query.choice("run_outcomes", RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)
    runs = matching(history, tests)
    return _listed(query, history, runs, nested.logs, nested.log_test(query), nested.LOG_SORTS, log_head)


def _runs(history: History, query: Query, outcomes_key: str) -> list[Run]:
    """Runs of the required `procedure_id` that meet the shared filters."""
    uuid = query.text("procedure_id")
    if not uuid:
        raise invalid("procedure_id", "Required")
    if not is_uuid(uuid):
        raise invalid("procedure_id", "Invalid uuid")
    tests = run_tests(query) + time_tests(query, ("started",))
    tests.append(lambda run: run.procedure.id == uuid.lower())
    if outcomes := query.choice(outcomes_key, RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)
    return matching(history, tests)


def _listed(
    query: Query,
    history: History,
    runs: list[Run],
    parts: Callable[[History, Run], Iterator[T]],
    keep: Callable[[Run, T], bool],
    sorts: dict[str, Callable[[Entry[T]], Any]],
    shape: Callable[[Run, T], dict[str, Any]],
) -> Response:
    """A page in order of time, opening only the runs it needs; any other order opens all of them."""
    by = query.one_of("sort_by", tuple(sorts))
    descending = query.one_of("sort_order", ("desc", "asc")) == "desc"
    if by == next(iter(sorts)):
        ordered = runs if descending else runs[::-1]
        return nested_page(query, ordered, lambda run: (p for p in parts(history, run) if keep(run, p)), shape)
    entries: list[Entry[T]] = [(run, p) for run in runs for p in parts(history, run) if keep(run, p)]
    entries.sort(key=sorts[by], reverse=descending)
    return page(query, entries, lambda entry: shape(*entry))


@operation("GET", "/api/v2/phases/{id}", fails=(404,))
async def get_phase(request: Request, world: World) -> Response:
    """Get a phase with its measurements."""
    uuid = request.path_params["id"]
    run, nth = _located(world.production, "phase", uuid, SHIFT)
    phases = world.production.detail(run).phases
    if nth >= len(phases):
        raise Refusal(404, f"Phase with ID {uuid} not found")
    owner = {"run": {"id": run.id, "serial_number": run.unit.serial}, "procedure": _procedure(run)}
    return reply(phase(run, nth, phases[nth]) | owner)


@operation("GET", "/api/v2/measurements/{id}", fails=(404,))
async def get_measurement(request: Request, world: World) -> Response:
    """Get a measurement with its limits and series."""
    uuid = request.path_params["id"]
    run, rest = _located(world.production, "measurement", uuid, 2 * SHIFT)
    nth, place = rest >> SHIFT, rest & ((1 << SHIFT) - 1)
    phases = world.production.detail(run).phases
    if nth >= len(phases) or place >= len(phases[nth].measurements):
        raise Refusal(404, f"Measurement with ID {uuid} not found")
    shown = measurement(run, nth, place, phases[nth].measurements[place])
    owner = {"run": {"id": run.id, "outcome": run.outcome, "serial_number": run.unit.serial}}
    place_in = {"phase": {"id": phase(run, nth, phases[nth])["id"], "name": phases[nth].name}}
    return reply(shown | place_in | owner | {"procedure": _procedure(run)})


@operation("GET", "/api/v2/logs/{id}", fails=(404,))
async def get_log(request: Request, world: World) -> Response:
    """Get a log entry."""
    uuid = request.path_params["id"]
    run, nth = _located(world.production, "log", uuid, SHIFT)
    lines = world.production.detail(run).logs
    if nth >= len(lines):
        raise Refusal(404, f"Log with ID {uuid} not found")
    return reply(log_head(run, (nth, lines[nth])))


def _located(history: History, kind: str, uuid: str, shift: int) -> tuple[Run, int]:
    """The run an id points into, and where in it."""
    number = number_of(kind, uuid)
    run = None if number is None else history.run_numbered(number >> shift)
    if run is None or number is None:
        raise Refusal(404, f"{kind.capitalize()} with ID {uuid} not found")
    return run, number & ((1 << shift) - 1)


def _procedure(run: Run) -> dict[str, str]:
    return {"id": run.procedure.id, "name": run.procedure.name}
