"""What triage knows before it tells it: failures by cause in the window and before, and passes to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from testlab_tools.capabilities import Failure, RunArchive
from testlab_tools.insight.causes import Cause
from testlab_tools.insight.classes import Facts
from testlab_tools.insight.gathering import Gathered, Passes


@dataclass
class Findings:
    """Causes in the window from `since` to `until`, newest last seen first, and those in the window before.

    `passes` are by service and test, from `compared_since` on; `mute` services hold runs but list no failures.
    """

    since: datetime
    until: datetime
    compared_since: datetime
    told: list[Gathered]
    mute: list[RunArchive]
    causes: dict[Cause, list[Failure]]
    earlier: dict[Cause, list[Failure]]
    passes: dict[tuple[str, str], Passes | None] = field(default_factory=dict[tuple[str, str], Passes | None])

    def facts(self, cause: Cause) -> Facts:
        """What the class of a cause is judged by."""
        compared = self.passes.get((cause.service, cause.test))
        return Facts(
            failures=self.causes[cause],
            before=self.earlier.get(cause, []),
            passes=None if compared is None else compared.runs,
            cut=compared is not None and compared.cut,
            since=self.since,
            alike=self._alike(cause),
        )

    def _alike(self, cause: Cause) -> int:
        """Other cases with the same message at one of the same stations."""
        stations = {f.run.station for f in self.causes[cause]}
        others = ((c, same) for c, same in self.causes.items() if c != cause)
        return sum(
            (c.service, c.message) == (cause.service, cause.message) and any(f.run.station in stations for f in same)
            for c, same in others
        )
