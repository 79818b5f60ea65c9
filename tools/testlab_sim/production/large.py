"""A production history of any size, with what `effects` plants in it. Held are indexes and the units that were changed;
all else is made from the seed when it is asked for, one unit at a time.

A changed unit stays where it was created: a batch's list of units does not follow `PATCH /units`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from itertools import chain
from random import Random
from typing import Generic, NamedTuple, TypeVar

from testlab_sim.production.index import Index
from testlab_sim.production.line import Line
from testlab_sim.production.records import Run, Unit
from testlab_sim.production.stands import Stands, TestRow, test_unit

RUNS_PER_UNIT = 5.41
"""Runs of a unit and its power supply, in TofuPilot and StandCloud together."""

MAX_RUNS = 2_000_000
"""Ids of measurements have 24 bits for a run's number."""

_SHIFT = 5
"""Runs of a unit are numbered from 32 times its own number, so that a number says which unit to make."""

_MAX_MADE = 4096
_SERIAL = re.compile(r"(STB4K|PSU12)-(\d{6})")
T = TypeVar("T")


class Made(NamedTuple):
    """A unit, which has its runs, its power supply, and what StandCloud has of both."""

    unit: Unit
    psu: Unit
    rows: list[TestRow]


class LargeLine:
    """Makes the units of a line, always alike, and keeps those that are changed.

    `runs`, `rows` and `units` are in order of time; `run_by_number` and `unit_by_serial` find one.
    """

    def __init__(self, seed: int, now: float, runs: int) -> None:
        self.count = max(1, round(runs / RUNS_PER_UNIT))
        self.line = Line(seed, now, self.count)
        self._seed = seed
        self._made: OrderedDict[int, Made] = OrderedDict()
        self._kept: dict[int, Made] = {}
        self.line.start_samples(Random(seed << 35), (self.count + 1) << _SHIFT)
        samples = self.line.units
        self.last_number = max(self.line.next_number(), samples[-1].number)
        self.run_by_number = ByNumber(self._find_run, {run.number: run for run in self.line.runs})
        self._index(samples, self.line.runs)
        self.unit_by_serial = UnitsBySerial(self, {unit.serial: unit for unit in samples})
        self.stands = Stands(seed, self.rows, _by_number=ByNumber(self._find_row, {}), _of_serial=self._find_rows)

    def _index(self, samples: list[Unit], sample_runs: list[Run]) -> None:
        """Make every unit once, in order of entry, to know where its runs stand among all."""
        self.units = Index(self._get_unit, _number, lambda unit: unit.batch, "created")
        self.runs = Index(self._get_run, _number, _kind_of_run, "started", "created")
        self.rows = Index(self._get_row, _number, _kind_of_row, "started")
        self.units.collect(samples)
        self.runs.collect(sample_runs)
        self._samples = {unit.number: unit for unit in samples}
        for n in range(1, self.count + 1):
            made = self.make(n)
            self.units.collect((made.psu, made.unit))
            self.runs.collect(made.unit.runs)
            self.rows.collect(made.rows)
        for index in (self.units, self.runs, self.rows):
            index.sort()

    def make(self, n: int) -> Made:
        """Unit `n` of 1 to `count`, and what belongs to it."""
        made = self._kept.get(n) or self._made.get(n)
        if made is None:
            rng = Random((self._seed << 35) | n)
            unit, entered, finished = self.line.produce_alone(n, rng, n << _SHIFT)
            psu = self.line.units[1]
            made = self._made[n] = Made(unit, psu, list(test_unit(rng, n << _SHIFT, unit, entered, finished)))
            if len(self._made) > _MAX_MADE:
                self._made.popitem(last=False)
        return made

    def keep(self, unit: Unit) -> None:
        """Hold a unit from now on: it is about to change."""
        n = unit.number >> 1
        if 0 < n <= self.count and n not in self._kept:
            self._kept[n] = self.make(n)._replace(**{"psu" if unit.number & 1 else "unit": unit})

    def _find_run(self, number: int) -> Run | None:
        n = number >> _SHIFT
        runs = self.make(n).unit.runs if 0 < n <= self.count else []
        return next((run for run in runs if run.number == number), None)

    def _find_row(self, number: int) -> TestRow | None:
        n = number >> _SHIFT
        rows = self.make(n).rows if 0 < n <= self.count else []
        return next((row for row in rows if row.number == number), None)

    def _find_rows(self, serial: str) -> list[TestRow]:
        found = _SERIAL.fullmatch(serial)
        n = int(found[2]) if found else 0
        return [row for row in self.make(n).rows if row.serial == serial] if 0 < n <= self.count else []

    def _get_run(self, number: int) -> Run:
        run = self.run_by_number.get(number)
        assert run is not None, "what is deleted leaves the index, too"
        return run

    def _get_row(self, number: int) -> TestRow:
        row = self._find_row(number)
        assert row is not None, "rows are never deleted"
        return row

    def _get_unit(self, number: int) -> Unit:
        if own := self._samples.get(number) or self.unit_by_serial.added.get(number):
            return own
        made = self.make(number >> 1)
        return made.psu if number & 1 else made.unit


class ByNumber(Generic[T]):
    """Things by number: those that came in are held, all others found."""

    def __init__(self, find: Callable[[int], T | None], own: dict[int, T]) -> None:
        self._find = find
        self._own = own

    def get(self, number: int) -> T | None:
        return self._own.get(number) or self._find(number)

    def __setitem__(self, number: int, thing: T) -> None:
        self._own[number] = thing

    def __delitem__(self, number: int) -> None:
        self._own.pop(number, None)


class UnitsBySerial(MutableMapping[str, Unit]):
    """Units by serial number: samples and those that came in are held, all others made."""

    def __init__(self, line: LargeLine, own: dict[str, Unit]) -> None:
        self._line = line
        self._own = own
        self._deleted: set[str] = set()
        self.added: dict[int, Unit] = {}

    def __getitem__(self, serial: str) -> Unit:
        if own := self._own.get(serial):
            return own
        found = _SERIAL.fullmatch(serial)
        if not found or serial in self._deleted or not 0 < int(found[2]) <= self._line.count:
            raise KeyError(serial)
        made = self._line.make(int(found[2]))
        return made.unit if found[1] == "STB4K" else made.psu

    def __setitem__(self, serial: str, unit: Unit) -> None:
        self._own[serial] = self.added[unit.number] = unit
        self._line.units.add(unit)

    def __delitem__(self, serial: str) -> None:
        self._line.units.remove(self[serial])
        if self._own.pop(serial, None) is None:
            self._deleted.add(serial)

    def __iter__(self) -> Iterator[str]:
        made = (f"{kind}-{n:06d}" for n in range(1, self._line.count + 1) for kind in ("STB4K", "PSU12"))
        return (serial for serial in chain(self._own, made) if serial not in self._deleted)

    def __len__(self) -> int:
        return len(self._line.units)

    @property
    def by_creation(self) -> Index[Unit]:
        """The same, the oldest first."""
        return self._line.units


def _number(thing: Run | Unit | TestRow) -> int:
    return thing.number


def _kind_of_run(run: Run) -> tuple[object, ...]:
    return run.procedure, run.station, run.outcome, run.unit.part


def _kind_of_row(row: TestRow) -> tuple[object, ...]:
    return row.plan, row.status, row.attempt, row.stand.hw_id, row.part, row.batch
