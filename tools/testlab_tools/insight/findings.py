"""What triage knows before it tells it: failures by cause in the window and before, and passes to compare with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from testlab_tools.capabilities import Failure, RunArchive
from testlab_tools.insight.causes import Cause
from testlab_tools.insight.facts import Facts
from testlab_tools.insight.gathering import Gathered, Passes

_EVER = datetime.min.replace(tzinfo=UTC)


def earlier_by(span: timedelta, moment: datetime) -> datetime:
    """So much before a moment, or as far back as time goes."""
    return moment - min(span, moment - _EVER)


@dataclass
class Findings:
    """Causes in the window from `since` to `until`, newest last seen first, `earlier` ones from `compared_since` on.

    `passes` are by service and test, from `compared_since` on, too; `mute` services hold runs but list no failures.
    `one_station`: only one was asked about.
    """

    since: datetime
    until: datetime
    compared_since: datetime
    told: list[Gathered]
    mute: list[RunArchive]
    causes: dict[Cause, list[Failure]]
    earlier: dict[Cause, list[Failure]]
    one_station: bool = False
    passes: dict[tuple[str, str], Passes | None] = field(default_factory=dict[tuple[str, str], Passes | None])

    @property
    def before(self) -> datetime:
        """When the window before, as long as this one, begins."""
        return earlier_by(self.until - self.since, self.since)

    def new(self, cause: Cause) -> bool:
        """Whether it was not seen in the window before."""
        return all(f.run.started_at < self.before for f in self.earlier.get(cause, []))

    def facts(self, cause: Cause) -> Facts:
        """What the class of a cause is judged by."""
        compared = self.passes.get((cause.service, cause.test))
        return Facts(
            failures=self.causes[cause],
            before=self.earlier.get(cause, []),
            passes=None if compared is None else compared.runs,
            cut=compared is not None and compared.cut,
            since=self.since,
            whole_since=next((g.whole_since for g in self.told if g.archive.name == cause.service), None),
            one_station=self.one_station,
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
