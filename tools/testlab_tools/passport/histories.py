"""The runs of units over all services, each run once, per procedure; and of their peers, to compare them with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from testlab_tools.errors import LabError
from testlab_tools.models.lab import Run, Unit

MAX_APART = timedelta(seconds=1)
"""Between the records of one execution: services keep start times to the second, the millisecond or the microsecond."""

MIN_PEERS = 5
"""With fewer peers, what a part goes through is not known."""


class ProcedureKey(NamedTuple):
    """A procedure: the service that keeps it, and its name in lower case."""

    service: str
    test: str


Procedures = dict[ProcedureKey, list[Run]]
"""The runs of one unit, oldest first, per procedure in the order they began."""


@dataclass
class UnitHistory:
    """One unit: `runs` oldest first, each once; `records` by the registries that know it; `cut` names services that
    have more runs of it than were read; `duplicates` counts runs that another service has too."""

    serial: str
    runs: list[Run] = field(default_factory=list[Run])
    records: list[Unit] = field(default_factory=list[Unit])
    cut: set[str] = field(default_factory=set[str])
    duplicates: int = 0

    @property
    def part(self) -> str:
        """As a registry knows it, else as its runs do."""
        known = (*(record.part for record in self.records), *(run.part for run in reversed(self.runs)))
        return next((part for part in known if part), "")

    @property
    def sample(self) -> str:
        """golden, failing or ignored, if any service says so."""
        said = (*(record.sample for record in self.records), *(run.sample for run in self.runs))
        return next((sample for sample in said if sample), "")

    @property
    def procedures(self) -> Procedures:
        """Its runs per procedure."""
        return group_by_procedure(self.runs)


@dataclass
class TimeSpan:
    """Runs of a part as one service gave them: all between `begin` and `end`, None where there are no more."""

    runs: list[Run] = field(default_factory=list[Run])
    begin: datetime | None = None
    end: datetime | None = None


@dataclass
class PeerUnits:
    """Other units of a part, of which all runs are known, begun between `begin` and `end`; `uncompared` services cannot
    list the runs of a part."""

    units: list[Procedures] = field(default_factory=list[Procedures])
    begin: datetime | None = None
    end: datetime | None = None
    uncompared: list[str] = field(default_factory=list[str])

    @property
    def enough(self) -> bool:
        """Whether they show what the part goes through."""
        return len(self.units) >= MIN_PEERS


@dataclass
class PassportInput:
    """A unit and its sub-units, with peers by part; services that `failed`, those left `unasked`, and whether there are
    sub-units that were `unread`."""

    unit: UnitHistory
    sub_units: list[UnitHistory]
    peers: dict[str, PeerUnits]
    failed: dict[str, LabError]
    unasked: list[str]
    unread: bool = False

    @property
    def units(self) -> Iterator[UnitHistory]:
        """The unit, then its sub-units."""
        yield self.unit
        yield from self.sub_units

    def peers_of(self, unit: UnitHistory) -> PeerUnits:
        """The units that one is compared with."""
        return self.peers.get(unit.part.casefold(), PeerUnits())

    def sub_unit_name(self, unit: UnitHistory) -> str:
        """The serial number of a sub-unit; empty for the unit itself."""
        return "" if unit is self.unit else unit.serial


def group_by_procedure(runs: Iterable[Run]) -> Procedures:
    """A unit's runs, oldest first, per procedure."""
    found: Procedures = {}
    for run in runs:
        found.setdefault(ProcedureKey(run.service, run.test.casefold()), []).append(run)
    return found


def deduplicate(runs: Iterable[Run], services: Sequence[str]) -> list[Run]:
    """The runs, oldest first, without those that a service earlier in `services` has too.

    The same are runs of one unit that began together and ended alike, with the same test, or as long.
    """
    by_service: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_service[run.service].append(run)
    kept: dict[str, list[Run]] = defaultdict(list)
    for service in services:
        before = {unit: list(found) for unit, found in kept.items()}
        for run in by_service[service]:
            unit = run.unit.casefold()
            known = before.get(unit, [])
            twin = next((other for other in known if _same(run, other)), None)
            if twin is None:
                kept[unit].append(run)
            else:
                known.remove(twin)
    return sorted((run for found in kept.values() for run in found), key=lambda run: (run.started_at, run.run_id))


def find_peers(spans: Sequence[TimeSpan], own: Iterable[str], services: Sequence[str], now: datetime) -> PeerUnits:
    """The units of which the spans hold all runs: none that may have begun earlier or may go on later.

    `own` are serial numbers to leave out. Samples are left out too: they are not production.
    """
    begin = max((span.begin for span in spans if span.begin), default=None)
    end = min((span.end for span in spans if span.end), default=now)
    units = _by_unit(deduplicate((run for span in spans for run in span.runs), services), own)
    lengths = sorted(runs[-1].started_at - runs[0].started_at for runs in units)
    margin = lengths[(9 * len(lengths)) // 10] if lengths else timedelta()
    kept = [
        runs
        for runs in units
        if (begin is None or runs[0].started_at > begin + margin) and runs[-1].started_at <= end - margin
    ]
    first = min((runs[0].started_at for runs in kept), default=None)
    last = max((runs[-1].started_at for runs in kept), default=None)
    return PeerUnits([group_by_procedure(runs) for runs in kept], first, last)


def _same(run: Run, other: Run) -> bool:
    if run.outcome != other.outcome or abs(run.started_at - other.started_at) > MAX_APART:
        return False
    names = {name for name in (run.test.casefold(), other.test.casefold()) if name}
    longer = abs(run.duration_s - other.duration_s)
    return len(names) < 2 or (run.duration_s > 0 and longer <= MAX_APART.total_seconds())


def _by_unit(runs: list[Run], own: Iterable[str]) -> list[list[Run]]:
    left_out = {serial.casefold() for serial in own} | {run.unit.casefold() for run in runs if run.sample} | {""}
    units: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if (serial := run.unit.casefold()) not in left_out:
            units[serial].append(run)
    return list(units.values())
