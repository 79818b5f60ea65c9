"""What is asked of a service: a tool's arguments, validated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from testlab_tools.errors import Unsupported

RunOutcome = Literal["pass", "fail", "error", "stopped"]
PhaseOutcome = Literal["pass", "fail", "error", "skip"]
MeasurementOutcome = Literal["pass", "fail", "unset"]


FARM_FILTERS = frozenset({"job", "category", "user"})
"""What only the runs of jobs have, by fields of RunQuery."""


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list; empty fields do not restrict.

    `text` is a filter in the service's own grammar. The order is by start time, newest first; `oldest_first` reverses
    it, `longest_first` goes by duration instead. `explain_empty`: an empty list may take one more request, to say
    whether there is such a test at all.
    """

    outcome: str = ""
    unit: str = ""
    part: str = ""
    test: str = ""
    station: str = ""
    job: str = ""
    category: str = ""
    user: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False
    longest_first: bool = False
    explain_empty: bool = False

    def contains(self, moment: datetime) -> bool:
        """Whether the span of time holds a moment: `since` is in it, `until` is not."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


FILTERS: dict[str, str] = {
    "outcome": "outcome",
    "unit": "unit",
    "part": "part",
    "test": "test",
    "station": "station",
    "job": "job_uid",
    "category": "category",
    "user": "user",
    "text": "filter",
    "since": "since",
    "until": "until",
}
"""The fields of a RunQuery that restrict it, by the names that tools give them."""


def refuse_filters(service: str, query: RunQuery, can: Collection[str], why: str = "", instead: str = "") -> None:
    """Raise Unsupported for filters that a service cannot apply: a list without them is longer than what was asked
    for, an empty one says that nothing is there.

    `can` are the fields of RunQuery that it applies, all of FILTERS apart from those it cannot; `instead` is where the
    others can be asked.

    >>> refuse_filters("factory", RunQuery(unit="SN-1", part="PN-1"), can={"unit", "since", "until", "outcome"})
    Traceback (most recent call last):
    testlab_tools.errors.Unsupported: factory cannot list runs by part. It can by outcome, unit, since, until.
    """
    cannot = [name for field, name in FILTERS.items() if getattr(query, field) and field not in can]
    if cannot:
        able = ", ".join(name for field, name in FILTERS.items() if field in can)
        next_step = instead or (f"It can by {able}." if able else "")
        raise Unsupported(f"{service} cannot list runs by {' or '.join(cannot)}", why, next_step)


def refuse_longest(service: str, query: RunQuery) -> None:
    """Raise Unsupported where the longest runs are asked for first of a service that cannot sort by duration."""
    if query.longest_first:
        raise Unsupported(f"{service} cannot sort runs by duration", "", "Leave sort out.")


def refuse_outcome(service: str, query: RunQuery, gives: Collection[str]) -> None:
    """Raise Unsupported for an outcome that no run of the service has: an empty list would read as "none did so"."""
    if query.outcome and query.outcome not in gives:
        raise Unsupported(
            f"No run of {service} ends with outcome {query.outcome}", "", f"Its outcomes: {', '.join(gives)}."
        )


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


DialogButton = Literal["confirm", "pass", "fail"]


@dataclass(frozen=True)
class DialogAnswer:
    """What a person answers a dialog: a button, and what was typed or chosen."""

    button: DialogButton
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class NewMeasurement:
    """A measurement to record; `value` is a number, text, true/false or a list of points."""

    name: str
    outcome: MeasurementOutcome
    value: Any = None
    units: str = ""
    lower: float | None = None
    upper: float | None = None
    expected: str = ""


@dataclass(frozen=True)
class NewPhase:
    """A phase to record; a phase retried within the run stands here once per attempt, in order.

    `reason` and `traceback` say why it did not pass, for services that keep them.
    """

    name: str
    outcome: PhaseOutcome
    started_at: datetime
    ended_at: datetime
    measurements: tuple[NewMeasurement, ...] = ()
    reason: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class NewRun:
    """A production run to record. `ref` makes sending it twice safe where the service can tell.

    `procedure_name` helps where `procedure_id` is not one the service knows; `variables` are names with values to keep
    beside the run. `report_ref` is that of the report the run was read from, where the service keeps it.
    """

    procedure_id: str
    serial_number: str
    outcome: RunOutcome
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
    report_ref: str = ""


@dataclass(frozen=True)
class UnitChange:
    """What to change of a unit; empty fields leave it as it is. Sub-units are serial numbers."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    batch_number: str = ""
    sample: Literal["", "golden", "failing", "ignored", "production"] = ""
