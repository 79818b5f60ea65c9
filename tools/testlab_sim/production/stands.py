"""StandCloud's half of the history: HardPy test plans run on the same units and on their power supplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from random import Random
from typing import Any, Protocol

from testlab_sim.production import effects as fx
from testlab_sim.production.plant import BURN_IN, PSU_FCT, Stand, TestPlan
from testlab_sim.production.records import Unit, mint, number_of


@dataclass(slots=True, eq=False)
class TestRow:
    """One HardPy test run. `cause` is the failing case's key."""

    number: int
    plan: str
    serial: str | None
    part: str
    batch: str | None
    attempt: int
    status: str
    started: float
    finished: float
    stand: Stand
    cause: str

    @property
    def id(self) -> str:
        return mint("test_run", self.number)

    @property
    def info(self) -> dict[str, Any]:
        """`dut.info`: its keys are filters of StandCloud's lists."""
        digits = (self.serial or "")[-6:]
        maker = "XYZ_Corp" if digits.isdigit() and int(digits) % 3 == 0 else "ABC_Corp"
        return {"manufacturer": maker, "firmware_version": "1.4.2", "SerialNumber": f"C-{digits}"}


class RowsByNumber(Protocol):
    """Finds a row by its number."""

    def get(self, number: int, /) -> TestRow | None: ...


@dataclass
class Stands:
    """All rows of StandCloud, oldest first, and the sign-ins of its device flow."""

    seed: int
    rows: Sequence[TestRow] = field(default_factory=list[TestRow])
    grants: dict[str, Any] = field(default_factory=dict[str, Any])
    tokens: dict[str, float] = field(default_factory=dict[str, float])
    _by_number: RowsByNumber = field(default_factory=dict[int, TestRow])
    _of_serial: Callable[[str], list[TestRow]] | None = None

    @classmethod
    def seeded(cls, seed: int, entries: list[tuple[Unit, float, bool]]) -> Stands:
        """The rows of all units that entered."""
        rng, rows = Random(seed ^ 0x5C), list[TestRow]()
        for entry in entries:
            rows.extend(test_unit(rng, len(rows) + 1, *entry))
        rows.sort(key=attrgetter("started"))
        return cls(seed, rows, _by_number={row.number: row for row in rows})

    def of_serial(self, serial: str) -> list[TestRow]:
        """The rows of a serial number in any case, oldest first."""
        wanted = serial.upper()
        found = self._of_serial(wanted) if self._of_serial else self.rows
        return sorted((row for row in found if (row.serial or "").upper() == wanted), key=attrgetter("started"))

    def find(self, uuid: str) -> TestRow | None:
        """The row of that id."""
        number = number_of("test_run", uuid)
        return None if number is None else self._by_number.get(number)

    def failed_case(self, row: TestRow) -> tuple[str, str, str, dict[str, Any]] | None:
        """Module key, case key, case title and the failing measurement (HardPy's shape) of a failure."""
        found = next((case for case in (*PSU_FCT.cases, *BURN_IN.cases) if case[1] == row.cause), None)
        if found is None:
            return None
        module, case, title, gauge = found
        rng = Random((self.seed << 32) | row.number)
        excess = (0.5 + 2 * rng.random()) * gauge.sigma
        above = gauge.high is not None and (gauge.low is None or rng.random() < 0.5)
        value = (gauge.high or 0) + excess if above else (gauge.low or 0) - excess
        measurement = {
            "type": "numeric",
            "name": gauge.name,
            "operation": None,
            "result": False,
            "value": round(value, 3),
            "unit": gauge.units,
            "comparison_value": None,
            "lower_limit": gauge.low,
            "upper_limit": gauge.high,
        }
        return module, case, title, measurement


def test_unit(rng: Random, number: int, unit: Unit, entered: float, finished: bool) -> Iterator[TestRow]:
    """A power supply's functional test a day before its unit enters, and the burn-in of a unit that got through."""
    for psu in unit.children or ():
        for row in _test(rng, PSU_FCT, psu, entered - 86400.0, number):
            number += 1
            yield row
    if finished:
        yield from _test(rng, BURN_IN, unit, entered + 9 * 3600.0, number)


def _test(rng: Random, plan: TestPlan, unit: Unit, at: float, number: int) -> Iterator[TestRow]:
    for attempt in range(1, fx.MAX_ATTEMPTS + 1):
        stand = plan.stands[int(rng.random() * len(plan.stands))]
        status, cause = _outcome(rng, plan, attempt)
        ended = at + plan.seconds * (1.0 if status != "stop" else 0.4)
        batch = unit.batch.name if unit.batch else None
        part = unit.part.part_number
        yield TestRow(number, plan.name, unit.serial, part, batch, attempt, status, at, ended, stand, cause)
        if status in ("pass", "skip"):
            return
        at, number = ended + 600 + rng.random() * 1200, number + 1


def _outcome(rng: Random, plan: TestPlan, attempt: int) -> tuple[str, str]:
    draw = rng.random()
    if draw < fx.STAND_STOP:
        return "stop", ""
    if draw < fx.STAND_STOP + fx.STAND_SKIP:
        return "skip", ""
    if rng.random() < (fx.STAND_FAIL if attempt == 1 else 1 - fx.REWORK_PASS):
        return "fail", plan.cases[int(rng.random() * len(plan.cases))][1]
    return "pass", ""
