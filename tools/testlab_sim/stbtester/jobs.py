"""Jobs and the test runs in them: who started what on which node, how far it is, as a function of the clock, and how a
run ends, as one of revision, test case, node and run."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from testlab_sim.seeded_random import between, chance
from testlab_sim.stbtester.test_pack import NO_VIDEO, Failure, Revision

_STARTING_SECONDS = 2.0
_BETWEEN_RUNS_SECONDS = 1.5
_DELETED_SHARE = 1 / 900
_NO_PICTURE = 0.85
"""Share of runs that see no video at all on a node whose HDMI capture has come loose."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` is the nominal length of the run; `failure` is None when it passed."""

    seconds: float
    failure: Failure | None

    @property
    def result(self) -> str:
        return self.failure.result if self.failure else "pass"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of one test case; `stamp` is the last part of its result id."""

    job: Job
    index: int
    test_case: str
    stamp: str
    start: float
    end: float
    outcome: Outcome
    deleted: bool
    """Somebody has since deleted a few of the old results."""

    @property
    def result_id(self) -> str:
        return f"{self.job.uid}/{self.stamp}"


@dataclass(eq=False)
class Job:
    """A test job. `pace` is real seconds per nominal second: 1.0 for what happened before the lab was opened."""

    uid: str
    node_id: str
    username: str
    revision: Revision
    branch: str | None
    test_cases: Sequence[str]
    start: float
    pace: float
    seed: int
    category: str = "default"
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    remote_control: str = ""
    forever: bool = False
    shuffle: bool = False
    stopped_at: float | None = None
    picture_until: float = math.inf
    """When the node's video capture came loose."""
    _planned: list[Run] = field(default_factory=list["Run"], repr=False)

    def runs(self, now: float) -> list[Run]:
        """The runs that have finished by `now`, oldest first. A run cut short by a stop is not recorded."""
        until = self._until(now)
        self._plan(until)
        return self._planned[: bisect_right(self._planned, until, key=lambda run: run.end)]

    def current(self, now: float) -> Run | None:
        """The run in progress at `now`, if the job is running."""
        if not self.running(now):
            return None
        self._plan(now)
        done = bisect_right(self._planned, now, key=lambda run: run.end)
        return self._planned[done] if done < len(self._planned) else None

    def running(self, now: float) -> bool:
        return self.ended(now) is None

    def ended(self, now: float) -> float | None:
        """When the job ended, or None while it runs."""
        end = min(self._natural_end(now), math.inf if self.stopped_at is None else self.stopped_at)
        return end if end <= now else None

    def ends_in(self, now: float) -> float:
        """Seconds until the job ends if nobody interferes; infinity for a job that runs for ever."""
        horizon = math.inf if self.stopped_at is None else self.stopped_at
        if self.forever:
            return max(0.0, horizon - now)
        return max(0.0, min(horizon, self._natural_end(math.inf)) - now)

    def total(self, now: float) -> int:
        """Runs that were asked for; of a job that runs for ever, those begun."""
        if not self.forever:
            return len(self.test_cases)
        return len(self.runs(now)) + 1

    def _until(self, now: float) -> float:
        return now if self.stopped_at is None else min(now, self.stopped_at)

    def _natural_end(self, now: float) -> float:
        self._plan(now)
        return self._planned[-1].end if len(self._planned) == len(self.test_cases) and not self.forever else math.inf

    def _plan(self, until: float) -> None:
        while (not self._planned or self._planned[-1].end <= until) and self._more():
            self._planned.append(self._next())

    def _more(self) -> bool:
        return self.forever or len(self._planned) < len(self.test_cases)

    def _next(self) -> Run:
        index = len(self._planned)
        name = self._pick(index)
        if index:
            start = self._planned[-1].end + _BETWEEN_RUNS_SECONDS * self.pace
        else:
            start = self.start + _STARTING_SECONDS * self.pace
        outcome = _outcome_of(self.revision, name, start < self.picture_until, (self.seed, self.uid, index))
        stamp = time.strftime("%Y-%m-%d_%H.%M.%S", time.gmtime(start))
        if index and self._planned[-1].stamp[:19] == stamp:
            stamp = f"{stamp}-{index}"
        deleted = self.pace == 1.0 and chance(self.seed, "deleted", f"{self.uid}/{stamp}") < _DELETED_SHARE
        return Run(self, index, name, stamp, start, start + outcome.seconds * self.pace, outcome, deleted)

    def _pick(self, index: int) -> str:
        if not self.shuffle:
            return self.test_cases[index % len(self.test_cases)]
        if self.forever:
            return min(self.test_cases, key=lambda name: self._weight(name) * between(0.1, 1, self.uid, index, name))
        return sorted(self.test_cases, key=lambda name: chance(self.seed, self.uid, name))[index]

    def _weight(self, name: str) -> float:
        """The vendor's "run forever in random order" runs the faster test cases more often."""
        case = self.revision.cases.get(name)
        return case.seconds if case else 1.0


def _outcome_of(revision: Revision, name: str, picture: bool, key: tuple[object, ...]) -> Outcome:
    """`picture` is whether the node's video capture works; `key` names the run and decides its luck."""
    case = revision.cases.get(name)
    if case is None:
        return Outcome(1.0, _not_found(revision, name))
    if not picture and chance(*key, "video") < _NO_PICTURE:
        return Outcome(10.5, NO_VIDEO)
    seconds = case.seconds * between(0.85, 1.2, *key, "length")
    if revision.age >= case.broken_since or chance(*key, "flaky") < case.flaky:
        return Outcome(seconds + 4, case.failure)
    return Outcome(seconds, None)


def _not_found(revision: Revision, name: str) -> Failure:
    file, _, function = name.partition("::")
    if any(case.file == file for case in revision.cases.values()):
        module = file.removesuffix(".py").replace("/", ".")
        message, line = f"module '{module}' has no attribute '{function}'", f"function = getattr(module, {function!r})"
        return Failure("AttributeError", message, line)
    message = f"[Errno 2] No such file or directory: '{file}'"
    return Failure("FileNotFoundError", message, f"module = import_by_filename({file!r})")
