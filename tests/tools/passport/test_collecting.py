"""Asking for a unit's story: sub-units within bounds, other spellings, and services that fail or cannot answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.capabilities import Health, Runs, UnitArchive, UnitRegistry
from testlab_tools.errors import NotFound, ServiceDown, Unsupported
from testlab_tools.http import ServiceClient
from testlab_tools.models import FailedRun, Run, Unit
from testlab_tools.passport import asking, collecting
from testlab_tools.passport.passport import passport_of
from testlab_tools.questions import RunQuery, UnitChange
from testlab_tools.records import RunDetail

START = datetime(2026, 11, 1, tzinfo=UTC)


class Ledger(UnitArchive, UnitRegistry):
    """Units with what is built into them, and runs; matches serial numbers exactly, or in any case."""

    kind = "ledger"

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
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

    async def failures(self, run_id: str) -> list[FailedRun]:
        return []

    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        raise Unsupported(self.name)

    async def count_runs(self, serial_number: str) -> tuple[int, bool]:
        return 0, True

    async def delete_unit(self, serial_number: str) -> None:
        raise Unsupported(self.name)


@pytest.fixture
def ledger(client_of: Callable[..., ServiceClient]) -> Callable[[str], Ledger]:
    return lambda name: Ledger(name, client_of("http://127.0.0.1:9"))


async def test_units_said_to_be_built_into_each_other_are_looked_at_once(ledger: Any) -> None:
    one = ledger("one")
    for unit, inside in (("A", ["B", "b"]), ("B", ["C", "A"]), ("C", ["A", "C", "D"]), ("D", [])):
        one.keep(unit, "FCT")
        one.inside[unit] = inside
    told = await passport_of([one], "A", 20)
    assert [unit.serial_number for unit in told.units] == ["A", "B", "C", "D"]
    assert len(told.runs) == 4


async def test_of_very_many_sub_units_the_first_are_looked_at_and_nothing_is_shipped(ledger: Any) -> None:
    one = ledger("one")
    for n in range(9):
        one.keep(f"O{n}", "FCT")
    one.keep("A", "FCT")
    assert (await passport_of([one], "A", 20)).ship == "ship"
    one.inside["A"] = [f"P{n}" for n in range(collecting.MOST_UNITS)]
    told = await passport_of([one], "A", 20)
    assert told.ship == "do not ship"
    assert told.reasons == ["It has more sub-units than were looked at."]
    looked_at = {query.unit for query in one.asked if query.unit.startswith("P")}
    assert len(looked_at) == collecting.MOST_UNITS - 1


async def test_a_unit_asked_for_in_another_case_is_found_where_case_matters(ledger: Any) -> None:
    registry, strict = ledger("registry"), ledger("strict")
    registry.exact = False
    registry.keep("SN-1a", "FCT")
    strict.runs = [run.model_copy(update={"run_id": "strict:1", "test": "EOL"}) for run in registry.runs]
    told = await passport_of([registry, strict], "sn-1A", 20)
    assert {run.run_id for run in told.runs} == {"registry:SN-1a/FCT/0", "strict:1"}
    assert [row.attempts for row in told.procedures] == [1, 1]


async def test_more_runs_than_are_read_keep_a_unit_from_being_shipped(
    ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MOST_RUNS", 3)
    one = ledger("one")
    for n in range(9):
        one.keep(f"O{n}", "FCT", "EOL")
    one.keep("A", "FCT", "FCT", "FCT", "EOL")
    told = await passport_of([one], "A", 20)
    assert told.reasons == ["one has more runs of it than were read."]
    (share,) = told.services
    assert (share.total, share.at_least) == (3, True)


async def test_a_service_that_lists_runs_only_by_serial_number_says_so_where_it_has_runs_of_the_unit(
    ledger: Any,
) -> None:
    one, old = ledger("one"), ledger("old")
    old.by_part = False
    for n in range(9):
        one.keep(f"O{n}", "FCT")
    one.keep("A", "FCT")
    assert (await passport_of([one, old], "A", 20)).ship == "ship"
    old.keep("A", "OTHER")
    told = await passport_of([one, old], "A", 20)
    assert told.reasons == ["old cannot list other units of a part: what is missing there cannot be told."]


async def test_a_service_that_failed_once_is_not_asked_again(ledger: Any) -> None:
    one, gone = ledger("one"), ledger("gone")
    gone.down = True
    one.keep("A", "FCT")
    one.keep("P", "FCT", part="PSU")
    one.inside["A"] = ["P"]
    told = await passport_of([one, gone], "A", 20)
    assert told.reasons[0] == "gone did not answer (see services)."
    assert len(gone.asked) == 1
    with pytest.raises(ServiceDown):
        await passport_of([gone], "A", 20)


async def test_a_service_that_never_answers_costs_a_bounded_time(ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one, stuck = ledger("one"), ledger("stuck")
    one.keep("A", "FCT")
    never = asyncio.Event()

    async def hold(query: RunQuery, limit: int, after: str = "") -> Runs:
        await never.wait()
        return Runs([], more=False)

    stuck.list_runs = hold
    assert asking.MOST_SECONDS < 45
    monkeypatch.setattr(asking, "ONE_SECONDS", 0.05)
    told = await passport_of([one, stuck], "A", 20)
    assert told.ship == "do not ship"
    assert told.reasons[0] == "stuck did not answer (see services)."
    assert [share.error for share in told.services if share.service == "one"] == [""]
    assert len(told.runs) == 1
