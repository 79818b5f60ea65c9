"""The nouns of the production history. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from testlab_sim.production.ids import mint

if TYPE_CHECKING:
    from testlab_sim.production.plant import Plan


@dataclass(slots=True, eq=False)
class Version:
    """A procedure version, by its tag."""

    number: int
    tag: str
    created: float

    @property
    def id(self) -> str:
        return mint("version", self.number)


@dataclass(slots=True, eq=False)
class Procedure:
    """What is done to a unit. `short` is the identifier v1 uses (`FVT1`), `id` the UUID v2 uses."""

    id: str
    short: str
    name: str
    created: float
    plan: Plan | None = None
    versions: dict[str, Version] = field(default_factory=dict[str, Version])


@dataclass(slots=True, eq=False)
class Revision:
    number: int
    name: str
    created: float

    @property
    def id(self) -> str:
        return mint("revision", self.number)


@dataclass(slots=True, eq=False)
class Part:
    """A part number with its revisions by upper-case name."""

    number: int
    part_number: str
    name: str
    created: float
    revisions: dict[str, Revision] = field(default_factory=dict[str, Revision])

    @property
    def id(self) -> str:
        return mint("part", self.number)


@dataclass(slots=True, eq=False)
class Batch:
    number: int
    name: str
    created: float

    @property
    def id(self) -> str:
        return mint("batch", self.number)


@dataclass(slots=True, eq=False)
class Station:
    """A test station; `api_key` opens TofuPilot as that station and is in the body of its own page."""

    number: int
    name: str
    api_key: str
    procedures: list[Procedure]

    @property
    def id(self) -> str:
        return mint("station", self.number)


@dataclass(slots=True, eq=False)
class Unit:
    """One thing tested. `sample` is golden, failing, ignored, or None in production."""

    number: int
    serial: str
    part: Part
    revision: Revision
    batch: Batch | None
    created: float
    sample: str | None = None
    parent: Unit | None = None
    children: list[Unit] | None = None
    runs: list[Run] = field(default_factory=list["Run"])

    @property
    def id(self) -> str:
        return mint("unit", self.number)


@dataclass(slots=True, eq=False)
class Run:
    """One execution of a procedure on a unit.

    A run of the seeded history keeps only its `story` (cause of trouble, failed attempts of the retried phase, value
    of the tracked measurement); its phases and logs are derived. A run made through the service holds its `detail`.
    """

    number: int
    procedure: Procedure
    version: Version | None
    unit: Unit
    station: Station | None
    operator: str
    started: float
    ended: float
    created: float
    outcome: str
    story: tuple[str, int, float] | None = None
    detail: Detail | None = None
    metadata: dict[str, Any] | None = None
    attachments: list[Attachment] | None = None

    @property
    def id(self) -> str:
        return mint("run", self.number)

    def attach(self, file: Attachment) -> None:
        """Keep a file with the run, in place of the same one."""
        self.attachments = [*(a for a in self.attachments or () if a.id != file.id), file]


@dataclass(slots=True)
class Validator:
    """One limit: `operator` and `expected` are None when only the expression is known."""

    operator: str | None
    expected: Any
    expression: str
    outcome: str
    decisive: bool = True


@dataclass(slots=True)
class Series:
    """One axis of a multi-dimensional measurement."""

    data: list[float]
    units: str | None = None
    name: str | None = None


@dataclass(slots=True)
class Measurement:
    """`value` is a number, string, boolean, list of rows, or None; `series` holds the axes when there are several."""

    name: str
    outcome: str
    value: Any = None
    units: str | None = None
    validators: list[Validator] = field(default_factory=list[Validator])
    docstring: str | None = None
    series: list[Series] | None = None


@dataclass(slots=True)
class Phase:
    """One attempt at one step; `retry_count` is 0 for the first attempt."""

    name: str
    outcome: str
    started: float
    ended: float
    retry_count: int = 0
    measurements: list[Measurement] = field(default_factory=list[Measurement])
    docstring: str | None = None
    sequence_path: str | None = None


@dataclass(slots=True)
class LogLine:
    level: str
    at: float
    message: str
    source: str
    line: int


@dataclass(slots=True)
class Attachment:
    """A file kept with a run or a unit."""

    id: str
    name: str
    content_type: str
    data: bytes


@dataclass(slots=True)
class Detail:
    """Everything below the head of a run."""

    phases: list[Phase] = field(default_factory=list[Phase])
    logs: list[LogLine] = field(default_factory=list[LogLine])
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    sub_units: list[Unit] = field(default_factory=list[Unit])
    docstring: str | None = None
