"""A time of day on some weekdays, in a zone, and which start of it is due: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from testlab_tools.errors import BadInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATE = timedelta(hours=1)
"""A start that is later than this is skipped."""
_FORM = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?:\s+([a-z,\s-]+))?", re.IGNORECASE)
EXAMPLE = "Give a time as 02:00, with weekdays as 02:00 mon-fri or 02:00 sat,sun."


@dataclass(frozen=True)
class Timetable:
    """A time of day by the clocks of `zone`; `days` are 0 for Monday to 6.

    A time that the clocks leave out in spring is an hour later by them; of one that they show twice, the first counts.
    """

    at: time
    days: frozenset[int]
    zone: str

    def next_after(self, moment: datetime) -> datetime:
        """The first start after a moment, in UTC."""
        today = moment.astimezone(ZoneInfo(self.zone)).date()
        return next(slot for slot in self._slots(today - timedelta(days=1), 1) if slot > moment)

    def last_until(self, moment: datetime) -> datetime:
        """The last start until a moment, in UTC."""
        today = moment.astimezone(ZoneInfo(self.zone)).date()
        return next(slot for slot in self._slots(today + timedelta(days=1), -1) if slot <= moment)

    def _slots(self, first: date, step: int) -> Iterator[datetime]:
        for number in range(10):
            day = first + timedelta(days=number * step)
            if day.weekday() in self.days:
                yield datetime.combine(day, self.at, ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True)
class Due:
    """A start that has come since the last: to be made now, or too late."""

    slot: datetime
    too_late: bool


def find_due(table: Timetable, since: datetime, now: datetime) -> Due | None:
    """What has come after `since`. Of several that were missed, the newest counts."""
    slot = table.last_until(now)
    return Due(slot, now - slot >= LATE) if slot > since else None


def parse_timetable(text: str, zone: str) -> Timetable:
    """Read `02:00`, `02:00 mon-fri`, `22:30 sat,sun`. Raises BadInput."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise BadInput("daily_at is not a time of day", "", EXAMPLE)
    days = frozenset(_days(match[3])) if match[3] else frozenset(range(7))
    return Timetable(time(int(match[1]), int(match[2])), days, zone)


def _days(text: str) -> Iterator[int]:
    for part in filter(None, re.split(r"[,\s]+", re.sub(r"\s*-\s*", "-", text.strip().casefold()))):
        first, _, last = part.partition("-")
        begin, end = _day(first), _day(last or first)
        yield from ((begin + number) % 7 for number in range((end - begin) % 7 + 1))


def _day(name: str) -> int:
    if len(name) < 3 or name[:3] not in DAYS:
        raise BadInput("daily_at names a day that there is not", "", EXAMPLE)
    return DAYS.index(name[:3])
