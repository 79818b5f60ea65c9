"""The result of triage: failures by cause, with a class and the numbers behind it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from testlab_tools.models.lab import ResultModel
from testlab_tools.times import Minute, Moment
from testlab_tools.untrusted import Untrusted

CauseClass = Literal["product", "infrastructure", "flaky"]


class CauseGroup(ResultModel):
    """Failures of one cause: the same case of the same test, with the same message but for its numbers and names.

    `case` is left out where it is the test itself, or the service does not say it. `failures` are of `runs` runs;
    `unit_names` and `station_names` are given where they are few. `new`: not seen in the window before. `run_id` is
    the newest of its runs, `reason` what that one says, shortened.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    service: str
    test: Untrusted
    case: Untrusted = ""
    reason: Untrusted = ""
    class_: CauseClass = Field(serialization_alias="class")
    evidence: str
    failures: int
    runs: int
    units: int = 0
    unit_names: list[Untrusted] = []
    stations: int = 0
    station_names: list[Untrusted] = []
    first_seen: Minute
    last_seen: Minute
    new: bool = False
    run_id: str


class TriageShare(ResultModel):
    """What one service gave: failures of `runs` runs that did not pass, `unread` of them without their cases;
    `at_least` where there are more than were read. `error` says why it gave nothing."""

    service: str
    failures: int = 0
    runs: int = 0
    at_least: bool = False
    unread: int = 0
    error: str = ""


class TriageTotals(ResultModel):
    """All that was read from `since` to `until`: `failures` of `runs` runs have `causes` causes, `new` of them not seen
    in the window before. `samples` counts failures of golden, failing and ignored units, `stopped`
    runs that somebody stopped; neither is in the other counts.
    """

    since: Moment
    until: Moment
    failures: int
    runs: int
    causes: int
    new: int
    samples: int = 0
    stopped: int = 0


class Triage(ResultModel):
    """Failures by cause, newest last seen first; `note` begins with what is not shown."""

    totals: TriageTotals
    groups: list[CauseGroup]
    services: list[TriageShare]
    note: str = ""
    next: str = ""
