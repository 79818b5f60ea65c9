"""Failures put side by side: grouped by cause, in the window and before it, with the passes of the same tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from testlab_tools.capabilities import Failure
from testlab_tools.models.lab import Run
from testlab_tools.triage.causes import Cause, GroupBy, group_failures
from testlab_tools.triage.collect import Collected, Passes, Window

MAX_TESTS = 3
"""How many tests of a cause are compared with their passes: those that failed most."""

Sort = Literal["most", "newest"]


@dataclass(frozen=True)
class ClassificationInput:
    """A cause's `failures` in the window, newest first, and those some time `before` it.

    `passes` are runs of the same tests that passed, in the window and that time before it: None where they could not be
    read. Of the tests in `cut`, only the newest were. `complete_since` is since when all failures were read, None where
    all were. `one_station`: no other was asked about. `mixed` counts the causes, where there are several.
    """

    failures: Sequence[Failure]
    before: Sequence[Failure]
    passes: Sequence[Run] | None
    cut: Collection[str]
    since: datetime
    complete_since: datetime | None = None
    one_station: bool = False
    mixed: int = 0

    @property
    def oldest_read(self) -> datetime | None:
        """Since when all passes and all failures were read; None where none was left out."""
        oldest = [min((p.started_at for p in self.passes or () if p.test == test), default=None) for test in self.cut]
        return max((since for since in (*oldest, self.complete_since) if since), default=None)

    def comparable(self) -> ClassificationInput:
        """Without what is older than all passes and all failures were read: what else happened then is not known."""
        oldest = self.oldest_read
        if oldest is None:
            return self
        failures, before = ([f for f in same if f.run.started_at >= oldest] for same in (self.failures, self.before))
        passes = None if self.passes is None else [run for run in self.passes if run.started_at >= oldest]
        return replace(self, failures=failures, before=before, passes=passes, since=max(self.since, oldest))


@dataclass
class TriageData:
    """`causes` are those in the window, newest last seen first; `earlier` holds failures before it.

    `passes` are by service and test. `one_station`: only one was asked about. `unmixed`: a group has one cause only.
    """

    window: Window
    services: list[Collected]
    causes: dict[Cause, list[Failure]]
    earlier: dict[Cause, list[Failure]]
    one_station: bool = False
    unmixed: bool = True
    passes: dict[tuple[str, str], Passes | None] = field(default_factory=dict[tuple[str, str], Passes | None])

    def is_new(self, cause: Cause) -> bool:
        """Whether nothing that was read from before the window has it."""
        return not self.earlier.get(cause)

    def order(self, sort: Sort) -> list[Cause]:
        """The causes with most runs first, or the newest last seen."""
        if sort == "newest":
            return list(self.causes)
        return sorted(self.causes, key=lambda cause: -len({f.run.run_id for f in self.causes[cause]}))

    def compared_tests(self, cause: Cause) -> list[str]:
        """The tests of a cause that failed most, the most first."""
        counts = Counter(f.run.test for f in self.causes[cause])
        return [test for test, _ in counts.most_common(MAX_TESTS)]

    def classification_input(self, cause: Cause) -> ClassificationInput:
        """What the class of a cause is decided by."""
        tests = self.compared_tests(cause)
        read = {test: self.passes.get((cause.service, test)) for test in tests}
        passes = [run for found in read.values() if found is not None for run in found.runs]
        return ClassificationInput(
            failures=[f for f in self.causes[cause] if f.run.test in tests],
            before=[f for f in self.earlier.get(cause, []) if f.run.test in tests],
            passes=None if None in read.values() else passes,
            cut={test for test, found in read.items() if found is not None and found.cut},
            since=self.window.since,
            complete_since=next((c.complete_since for c in self.services if c.service == cause.service), None),
            one_station=self.one_station,
            mixed=0 if self.unmixed else self._count_causes(cause),
        )

    def _count_causes(self, cause: Cause) -> int:
        (causes,) = group_failures([{cause.service: self.causes[cause]}])
        return len(causes) if len(causes) > 1 else 0


def compare(
    collected: Sequence[Collected], window: Window, one_station: bool, group_by: GroupBy = "cause"
) -> TriageData:
    """Group what the services answered; passes are added later."""
    spans: list[Mapping[str, list[Failure]]] = [
        {c.service: c.failures for c in collected},
        {c.service: c.earlier for c in collected},
    ]
    causes, earlier = group_failures(spans, group_by)
    unmixed = group_by in ("cause", "reason")
    return TriageData(window, list(collected), causes, earlier, one_station, unmixed)
