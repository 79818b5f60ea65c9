"""Until when a place is held here: labgrid holds it until it is released, so this server has to keep the time itself.

Written to a file, so that a later process gives back what an earlier one could not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from testlab_tools.files.io import replace_file
from testlab_tools.files.lock import FileLock

LOCK_S = 5.0


class Leases:
    """The ends of what `holder` holds of one coordinator, by place, shared by the processes of this user."""

    def __init__(self, folder: Path, location: str, holder: str) -> None:
        key = hashlib.sha256(f"{location}\n{holder}".encode()).hexdigest()[:16]
        self._path = folder / f"{key}.json"

    def read(self) -> Mapping[str, datetime]:
        """The end of each; a file that cannot be read is none."""
        try:
            found: dict[str, str] = json.loads(self._path.read_text("utf-8"))
            return {place: datetime.fromisoformat(end) for place, end in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def set(self, place: str, end: datetime | None) -> datetime | None:
        """Keep an end, None for none, and return the one before."""
        if end is None and place not in self.read():
            return None
        with self._changing() as ends:
            before = ends.get(place)
            _put(ends, place, end)
            return before

    def replace(self, place: str, end: datetime | None, other: datetime | None) -> None:
        """The same, if `end` is what is kept: another process may have reserved the place since."""
        if end == other:
            return
        with self._changing() as ends:
            if ends.get(place) == end:
                _put(ends, place, other)

    def expired(self) -> list[str]:
        """Places whose end has come."""
        return [place for place, end in self.read().items() if end <= datetime.now(UTC)]

    @contextmanager
    def _changing(self) -> Generator[dict[str, datetime]]:
        """Raises OSError where the file cannot be written: an end that is not kept must not be promised."""
        lock = FileLock(self._path.with_suffix(".lock"))
        if not lock.acquire(LOCK_S):
            raise TimeoutError(f"{self._path.name} is locked")
        try:
            ends = dict(self.read())
            yield ends
            replace_file(self._path, json.dumps({place: end.isoformat() for place, end in ends.items()}))
        finally:
            lock.release()


def _put(ends: dict[str, datetime], place: str, end: datetime | None) -> None:
    if end is None:
        ends.pop(place, None)
    else:
        ends[place] = end
