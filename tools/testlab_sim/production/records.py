"""The nouns of the production history, and UUIDs that carry a number: nothing is looked up, so twenty thousand ids cost
nothing until they are shown. Times are seconds since the epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from operator import eq, ge, gt, le, lt, ne
from typing import Any, cast

from testlab_sim.production.plant import Plan

_COMPARISONS = {">=": ge, "<=": le, ">": gt, "<": lt, "!=": ne, "==": eq}
_BITS = 48
_MASK = (1 << _BITS) - 1
_SPREAD = 0x9E3779B97F4B
_GATHER = pow(_SPREAD, -1, 1 << _BITS)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_uuid(text: str) -> bool:
    """Whether `text` has the form of a UUID."""
    return _UUID.fullmatch(text.lower()) is not None


def mint(kind: str, number: int) -> str:
    """The UUID of the `number`-th thing of `kind`; `number` is below 2**48."""
    head = (number * _SPREAD + _salt(kind)) & _MASK
    tail = blake2b(f"{kind}{head}".encode(), digest_size=8).hexdigest()
    front = f"{head:012x}"
    return f"{front[:8]}-{front[8:]}-4{tail[:3]}-8{tail[3:6]}-{tail[6:]}{front[:2]}"


def number_of(kind: str, uuid: str) -> int | None:
    """The number inside `uuid`, or None if it is not the UUID of any `kind`."""
    lowered = uuid.lower()
    if not is_uuid(lowered):
        return None
    head = int(lowered[:8] + lowered[9:13], 16)
    number = ((head - _salt(kind)) * _GATHER) & _MASK
    return number if mint(kind, number) == lowered else None


@cache
def _salt(kind: str) -> int:
    return int.from_bytes(kind.encode(), "big") & _MASK


@dataclass(slots=True, eq=False)
class Record:
    """Something with a number of its own, which is in its id."""

    number: int

    @property
    def id(self) -> str:
        return mint(type(self).__name__.lower(), self.number)


@dataclass(slots=True, eq=False)
class Version(Record):
    """A procedure version, by its tag."""

    tag: str
    created: float


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
class Revision(Record):
    name: str
    created: float


@dataclass(slots=True, eq=False)
class Part(Record):
    """A part number with its revisions by upper-case name."""

    part_number: str
    name: str
    created: float
    revisions: dict[str, Revision] = field(default_factory=dict[str, Revision])


@dataclass(slots=True, eq=False)
class Batch(Record):
    name: str
    created: float


@dataclass(slots=True, eq=False)
class Station(Record):
    """A test station; `api_key` opens TofuPilot as that station and is in the body of its own page."""

    name: str
    api_key: str
    procedures: list[Procedure]


@dataclass(slots=True, eq=False)
class Unit(Record):
    """One thing tested. `sample` is golden, failing, ignored, or None in production."""

    serial: str
    part: Part
    revision: Revision
    batch: Batch | None
    created: float
    sample: str | None = None
    created_during: Run | None = None
    parent: Unit | None = None
    children: list[Unit] | None = None
    runs: list[Run] = field(default_factory=list["Run"])


@dataclass(slots=True, eq=False)
class Run(Record):
    """One execution of a procedure on a unit.

    A run of the seeded history keeps only its `story` (cause of trouble, failed attempts of the retried phase, value
    of the tracked measurement); its phases and logs are derived. A run made through the service holds its `detail`.
    """

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


def limit_of(operator: str, limit: float, value: Any, *, decisive: bool = True) -> Validator:
    """A limit, judged for a number, or for a list of numbers all together; UNSET where there is none."""
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    outcome = "UNSET"
    if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        outcome = "PASS" if all(_COMPARISONS[operator](v, limit) for v in values) else "FAIL"
    return Validator(operator, limit, f"x {operator} {limit:g}", outcome, decisive)


def limits_of(low: float | None, high: float | None, value: Any) -> list[Validator]:
    """One limit a side, of those that there are."""
    sides = ((">=", low), ("<=", high))
    return [limit_of(operator, limit, value) for operator, limit in sides if limit is not None]


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
