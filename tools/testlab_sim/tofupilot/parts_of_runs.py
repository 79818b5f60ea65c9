"""v2 phases, measurements and logs: parts of runs, listed across runs and got by id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from testlab_sim.production.history import History
from testlab_sim.production.ids import is_uuid
from testlab_sim.production.records import Run
from testlab_sim.tofupilot import nested_filters as nested
from testlab_sim.tofupilot.nested_filters import Entry
from testlab_sim.tofupilot.paging import nested_page, page
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.run_filters import RUN_OUTCOMES, duration_tests, filter_runs, run_tests, time_tests
from testlab_sim.tofupilot.service import invalid, operation
from testlab_sim.tofupilot.shapes import log_head
from testlab_sim.world import World

T = TypeVar("T")


@operation("GET", "/api/v2/phases")
async def list_phases(request: Request, world: World) -> Response:
    """List the phases of one procedure's runs; `exclude_retries` keeps only last attempts."""
    query = Query(request.query_params)
    runs = _filter_runs(world.production, query, "run_outcomes")
    keep = nested.phase_test(query)
    return _list_entries(query, world.production, runs, nested.phases, keep, nested.PHASE_SORTS, nested.phase_row)


@operation("GET", "/api/v2/measurements")
async def list_measurements(request: Request, world: World) -> Response:
    """List the measurements of one procedure's runs; `exclude_retries` keeps only those of last attempts."""
    query = Query(request.query_params)
    runs = [
        run for run in _filter_runs(world.production, query, "outcomes") if all(t(run) for t in duration_tests(query))
    ]
    keep = nested.measurement_test(query)
    sorts = nested.MEASUREMENT_SORTS
    return _list_entries(query, world.production, runs, nested.measurements, keep, sorts, nested.measurement_row)


@operation("GET", "/api/v2/logs")
async def list_logs(request: Request, world: World) -> Response:
    """List log entries across runs."""
    history, query = world.production, Query(request.query_params)
    tests = run_tests(query)
    if ids := query.many("run_ids"):
        tests.append(lambda run: run.id in ids)
    if outcomes := query.choice("run_outcomes", RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)
    runs = filter_runs(history, tests)
    return _list_entries(query, history, runs, nested.logs, nested.log_test(query), nested.LOG_SORTS, log_head)


def _filter_runs(history: History, query: Query, outcomes_key: str) -> list[Run]:
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
    return filter_runs(history, tests)


def _list_entries(
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
