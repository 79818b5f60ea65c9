"""What the class of a cause is judged by, and how much of it can be held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from testlab_tools.capabilities import Failure
from testlab_tools.models import Run


@dataclass(frozen=True)
class Facts:
    """What is known of a cause: its `failures` in the window, newest first, and those some time `before` it.

    `passes` are runs of the same test that passed, in the window and that time before it: None where they could not be
    read, `cut` where only the newest were. `whole_since` is since when all failures were read, None where all were.
    `one_station`: no other was asked about. `alike` counts other cases with the same message at the same station.
    """

    failures: Sequence[Failure]
    before: Sequence[Failure]
    passes: Sequence[Run] | None
    cut: bool
    since: datetime
    alike: int = 0
    whole_since: datetime | None = None
    one_station: bool = False

    @property
    def oldest_read(self) -> datetime | None:
        """Since when all passes and all failures were read; None where none was left out."""
        passes = min(run.started_at for run in self.passes) if self.cut and self.passes else None
        return max((since for since in (passes, self.whole_since) if since), default=None)

    def comparable(self) -> Facts:
        """Without what is older than all passes and all failures were read: what else happened then is not known."""
        oldest = self.oldest_read
        if oldest is None:
            return self
        kept = [[f for f in every if f.run.started_at >= oldest] for every in (self.failures, self.before)]
        passes = None if self.passes is None else [run for run in self.passes if run.started_at >= oldest]
        return replace(self, failures=kept[0], before=kept[1], passes=passes, since=max(self.since, oldest))
