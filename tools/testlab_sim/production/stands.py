"""StandCloud's half of the history: HardPy test plans run on the same units and on their power supplies."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from random import Random
from typing import Any

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


@dataclass
class Stands:
    """All rows of StandCloud, oldest first, and the sign-ins of its device flow."""

    seed: int
    rows: list[TestRow] = field(default_factory=list[TestRow])
    grants: dict[str, Any] = field(default_factory=dict[str, Any])
    tokens: dict[str, float] = field(default_factory=dict[str, float])
    _by_number: dict[int, TestRow] = field(default_factory=dict[int, TestRow])

    @classmethod
    def seeded(cls, seed: int, entries: list[tuple[Unit, float, bool]]) -> Stands:
        """Every power supply's functional test a day before its unit enters; burn-in of each unit that got through."""
        stands = cls(seed)
        rng = Random(seed ^ 0x5C)
        for unit, entered, finished in entries:
            for psu in unit.children or ():
                stands._verdict(rng, PSU_FCT, psu, entered - 86400.0)
            if finished:
                stands._verdict(rng, BURN_IN, unit, entered + 9 * 3600.0)
        stands.rows.sort(key=attrgetter("started"))
        stands._by_number = {row.number: row for row in stands.rows}
        return stands

    def _verdict(self, rng: Random, plan: TestPlan, unit: Unit, at: float) -> None:
        for attempt in range(1, fx.MAX_ATTEMPTS + 1):
            stand = plan.stands[int(rng.random() * len(plan.stands))]
            status, cause = self._outcome(rng, plan, attempt)
            ended = at + plan.seconds * (1.0 if status != "stop" else 0.4)
            batch = unit.batch.name if unit.batch else None
            number, part = len(self.rows) + 1, unit.part.part_number
            self.rows.append(
                TestRow(number, plan.name, unit.serial, part, batch, attempt, status, at, ended, stand, cause)
            )
            if status in ("pass", "skip"):
                return
            at = ended + 600 + rng.random() * 1200

    def _outcome(self, rng: Random, plan: TestPlan, attempt: int) -> tuple[str, str]:
        draw = rng.random()
        if draw < fx.STAND_STOP:
            return "stop", ""
        if draw < fx.STAND_STOP + fx.STAND_SKIP:
            return "skip", ""
        if rng.random() < (fx.STAND_FAIL if attempt == 1 else 1 - fx.REWORK_PASS):
            return "fail", plan.cases[int(rng.random() * len(plan.cases))][1]
        return "pass", ""

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
