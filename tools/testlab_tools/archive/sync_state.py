"""How far a history has been read: what stands beside the rows, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from testlab_tools.times import EARLIEST


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
    runs whose failed cases are not known yet.
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

    @classmethod
    def read(cls, sync: Mapping[str, Any]) -> SyncState:
        """The state that was kept; that of nothing where it cannot be read."""
        try:
            return cls.model_validate(dict(sync))
        except ValidationError:
            return cls()

    def covers(self, since: datetime | None) -> bool:
        """Whether all runs from a moment on are held."""
        return self.complete or (self.held_since is not None and self.held_since <= (since or EARLIEST))
