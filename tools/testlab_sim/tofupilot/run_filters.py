"""Which runs a v2 list is about: the filters that runs, phases, measurements and logs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testlab_sim.production.history import History
from testlab_sim.production.records import Run
from testlab_sim.tofupilot.query import Query
from testlab_sim.tofupilot.service import email, user_id
from testlab_sim.world import PEOPLE

Test = Callable[[Run], bool]

RUN_OUTCOMES = ("PASS", "FAIL", "ERROR", "TIMEOUT", "ABORTED")
SAMPLES = ("production", "golden", "failing", "ignored")
ENVIRONMENTS = ("production", "preview", "development")
_USERS = {email(person): user_id(person) for person in PEOPLE}
_NAMES = {email(person): person.name for person in PEOPLE}


def run_tests(query: Query) -> list[Test]:
    """The filters every list of runs or of their parts takes."""
    tests: list[Test] = []

    def among(key: str, value: Callable[[Run], str]) -> None:
        if wanted := query.many(key):
            tests.append(lambda run: value(run).lower() in wanted)

    among("procedure_ids", lambda run: run.procedure.id)
    among("procedure_versions", lambda run: run.version.tag if run.version else "")
    among("serial_numbers", lambda run: run.unit.serial)
    among("part_numbers", lambda run: run.unit.part.part_number)
    among("revision_numbers", lambda run: run.unit.revision.name)
    among("batch_numbers", lambda run: run.unit.batch.name if run.unit.batch else "")
    among("created_by_station_ids", lambda run: run.station.id if run.station else "")
    among("created_by_user_ids", lambda run: "" if run.station else _USERS.get(run.operator, ""))
    among("operated_by_ids", lambda run: _USERS.get(run.operator, ""))
    among("operated_by_names", lambda run: _NAMES.get(run.operator, run.operator))
    if samples := query.choice("samples", SAMPLES):
        tests.append(lambda run: (run.unit.sample or "production") in samples)
    # Runs of this lab come from no deployment, so they are all of the production environment.
    if query.many("deployment_ids") or "production" not in (query.choice("environments", ENVIRONMENTS) or SAMPLES):
        tests.append(lambda _: False)
    return tests


def own_tests(query: Query, history: History) -> list[Test]:
    """The filters of `GET /v2/runs` alone."""
    tests: list[Test] = []
    if ids := query.many("ids"):
        tests.append(lambda run: run.id in ids)
    if outcomes := query.choice("outcomes", RUN_OUTCOMES):
        tests.append(lambda run: run.outcome in outcomes)
    for key in ("execution_ids", "slot_keys", "slot_names"):
        if wanted := query.many(key):
            tests.append(_slot_test(key[:-1], wanted))
    if (matches := query.metadata()) is not None:
        tests.append(lambda run: matches(history.metadata(run)))
    if text := query.text("search_query").casefold():
        tests.append(lambda run: text in run.unit.serial.casefold() or text in run.procedure.name.casefold())
    return tests + duration_tests(query) + time_tests(query, ("started", "ended", "created"))


def _slot_test(name: str, wanted: frozenset[str]) -> Test:
    return lambda run: run.detail is not None and (getattr(run.detail, name) or "").lower() in wanted


def duration_tests(query: Query) -> list[Test]:
    low, high = query.duration("duration_min"), query.duration("duration_max")
    tests: list[Test] = []
    if low is not None:
        tests.append(lambda run: run.ended - run.started >= low)
    if high is not None:
        tests.append(lambda run: run.ended - run.started <= high)
    return tests


def time_tests(query: Query, moments: tuple[str, ...]) -> list[Test]:
    """`<moment>_after` and `<moment>_before`, both inclusive."""
    tests: list[Test] = []
    for moment in moments:
        if (after := query.instant(f"{moment}_after")) is not None:
            tests.append(_later(moment, after))
        if (before := query.instant(f"{moment}_before")) is not None:
            tests.append(_earlier(moment, before))
    return tests


def _later(moment: str, bound: float) -> Test:
    return lambda run: getattr(run, moment) >= bound


def _earlier(moment: str, bound: float) -> Test:
    return lambda run: getattr(run, moment) <= bound


def filter_runs(history: History, tests: list[Test], serials: frozenset[str] = frozenset()) -> list[Run]:
    """The runs that meet all tests, newest start first; of one unit alone, where `serials` names one."""
    runs = reversed(history.runs)
    if len(serials) == 1:
        unit = history.find_unit(min(serials))
        runs = reversed(unit.runs if unit else [])
    for test in tests:
        runs = filter(test, runs)
    return list(runs)


RUN_SORTS: dict[str, Callable[[Run], Any]] = {
    "started_at": lambda run: run.started,
    "created_at": lambda run: run.created,
    "duration": lambda run: run.ended - run.started,
    "outcome": lambda run: run.outcome,
    "serial_number": lambda run: run.unit.serial,
    "part_number": lambda run: run.unit.part.part_number,
    "revision_number": lambda run: run.unit.revision.name,
}
