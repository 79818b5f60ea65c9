"""Failures put side by side: grouped by cause, in the window and before it, with the passes of the same tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from testlab_tools.capabilities import Failure
from testlab_tools.models.lab import Run
from testlab_tools.triage.causes import Cause, find_fault, group_by_cause
from testlab_tools.triage.collect import Collected, Passes, Window


@dataclass(frozen=True)
class ClassificationInput:
    """A cause's `failures` in the window, newest first, and those some time `before` it.

    `passes` are runs of the same test that passed, in the window and that time before it: None where they could not be
    read, `cut` where only the newest were. `complete_since` is since when all failures were read, None where all were.
    `one_station`: no other was asked about. `alike` counts other cases with the same message at the same station.
    """

    failures: Sequence[Failure]
    before: Sequence[Failure]
    passes: Sequence[Run] | None
    cut: bool
    since: datetime
    alike: int = 0
    complete_since: datetime | None = None
    one_station: bool = False

    @property
    def oldest_read(self) -> datetime | None:
        """Since when all passes and all failures were read; None where none was left out."""
        passes = min(run.started_at for run in self.passes) if self.cut and self.passes else None
        return max((since for since in (passes, self.complete_since) if since), default=None)

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

    `passes` are by service and test. `one_station`: only one was asked about.
    """

    window: Window
    services: list[Collected]
    causes: dict[Cause, list[Failure]]
    earlier: dict[Cause, list[Failure]]
    one_station: bool = False
    passes: dict[tuple[str, str], Passes | None] = field(default_factory=dict[tuple[str, str], Passes | None])

    def is_new(self, cause: Cause) -> bool:
        """Whether the window before did not have it."""
        return all(f.run.started_at < self.window.before for f in self.earlier.get(cause, []))

    def classification_input(self, cause: Cause) -> ClassificationInput:
        """What the class of a cause is decided by."""
        passes = self.passes.get((cause.service, cause.test))
        return ClassificationInput(
            failures=self.causes[cause],
            before=self.earlier.get(cause, []),
            passes=None if passes is None else passes.runs,
            cut=passes is not None and passes.cut,
            since=self.window.since,
            complete_since=next((c.complete_since for c in self.services if c.service == cause.service), None),
            one_station=self.one_station,
            alike=self._count_alike(cause),
        )

    def _count_alike(self, cause: Cause) -> int:
        """Other cases with the same message at one of the same stations; none where the cause has no message."""
        if not cause.message:
            return 0
        stations = {f.run.station for f in self.causes[cause]}
        return sum(
            (other.service, other.message) == (cause.service, cause.message)
            and any(f.run.station in stations for f in failures)
            for other, failures in self.causes.items()
            if other != cause
        )


def compare(collected: Sequence[Collected], window: Window, one_station: bool) -> TriageData:
    """Group what the services answered by cause; passes are added later."""
    return TriageData(
        window=window,
        services=list(collected),
        causes=group_by_cause({c.service: c.failures for c in collected}),
        earlier=group_by_cause({c.service: c.earlier for c in collected}),
        one_station=one_station,
    )


def choose_causes(causes: Mapping[Cause, Sequence[Failure]], limit: int) -> list[Cause]:
    """The newest causes. Where not all have room, a fault of the equipment takes one place, however many cases of a
    service it struck at the same stations."""
    if len(causes) <= limit:
        return list(causes)
    struck: set[tuple[str, str, frozenset[str]]] = set()
    chosen: list[Cause] = []
    for cause, failures in causes.items():
        fault = find_fault(failures[0])
        strike = (cause.service, fault, frozenset(f.run.station for f in failures))
        if not fault or strike not in struck:
            chosen.append(cause)
        struck.add(strike)
    return chosen[:limit]
