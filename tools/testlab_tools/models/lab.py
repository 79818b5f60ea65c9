"""The results that adapters return and tools report: runs, units, measurements.

A field left at its default is not reported. Fields typed `Untrusted` carry what devices, logs and people wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field

from testlab_tools.late_model import LateModel
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted, UntrustedData, UntrustedEnd

Outcome = Literal["pass", "fail", "error", "skip", "stopped", "running"]
NOT_TOLD, UNKNOWN = "not told", "unknown"
"""What a service does not say, where leaving it out would read as something else."""


class ResultModel(LateModel):
    """Base of all results."""

    model_config = ConfigDict(extra="forbid")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but the updates are validated, so that text from the lab is sanitized in them as well."""
        return self.model_validate({**dict(self), **update}) if update else super().model_copy(deep=deep)


class Run(ResultModel):
    """One execution with an outcome: a Stb-tester result, a TofuPilot run, a StandCloud test run.

    `test` is what ran (test case, procedure or test plan), `station` where (node, station or stand), `unit` the
    serial number tested, `job_uid` the Stb-tester job, `attempt` which start of this unit, `sample` golden, failing
    or ignored for units that are not production, `revision` the git SHA of a test pack or the version of a procedure,
    `position` where a page can be resumed after this run, for us alone.
    """

    run_id: str
    outcome: Outcome
    test: Untrusted
    started_at: Moment
    duration_s: float = 0
    station: Untrusted = ""
    unit: Untrusted = ""
    part: Untrusted = ""
    job_uid: str = ""
    attempt: int = 0
    sample: str = ""
    reason: Untrusted = ""
    revision: Untrusted = ""
    position: str = Field(default="", exclude=True)

    @property
    def service(self) -> str:
        """The service in its handle."""
        return self.run_id.partition(":")[0]


class Measurement(ResultModel):
    """A measured value beside its limits; `expected` states a limit that is not a range of numbers."""

    name: Untrusted
    outcome: Literal["pass", "fail", "unset"]
    value: UntrustedData = None
    units: Untrusted = ""
    lower: float | None = None
    upper: float | None = None
    expected: Untrusted = ""


class Case(ResultModel):
    """A step in a run: a test case, phase or HardPy case. `attempts` > 1: it was retried within the run."""

    case: Untrusted
    outcome: Outcome
    attempts: int = 1
    reason: Untrusted = ""
    measurements: list[Measurement] = []
    traceback: UntrustedEnd = ""


class FailedRun(Run):
    """A run that did not pass, with the cases that made it so; `cases_run` counts all its cases."""

    cases: list[Case]
    cases_run: int = 0
    artifacts: list[Untrusted] = []


class UnreadRun(ResultModel):
    """A run that was asked for and could not be read, with why."""

    run_id: str
    error: str


class FailedCases(ResultModel):
    """What failed in the runs asked for, or in every failed run of a job; `unread` are those that could not be read."""

    runs: list[FailedRun]
    unread: list[UnreadRun] = []
    note: str = ""
    next: str = ""


class ServiceShare(ResultModel):
    """What one service gave to a page. `total` is left out where the service does not say; `error` says why it gave
    nothing, `cannot` that it never answers such a question."""

    service: str
    shown: int
    total: int | None = None
    at_least: bool = False
    cannot: str = ""
    error: str = ""


class RunShare(ServiceShare):
    """`by_outcome` counts the `total` runs that match, an outcome left out is none of them; each count is a lower bound
    where `at_least`, and `note` says what ended it early.

    Where nothing matched: whether there is such a test (`note`), a filter's keys that no run read carries, and those
    that runs do carry.
    """

    by_outcome: dict[Outcome, int] = {}
    note: str = ""
    keys_of_no_run: list[Untrusted] = []
    keys_of_runs: list[Untrusted] = []


class RunPage(ResultModel):
    """A page of runs, newest first. `cursor` fetches the next page; empty means this is the last."""

    runs: list[Run]
    services: list[RunShare]
    cursor: str = ""
    note: str = ""


class StoredRun(ResultModel):
    """A run as its service has it, or as it will be sent there.

    Of a stored one, `unit_is` tells whether it made its unit, `part_revision_is` that the service chose the part's
    revision, as none was given, and `reason` which steps failed.
    """

    unit: Untrusted = ""
    unit_is: Literal["", "new", "known", "not told"] = ""
    part: Untrusted = ""
    part_revision: Untrusted = ""
    part_revision_is: Literal["", "the service's choice"] = ""
    procedure: Untrusted = ""
    outcome: Outcome
    started_at: Moment
    duration_s: float
    reason: Untrusted = ""


class CreatedRun(ResultModel):
    """A run that the service has taken, with the `run` as it has stored it; or, with `queued`, the delivery that will
    bring it there, with the `run` as it will be sent."""

    run_id: str = ""
    procedure: Untrusted
    queued: str = ""
    run: StoredRun | None = None
    note: str = ""
    next: str = ""


class Unit(ResultModel):
    """A unit as one service knows it; `parent` is the unit it is built into. Units are named by serial number."""

    service: str
    serial_number: Untrusted
    part: Untrusted = ""
    revision: Untrusted = ""
    batch: Untrusted = ""
    sample: str = ""
    parent: Untrusted = ""
    sub_units: list[Untrusted] = []
    note: str = ""


class Deleted(ResultModel):
    """What is gone for good: a run by its handle, a unit by its serial number; `runs` counts what went with a unit."""

    deleted: str
    runs: int | None = None
