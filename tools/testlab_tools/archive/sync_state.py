"""How far a history has been read: what stands beside the rows, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from testlab_tools.times import EARLIEST

MAX_RUNNING = 1_000


class Measured(BaseModel):
    """The measurements of a test, of one name or all: of runs from `held_since` on; `as_of` is the last `created_at`,
    or start, of the runs that were looked at. `complete`: there are none before."""

    held_since: datetime | None = None
    as_of: datetime | None = None
    complete: bool = False


class SyncState(BaseModel):
    """`mark` and `resume` are the feed's: from where it goes on with what is new, and back.

    All runs from `held_since` on are held, as they were at `fresh_as_of`; `complete`: there are none before, or
    (`cut_by_age`) they are too old to be kept. `checked_at` is when deletions were last looked for, `rechecked` where
    that goes on; `beyond` is how many runs of each test the service counted then beyond those held. `unread` counts
    runs whose failed cases are not known yet. `running` are the runs that had not ended, by handle, as `list_runs` has
    them, at most MAX_RUNNING.
    """

    model_config = ConfigDict(extra="ignore")

    mark: str = ""
    resume: str = ""
    held_since: datetime | None = None
    fresh_as_of: datetime | None = None
    complete: bool = False
    cut_by_age: bool = False
    checked_at: datetime | None = None
    rechecked: str = ""
    beyond: dict[str, int] = {}
    unread: int = 0
    measured: dict[str, dict[str, Measured]] = {}
    running: dict[str, dict[str, Any]] = {}

    @classmethod
    def read(cls, sync: Mapping[str, Any]) -> SyncState:
        """The state that was kept; that of nothing where it cannot be read."""
        try:
            return cls.model_validate(dict(sync))
        except ValidationError:
            return cls()

    def measured_since(self, asked: Sequence[tuple[str, str]]) -> datetime | None:
        """Since when the measurements of some tests and names are held; None where all are, as far as runs are."""
        since: list[datetime] = []
        for test, name in asked:
            known = self.measured.get(test, {})
            if not any(known.get(key, Measured()).complete for key in (name, "")):
                held = known.get(name, Measured()).held_since
                since.append(held or datetime.now(UTC))
        return max(since, default=None)

    def covers(self, since: datetime | None) -> bool:
        """Whether all runs from a moment on are held."""
        if self.complete and not self.cut_by_age:
            return True
        return self.held_since is not None and self.held_since <= (since or EARLIEST)
