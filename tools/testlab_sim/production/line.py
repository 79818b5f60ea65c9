"""The production line at work: units entering, being tested, failing, being reworked, as `effects` has it."""

from __future__ import annotations

from operator import attrgetter
from random import Random

from testlab_sim.production import effects as fx
from testlab_sim.production.plant import CHANGED_LIMITS, PLANS, Plan, limits
from testlab_sim.production.records import Batch, Part, Procedure, Revision, Run, Station, Unit, Version

DAY = 86400.0
_OPERATORS = ("you@lab.example", "colleague@lab.example", "Night shift")
_STARTED = attrgetter("started")
_LAST_ENTRY = 0.5 * DAY
_OFFSETS = {"FVT1": 0.0, "EOL1": 4 * 3600.0, "EMC1": 7 * 3600.0}


class Line:
    """Builds the plant's records and its runs, in `units` and `runs`; `entries` is (unit, time, finished) in order."""

    def __init__(self, seed: int, now: float, units: int = 0) -> None:
        """`units` enter instead of `effects.UNITS`, in as many batches."""
        self._count = units or fx.UNITS
        self._batch_size = -(-units * fx.BATCH_SIZE // fx.UNITS) or fx.BATCH_SIZE
        self._first_number = 1
        self.start = now - fx.DAYS * DAY
        self.now = now
        self.rng = Random(seed)
        self.procedures = [_procedure(plan, self.start, n) for n, plan in enumerate(PLANS)]
        self.stations = _stations(self.procedures)
        self.box = Part(1, "STB-4K", "4K set-top box", self.start - 30 * DAY)
        self.psu = Part(2, "PSU-12", "12 V power supply", self.start - 30 * DAY)
        for number, (part, name) in enumerate(((self.box, "A"), (self.box, "B"), (self.psu, "A")), 1):
            part.revisions[name] = Revision(number, name, part.created)
        lots = range(-(-self._count // self._batch_size))
        self.batches = [Batch(n + 1, f"LOT-26{n + 1:02d}", self._entry(n * self._batch_size) - DAY) for n in lots]
        self.units: list[Unit] = []
        self.runs: list[Run] = []
        self.entries: list[tuple[Unit, float, bool]] = []
        self._makers = [self._maker(p) for p in self.procedures]

    def work(self) -> None:
        """Four months of production, then the weekly sample checks."""
        for n in range(1, self._count + 1):
            self._produce(n)
        self._check_samples()

    def start_samples(self, rng: Random, first_number: int) -> None:
        """The samples' runs alone, drawn from `rng` and numbered from `first_number`."""
        self.rng, self._first_number = rng, first_number
        self._check_samples()

    def produce_alone(self, n: int, rng: Random, first_number: int) -> tuple[Unit, float, bool]:
        """Unit `n` as an entry, drawn from `rng`, its runs numbered from `first_number`; all before it is forgotten."""
        self.rng, self._first_number = rng, first_number
        self.units, self.runs, self.entries = [], [], []
        self._produce(n)
        return self.entries[0]

    def next_number(self) -> int:
        """The number of the run that comes next."""
        return self._first_number + len(self.runs)

    def _entry(self, n: int) -> float:
        return self.start + DAY + (fx.DAYS * DAY - DAY - _LAST_ENTRY) * n / self._count

    def _produce(self, n: int) -> None:
        entered = self._entry(n)
        revision = self.box.revisions["A" if n <= self._count // 2 else "B"]
        batch = self.batches[(n - 1) // self._batch_size]
        unit = Unit(2 * n, f"STB4K-{n:06d}", self.box, revision, batch, entered)
        psu = Unit(2 * n + 1, f"PSU12-{n:06d}", self.psu, self.psu.revisions["A"], None, entered - DAY, parent=unit)
        unit.children = [psu]
        self.units += (unit, psu)
        swapped = unit.serial in fx.OUT_OF_ORDER
        gap = fx.GAPS.get(unit.serial, "")
        for procedure, maker in zip(self.procedures, self._makers, strict=True):
            if procedure.short == gap:
                continue
            at = entered + _OFFSETS[procedure.short]
            if swapped and procedure.short == "EOL1":
                at = entered - 2 * 3600.0
            elif unit.runs:
                at = max(at, unit.runs[-1].ended + 600.0)
            if not maker.verdict(unit, at):
                self.entries.append((unit, entered, False))
                return
        if swapped:
            unit.runs.sort(key=_STARTED)
        self.entries.append((unit, entered, True))

    def _maker(self, procedure: Procedure) -> _Maker:
        assert procedure.plan is not None
        stations = [s for s in self.stations if procedure in s.procedures]
        return _Maker(self, procedure, procedure.plan, stations)

    def _check_samples(self) -> None:
        fvt = self._makers[0]
        for i, (serial, sample) in enumerate(fx.SAMPLES.items()):
            unit = Unit(1_000_000 + i, serial, self.box, self.box.revisions["A"], None, self.start, sample)
            self.units.append(unit)
            for week in range(fx.DAYS // 7):
                for place, station in enumerate(fvt.stations):
                    at = self.start + week * 7 * DAY + 6 * 3600 + (i * 4 + place) * 600
                    cause = "rail_3v3" if sample == "failing" else "idle_current" if i == 2 and week % 2 else ""
                    fvt.run(unit, at, station, cause, self.rng.gauss(fx.RAIL_START, fx.RAIL_SIGMA))


class _Maker:
    """Runs of one procedure."""

    def __init__(self, line: Line, procedure: Procedure, plan: Plan, stations: list[Station]) -> None:
        self._line = line
        self._procedure = procedure
        self._seconds = plan.seconds
        self._suspects = plan.suspects()
        self._base = fx.BASE_FAIL[plan.short]
        self._tracked = next(g for s in plan.steps for g in s.gauges if g.name == plan.tracked)
        self._retried = bool(plan.retried)
        self._versions = list(procedure.versions.values())
        self.stations = stations

    def verdict(self, unit: Unit, at: float) -> bool:
        """Run until the unit passes, or has failed `MAX_ATTEMPTS` times."""
        rng = self._line.rng
        at += rng.random() * 1800
        failures = 0
        while failures < fx.MAX_ATTEMPTS:
            station = self.stations[int(rng.random() * len(self.stations))]
            run = self.run(unit, at, station, self._cause(station, at, failures), self._value(unit, at, failures))
            if run.outcome == "PASS":
                return True
            failures += run.outcome == "FAIL"
            at = run.ended + 900 + rng.random() * 1500
        return False

    def run(self, unit: Unit, at: float, station: Station, cause: str, value: float) -> Run:
        """One run; `cause` is what goes wrong, or empty."""
        line, rng = self._line, self._line.rng
        at, value = round(at, 3), round(value, 4)
        version = self._versions[-1 if (at - line.start) / DAY >= fx.LIMITS_DAY else 0]
        retries = 0
        if self._retried and cause not in ("error", "timeout", "aborted"):
            while retries < fx.FLASH_ATTEMPTS and rng.random() < fx.FLASH_MISS:
                retries += 1
        outcome = self._outcome(cause, retries, value, version.tag)
        seconds = self._seconds * (3.0 if outcome == "TIMEOUT" else 1.0) + retries * 20.0
        operator = _OPERATORS[int(rng.random() * 3)]
        number = line.next_number()
        ended = round(at + seconds, 3)
        story = (cause, retries, value)
        run = Run(number, self._procedure, version, unit, station, operator, at, ended, ended + 2, outcome, story)
        line.runs.append(run)
        unit.runs.append(run)
        return run

    def _cause(self, station: Station, at: float, failures: int) -> str:
        rng = self._line.rng
        bad = station.name == fx.BAD_STATION and at >= self._line.start + fx.BAD_STATION_DAY * DAY
        draw = rng.random()
        if draw < (error := fx.BAD_STATION_ERROR if bad else fx.ERROR_RATE):
            return "error"
        if draw < (timeout := error + fx.TIMEOUT_RATE):
            return "timeout"
        if draw < timeout + fx.ABORT_RATE:
            return "aborted"
        if rng.random() < (1 - fx.REWORK_PASS if failures else self._base):
            return self._suspects[int(rng.random() * len(self._suspects))]
        return ""

    def _value(self, unit: Unit, at: float, failures: int) -> float:
        gauss = self._line.rng.gauss
        if self._tracked.name == "rail_5v":
            mean = fx.RAIL_START + fx.RAIL_SLOPE * (at - self._line.start) / DAY
            return gauss(mean if not failures else fx.RAIL_START, fx.RAIL_SIGMA)
        if self._tracked.name == "tuner_snr_db":
            bad = not failures and unit.batch is not None and unit.batch.name == fx.BAD_BATCH
            return gauss(fx.SNR_BAD if bad else fx.SNR_GOOD, fx.SNR_SIGMA)
        return gauss(fx.PEAK_MEAN, fx.PEAK_SIGMA)

    def _outcome(self, cause: str, retries: int, value: float, tag: str) -> str:
        if cause in ("error", "timeout", "aborted"):
            return cause.upper()
        low, high = limits(self._tracked, tag)
        beyond = (low is not None and value < low) or (high is not None and value > high)
        return "FAIL" if cause or beyond or retries == fx.FLASH_ATTEMPTS else "PASS"


def _procedure(plan: Plan, start: float, n: int) -> Procedure:
    procedure = Procedure(plan.uuid, plan.short, plan.name, start - 20 * DAY, plan)
    for i, tag in enumerate(plan.tags):
        narrowed = any(key[1] == tag for key in CHANGED_LIMITS)
        created = start + fx.LIMITS_DAY * DAY if narrowed else procedure.created
        procedure.versions[tag] = Version(10 * n + i + 1, tag, created)
    return procedure


def _stations(procedures: list[Procedure]) -> list[Station]:
    stations: list[Station] = []
    for procedure in procedures:
        assert procedure.plan is not None
        for name in procedure.plan.stations:
            key = f"sim-station-{name.lower()}"
            stations.append(Station(len(stations) + 1, name, key, [procedure]))
    return stations
