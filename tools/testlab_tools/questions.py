"""What is asked of a service: the arguments of a tool, validated and in the lab's words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list; empty fields do not restrict.

    `text` is a filter in the service's own grammar. `oldest_first` reverses the order, which is by start time.
    """

    outcome: str = ""
    unit: str = ""
    part: str = ""
    test: str = ""
    station: str = ""
    job: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True)
class TestOrder:
    """A job to start on a node (Stb-tester: "Run tests")."""

    __test__ = False

    test_pack_revision: str
    test_cases: tuple[str, ...]
    remote_control: str = ""
    category: str = ""
    soak: bool = False
    shuffle: bool = False
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NewMeasurement:
    """A measurement to record; `value` is a number, text, true/false or a list of points."""

    name: str
    outcome: Literal["pass", "fail", "unset"]
    value: Any = None
    units: str = ""
    lower: float | None = None
    upper: float | None = None
    expected: str = ""


@dataclass(frozen=True)
class NewPhase:
    """A phase to record; a phase retried within the run stands here once per attempt, in order."""

    name: str
    outcome: Literal["pass", "fail", "error", "skip"]
    started_at: datetime
    ended_at: datetime
    measurements: tuple[NewMeasurement, ...] = ()


@dataclass(frozen=True)
class NewRun:
    """A production run to record. `ref` makes sending it twice safe where the service can tell.

    `procedure_name` helps where `procedure_id` is not one the service knows; `variables` are names with values to keep
    beside the run.
    """

    procedure_id: str
    serial_number: str
    outcome: Literal["pass", "fail", "error", "stopped"]
    started_at: datetime
    ended_at: datetime
    ref: str
    procedure_name: str = ""
    part_number: str = ""
    part_name: str = ""
    revision: str = ""
    batch_number: str = ""
    procedure_version: str = ""
    notes: str = ""
    phases: tuple[NewPhase, ...] = ()
    sub_units: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class UnitChange:
    """What to change of a unit; empty fields leave it as it is. Sub-units are serial numbers."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    batch_number: str = ""
    sample: Literal["", "golden", "failing", "ignored", "production"] = ""
