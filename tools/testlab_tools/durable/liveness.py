"""Whether DBOS has lost a workflow: it drops those whose state it cannot write down, as on a full disk, and takes it up
again only when it is launched anew."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime

STILL_S = 6.0
"""A workflow that waits so long while no other is started is lost."""
LONGEST_S = 120.0
"""A workflow that waits so long is lost, whatever else is started."""
MAX_S = 1800.0
"""The longest pause between two launches for workflows that may be lost for good, such as rows that others wrote."""


class Clock:
    """The system's clocks, for what happens only after minutes and days."""

    def seconds(self) -> float:
        """Seconds since some moment, never set back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)


class Liveness:
    """Watches the workflows of one launch for those that wait and are not run."""

    def __init__(self, clock: Clock, relaunches: int = 0) -> None:
        """`relaunches` is how often in a row the engine was launched for lost workflows: each time the wait doubles."""
        self._clock = clock
        self._patience_s = min(MAX_S, STILL_S * 2 ** min(relaunches, 10))
        self._running: set[str] = set()
        self._idle_since: dict[str, float] = {}
        self._last_start = clock.seconds()

    def note_start(self, workflow_id: str) -> None:
        """The workflow runs now."""
        self._running.add(workflow_id)
        self._last_start = self._clock.seconds()

    def note_end(self, workflow_id: str) -> None:
        """The workflow runs no longer, however it ended."""
        self._running.discard(workflow_id)

    def find_idle(self, waiting: Collection[str]) -> list[str]:
        """The workflows that wait and do not run."""
        now = self._clock.seconds()
        idle = [workflow_id for workflow_id in waiting if workflow_id not in self._running]
        self._idle_since = {workflow_id: self._idle_since.get(workflow_id, now) for workflow_id in idle}
        return idle

    def has_lost_work(self) -> bool:
        """Whether a workflow that `find_idle` found has been idle for too long."""
        now = self._clock.seconds()
        longest = max((now - since for since in self._idle_since.values()), default=0.0)
        return longest > max(LONGEST_S, self._patience_s) or min(longest, now - self._last_start) > self._patience_s
