"""Which units a v2 list is about, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.records import Run, Unit
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.run_filters import RUN_OUTCOMES, SAMPLES, run_tests, time_tests

Test = Callable[[Unit], bool]

_MANY_RUNS = 1 << 31


def filter_units(history: History, query: Query) -> list[Unit]:
    """Units that meet all filters, in no order yet."""
    tests = _own_tests(query)
    if run_test := _run_test(query):
        tests.append(run_test)
    return [unit for unit in history.units.values() if all(test(unit) for test in tests)]


def _own_tests(query: Query) -> list[Test]:
    tests: list[Test] = []

    def among(key: str, value: Callable[[Unit], str]) -> None:
        if wanted := query.many(key):
            tests.append(lambda unit: value(unit).lower() in wanted)

    among("ids", lambda unit: unit.id)
    among("serial_numbers", lambda unit: unit.serial)
    among("part_numbers", lambda unit: unit.part.part_number)
    among("revision_numbers", lambda unit: unit.revision.name)
    among("batch_numbers", lambda unit: unit.batch.name if unit.batch else "")
    if text := query.text("search_query").casefold():
        tests.append(lambda unit: text in unit.serial.casefold() or text in unit.part.name.casefold())
    if samples := query.choice("samples", SAMPLES):
        tests.append(lambda unit: (unit.sample or "production") in samples)
    if query.flag("exclude_units_with_parent"):
        tests.append(lambda unit: unit.parent is None)
    if (matches := query.metadata()) is not None:
        tests.append(lambda unit: matches(unit.metadata or {}))
    return tests + _bounds(query)


def _bounds(query: Query) -> list[Test]:
    tests: list[Test] = []
    low, high = query.whole("run_count_min", 0, 0, _MANY_RUNS), query.whole("run_count_max", _MANY_RUNS, 0, _MANY_RUNS)
    if low or high != _MANY_RUNS:
        tests.append(lambda unit: low <= len(unit.runs) <= high)
    if (after := query.instant("created_after")) is not None:
        tests.append(lambda unit: unit.created >= after)
    if (before := query.instant("created_before")) is not None:
        tests.append(lambda unit: unit.created <= before)
    return tests


def _run_test(query: Query) -> Test | None:
    """A unit with a run (under `latest_only`: whose last run) that meets the filters on runs."""
    keys = ("procedure_ids", "outcomes", "started_after", "created_by_station_ids", "created_by_user_ids")
    if not any(query.text(key) for key in (*keys, "started_before")):
        return None
    tests = run_tests(query) + time_tests(query, ("started",))
    if outcomes := query.choice("outcomes", RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)

    def meets(run: Run) -> bool:
        return all(test(run) for test in tests)

    latest = query.flag("latest_only")
    return lambda unit: any(meets(run) for run in (unit.runs[-1:] if latest else unit.runs))


UNIT_SORTS: dict[str, Callable[[Unit], Any]] = {
    "serial_number": lambda unit: unit.serial,
    "created_at": lambda unit: unit.created,
    "last_run_at": lambda unit: unit.runs[-1].started if unit.runs else 0.0,
    "part_number": lambda unit: unit.part.part_number,
    "last_run_procedure": lambda unit: unit.runs[-1].procedure.name if unit.runs else "",
}
