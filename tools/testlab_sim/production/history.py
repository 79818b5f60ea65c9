"""The production history: everything TofuPilot and StandCloud hold, seeded with some months and open to change, and
files on their way in and out: uploads with a grant that ends, and signed links of the same length."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Protocol

from testlab_sim.production.detail import conditions, derive
from testlab_sim.production.index import Index
from testlab_sim.production.large import LargeLine, UnitsBySerial
from testlab_sim.production.line import Line
from testlab_sim.production.records import (
    Attachment,
    Batch,
    Detail,
    Part,
    Procedure,
    Revision,
    Run,
    Station,
    Unit,
    Version,
    mint,
    number_of,
)
from testlab_sim.production.stands import Stands

_STARTED = attrgetter("started")
GRANT_SECONDS = 60.0
_SECRET = b"simulated lab"


@dataclass(slots=True)
class Upload:
    """A file announced, and whether it was PUT. `size` binds the grant to that many bytes (0: any)."""

    file: Attachment
    size: int = 0
    owner: Run | None = None
    received: bool = False


@dataclass
class Uploads:
    """Every upload by id, and the signatures of links."""

    by_id: dict[str, Upload] = field(default_factory=dict[str, Upload])
    _announced: int = 0

    def announce(self, name: str, content_type: str, size: int = 0, owner: Run | None = None) -> Upload:
        """A new upload, still empty."""
        self._announced += 1
        file = Attachment(mint("file", self._announced), name, content_type, b"")
        upload = self.by_id[file.id] = Upload(file, size, owner)
        return upload

    def keep(self, name: str, content_type: str, data: bytes) -> Attachment:
        """A file that is there already, as an attachment."""
        upload = self.announce(name, content_type)
        upload.file.data, upload.received = data, True
        return upload.file

    def drop(self, files: list[Attachment]) -> None:
        """Forget files: links to them lead nowhere."""
        for file in files:
            self.by_id.pop(file.id, None)

    def link(self, base: str, verb: str, file_id: str, now: float) -> str:
        """A link to PUT or GET the file during `GRANT_SECONDS` from `now`, without any other credential."""
        expires = int(now + GRANT_SECONDS)
        return f"{base}/{file_id}?expires={expires}&signature={_sign(verb, file_id, expires)}"

    def refusal(self, verb: str, file_id: str, expires: str, signature: str, now: float) -> str:
        """Why the link is not good (any more), or an empty string."""
        if not expires.isdigit() or signature != _sign(verb, file_id, int(expires)):
            return "SignatureDoesNotMatch"
        return "" if now <= int(expires) else "AccessDenied"


def _sign(verb: str, file_id: str, expires: int) -> str:
    return blake2b(f"{verb}{file_id}{expires}".encode(), key=_SECRET, digest_size=16).hexdigest()


class RunsByNumber(Protocol):
    """Runs by number."""

    def get(self, number: int, /) -> Run | None: ...
    def __setitem__(self, number: int, run: Run, /) -> None: ...
    def __delitem__(self, number: int, /) -> None: ...


@dataclass
class History:
    """The store behind TofuPilot v1 and v2 (one and the same), with StandCloud's in `stands`.

    `runs` is in order of start. Serial, part, revision and batch numbers are matched in any case: keys are upper-case.
    `keep` is called before a unit, or a run of it, changes.
    """

    seed: int
    runs: list[Run] | Index[Run] = field(default_factory=list[Run])
    units: MutableMapping[str, Unit] = field(default_factory=dict[str, Unit])
    parts: dict[str, Part] = field(default_factory=dict[str, Part])
    batches: dict[str, Batch] = field(default_factory=dict[str, Batch])
    procedures: dict[str, Procedure] = field(default_factory=dict[str, Procedure])
    stations: dict[str, Station] = field(default_factory=dict[str, Station])
    stands: Stands = field(default_factory=lambda: Stands(0))
    uploads: Uploads = field(default_factory=Uploads)
    run_refs: dict[str, Run] = field(default_factory=dict[str, Run])
    imported: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    keep: Callable[[Unit], None] = lambda unit: None
    _by_number: RunsByNumber = field(default_factory=dict[int, Run])
    _counter: int = 2_000_000

    @classmethod
    def seeded(cls, seed: int, now: float, runs: int = 0) -> History:
        """About four months of production that end at `now` (seconds since the epoch): what `effects` says, or about
        so many runs in TofuPilot and StandCloud together."""
        if runs:
            return cls._large(seed, now, runs)
        line = Line(seed, now)
        line.work()
        return cls(
            seed,
            sorted(line.runs, key=_STARTED),
            {unit.serial: unit for unit in line.units},
            {part.part_number: part for part in (line.box, line.psu)},
            {batch.name: batch for batch in line.batches},
            {procedure.id: procedure for procedure in line.procedures},
            {station.id: station for station in line.stations},
            Stands.seeded(seed, line.entries),
            _by_number={run.number: run for run in line.runs},
        )

    @classmethod
    def _large(cls, seed: int, now: float, runs: int) -> History:
        made = LargeLine(seed, now, runs)
        return cls(
            seed,
            made.runs,
            made.unit_by_serial,
            {part.part_number: part for part in (made.line.box, made.line.psu)},
            {batch.name: batch for batch in made.line.batches},
            {procedure.id: procedure for procedure in made.line.procedures},
            {station.id: station for station in made.line.stations},
            made.stands,
            keep=made.keep,
            _by_number=made.run_by_number,
            _counter=made.last_number,
        )

    def next_number(self) -> int:
        """A number no record has, for a new one."""
        self._counter += 1
        return self._counter

    def find_run(self, uuid: str) -> Run | None:
        number = number_of("run", uuid)
        return None if number is None else self._by_number.get(number)

    def run_numbered(self, number: int) -> Run | None:
        return self._by_number.get(number)

    def find_unit(self, serial: str) -> Unit | None:
        return self.units.get(serial.upper())

    def units_by_creation(self) -> Sequence[Unit]:
        """Every unit, the oldest first."""
        if isinstance(self.units, UnitsBySerial):
            return self.units.by_creation
        return sorted(self.units.values(), key=attrgetter("created"))

    def find_procedure(self, key: str) -> Procedure | None:
        """By UUID, by short identifier, or by name."""
        if procedure := self.procedures.get(key.lower()):
            return procedure
        wanted = key.casefold()
        return next((p for p in self.procedures.values() if wanted in (p.short.casefold(), p.name.casefold())), None)

    def station_of(self, token: str) -> Station | None:
        return next((s for s in self.stations.values() if s.api_key == token), None)

    def detail(self, run: Run) -> Detail:
        """Phases, logs, files and the rest of a run."""
        return run.detail if run.detail is not None else derive(self.seed, run)

    def metadata(self, run: Run) -> dict[str, Any]:
        if run.metadata is None:
            run.metadata = {} if run.detail is not None else dict(conditions(self.seed, run))
        return run.metadata

    def attachments(self, run: Run) -> list[Attachment]:
        return [*self.detail(run).attachments, *(run.attachments or ())]

    def add_run(self, run: Run) -> None:
        self.keep(run.unit)
        if isinstance(self.runs, Index):
            self.runs.add(run)
        else:
            insort(self.runs, run, key=_STARTED)
        insort(run.unit.runs, run, key=_STARTED)
        self._by_number[run.number] = run

    def delete_run(self, run: Run) -> None:
        """Take the run out with its phases, measurements, logs, files and its idempotency reference."""
        self.keep(run.unit)
        self.uploads.drop(self.attachments(run))
        self.runs.remove(run)
        run.unit.runs.remove(run)
        del self._by_number[run.number]
        self.run_refs = {ref: kept for ref, kept in self.run_refs.items() if kept is not run}
        self.imported = {k: ids for k, ids in self.imported.items() if run.id not in ids}

    def delete_unit(self, unit: Unit) -> None:
        """Take the unit out with all its runs; its sub-units stay, without a parent."""
        self.keep(unit)
        for run in list(unit.runs):
            self.delete_run(run)
        for child in unit.children or ():
            child.parent = None
        if unit.parent is not None:
            self.detach(unit)
        del self.units[unit.serial.upper()]

    def attach(self, parent: Unit, child: Unit) -> None:
        """Make `child` a sub-unit of `parent`, and of nothing else."""
        if child.parent is not None:
            self.detach(child)
        self.keep(parent)
        self.keep(child)
        child.parent = parent
        parent.children = [*(parent.children or ()), child]

    def detach(self, child: Unit) -> None:
        self.keep(child)
        if child.parent is not None:
            self.keep(child.parent)
            child.parent.children = [c for c in child.parent.children or () if c is not child]
        child.parent = None

    def procedure_named(self, name: str, short: str, at: float) -> Procedure:
        """A new procedure."""
        number = self.next_number()
        procedure = Procedure(mint("procedure", number), short or f"P{number}", name, at)
        self.procedures[procedure.id] = procedure
        return procedure

    def version_of(self, procedure: Procedure, tag: str, at: float) -> Version:
        """The version of that tag, made if need be; tags are matched in any case."""
        known = next((v for v in procedure.versions.values() if v.tag.casefold() == tag.casefold()), None)
        if known is None:
            known = procedure.versions[tag] = Version(self.next_number(), tag, at)
        return known

    def part_of(self, part_number: str, at: float, name: str = "") -> Part:
        """The part of that number, made if need be."""
        part = self.parts.get(part_number.upper())
        if part is None:
            part = Part(self.next_number(), part_number, name or part_number, at)
            self.parts[part_number.upper()] = part
        return part

    def revision_of(self, part: Part, name: str, at: float) -> Revision:
        """The revision of that name, made if need be; without a name the first there is, else `A`."""
        if not name and part.revisions:
            return next(iter(part.revisions.values()))
        key = (name or "A").upper()
        if key not in part.revisions:
            part.revisions[key] = Revision(self.next_number(), name or "A", at)
        return part.revisions[key]

    def batch_of(self, name: str, at: float) -> Batch:
        """The batch of that number, made if need be."""
        if name.upper() not in self.batches:
            self.batches[name.upper()] = Batch(self.next_number(), name, at)
        return self.batches[name.upper()]
