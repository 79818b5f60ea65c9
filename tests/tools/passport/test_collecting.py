"""Asking for a unit's story: sub-units within bounds, other spellings, and services that fail or cannot answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from testlab_tools.capabilities import Health, Runs, UnitArchive, UnitRegistry
from testlab_tools.deadline import Deadline
from testlab_tools.errors import NotFound, ServiceDown, Unsupported
from testlab_tools.models.lab import FailedRun, Run, Unit
from testlab_tools.models.requests import RunQuery, UnitChange
from testlab_tools.models.results import RunDetail
from testlab_tools.passport import collect
from testlab_tools.passport.passport import make_passport

START = datetime(2026, 11, 1, tzinfo=UTC)


class Ledger(UnitArchive, UnitRegistry):
    """Units with what is built into them, and runs; matches serial numbers exactly, or in any case."""

    kind = "ledger"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.inside: dict[str, list[str]] = {}
        self.runs: list[Run] = []
        self.exact = True
        self.by_part = True
        self.down = False
        self.asked: list[RunQuery] = []

    def keep(self, unit: str, *tests: str, part: str = "BOX") -> None:
        """A run an hour of a unit, all passed."""
        self.inside.setdefault(unit, [])
        for n, test in enumerate(tests):
            at = START + timedelta(hours=n)
            run_id = self.handle(f"{unit}/{test}/{n}")
            self.runs.append(Run(run_id=run_id, outcome="pass", test=test, started_at=at, unit=unit, part=part))

    def alike(self, one: str, another: str) -> bool:
        return one == another if self.exact else one.casefold() == another.casefold()

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        self.asked.append(query)
        if self.down:
            raise ServiceDown(self.name, f"Service {self.name} cannot be reached")
        if query.part and not self.by_part:
            raise Unsupported(f"{self.name} lists runs only by serial number")
        found = [
            run for run in self.runs if self.alike(run.unit, query.unit) or (query.part and run.part == query.part)
        ]
        found = [run for run in found if query.since is None or run.started_at >= query.since]
        found = [run for run in found if query.until is None or run.started_at < query.until]
        found.sort(key=lambda run: run.started_at, reverse=not query.oldest_first)
        return Runs(found[:limit], more=len(found) > limit)

    async def get_unit(self, serial_number: str) -> Unit:
        for unit, inside in self.inside.items():
            if self.alike(unit, serial_number):
                return Unit(service=self.name, serial_number=unit, sub_units=inside)
        raise NotFound("no such unit")

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise NotFound(self.name)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return []

    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        raise Unsupported(self.name)

    async def list_unit_runs(self, serial_number: str) -> tuple[list[str], bool]:
        return [], True

    async def delete_unit(self, serial_number: str) -> None:
        raise Unsupported(self.name)


@pytest.fixture
def ledger() -> Callable[[str], Ledger]:
    return lambda name: Ledger(name)


async def test_units_said_to_be_built_into_each_other_are_looked_at_once(ledger: Callable[[str], Ledger]) -> None:
    one = ledger("one")
    for unit, inside in (("A", ["B", "b"]), ("B", ["C", "A"]), ("C", ["A", "C", "D"]), ("D", [])):
        one.keep(unit, "FCT")
        one.inside[unit] = inside
    told = await make_passport([one], "A", 20, Deadline())
    assert [unit.serial_number for unit in told.units] == ["A", "B", "C", "D"]
    assert len(told.runs) == 4


async def test_of_very_many_sub_units_the_first_are_looked_at_and_nothing_is_shipped(
    ledger: Callable[[str], Ledger],
) -> None:
    one = ledger("one")
    for n in range(9):
        one.keep(f"O{n}", "FCT")
    one.keep("A", "FCT")
    assert (await make_passport([one], "A", 20, Deadline())).ship == "ship"
    one.inside["A"] = [f"P{n}" for n in range(collect.MAX_UNITS)]
    told = await make_passport([one], "A", 20, Deadline())
    assert told.ship == "do not ship"
    assert told.unknown == ["It has more sub-units than were looked at."]
    looked_at = {query.unit for query in one.asked if query.unit.startswith("P")}
    assert len(looked_at) == collect.MAX_UNITS - 1


async def test_a_unit_asked_for_in_another_case_is_found_where_case_matters(ledger: Callable[[str], Ledger]) -> None:
    registry, strict = ledger("registry"), ledger("strict")
    registry.exact = False
    registry.keep("SN-1a", "FCT")
    strict.runs = [run.model_copy(update={"run_id": "strict:1", "test": "EOL"}) for run in registry.runs]
    told = await make_passport([registry, strict], "sn-1A", 20, Deadline())
    assert {run.run_id for run in told.runs} == {"registry:SN-1a/FCT/0", "strict:1"}
    assert [row.attempts for row in told.procedures] == [1, 1]


async def test_more_runs_than_are_read_keep_a_unit_from_being_shipped(
    ledger: Callable[[str], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_RUNS", 3)
    one = ledger("one")
    for n in range(9):
        one.keep(f"O{n}", "FCT", "EOL")
    one.keep("A", "FCT", "FCT", "FCT", "EOL")
    told = await make_passport([one], "A", 20, Deadline())
    assert told.unknown == ["one has more runs of it than were read."]
    (share,) = told.services
    assert (share.total, share.at_least) == (3, True)


async def test_a_service_that_lists_runs_only_by_serial_number_says_so_where_it_has_runs_of_the_unit(
    ledger: Callable[[str], Ledger],
) -> None:
    one, old = ledger("one"), ledger("old")
    old.by_part = False
    for n in range(9):
        one.keep(f"O{n}", "FCT")
    one.keep("A", "FCT")
    assert (await make_passport([one, old], "A", 20, Deadline())).ship == "ship"
    old.keep("A", "OTHER")
    told = await make_passport([one, old], "A", 20, Deadline())
    assert told.unknown == ["old cannot list other units of a part: what is missing there cannot be told."]


async def test_a_service_that_failed_once_is_not_asked_again(ledger: Callable[[str], Ledger]) -> None:
    one, gone = ledger("one"), ledger("gone")
    gone.down = True
    one.keep("A", "FCT")
    one.keep("P", "FCT", part="PSU")
    one.inside["A"] = ["P"]
    told = await make_passport([one, gone], "A", 20, Deadline())
    assert told.unknown[0] == "gone did not answer (see services)."
    assert len(gone.asked) == 1
    with pytest.raises(ServiceDown):
        await make_passport([gone], "A", 20, Deadline())


async def test_a_service_that_never_answers_costs_a_bounded_time(
    ledger: Callable[[str], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, stuck = ledger("one"), ledger("stuck")
    one.keep("A", "FCT")
    never = asyncio.Event()

    async def hold(query: RunQuery, limit: int, after: str = "") -> Runs:
        await never.wait()
        return Runs([], more=False)

    stuck.list_runs = hold
    assert collect.QUESTION_SHARE < 0.5
    monkeypatch.setattr(collect, "QUESTION_SHARE", 0.001)
    told = await make_passport([one, stuck], "A", 20, Deadline())
    assert told.ship == "do not ship"
    assert told.unknown[0] == "stuck did not answer (see services)."
    assert [share.error for share in told.services if share.service == "one"] == [""]
    assert len(told.runs) == 1
