"""Points in time: ISO 8601 or relative (`24h`, `7d`) in, ISO 8601 UTC out."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BeforeValidator, PlainSerializer

from testlab_tools.errors import BadInput, nearest

EARLIEST = datetime.min.replace(tzinfo=UTC)
_RELATIVE = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)", re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(
    r"(?P<sign>-)?P(?:(?P<days>[\d.]+)D)?(?:T(?:(?P<hours>[\d.]+)H)?(?:(?P<minutes>[\d.]+)M)?(?:(?P<seconds>[\d.]+)S)?)?"
)


def parse_time(text: str, argument: str, now: datetime | None = None, zone: str = "UTC") -> datetime | None:
    """Read `2026-11-20`, `2026-11-20T08:00:00Z`, `30m`, `24h`, `7d` or `2w` (ago); empty gives None. One without a zone
    is by the clocks of `zone`.

    Raises:
        BadInput: naming `argument`, when the text is neither.
    """
    if not text:
        return None
    try:
        if match := _RELATIVE.fullmatch(text.strip()):
            ago = timedelta(**{_UNITS[match[2].lower()]: int(match[1])})
            return (now or datetime.now(UTC)) - ago
        moment = datetime.fromisoformat(text.strip())
        return utc(moment.replace(tzinfo=ZoneInfo(zone)) if moment.tzinfo is None and zone != "UTC" else moment)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{argument} is not a time", "", "Give ISO 8601 (2026-11-20T08:00:00Z) or a span back (30m, 24h, 7d, 2w)."
        ) from None


def parse_span(since: str, until: str, zone: str = "UTC") -> tuple[datetime | None, datetime | None]:
    """Both ends of a span of time, each read as by `parse_time`.

    Raises:
        BadInput: one is no time, or the span ends before it begins: nothing can be in it.
    """
    now = datetime.now(UTC)
    start, end = parse_time(since, "since", now, zone), parse_time(until, "until", now, zone)
    if start and end and end <= start:
        raise BadInput("until is not after since", f"{iso(start)} to {iso(end)} holds nothing", "Swap or correct them.")
    return start, end


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; one without a zone is taken as UTC."""
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def check_zone(name: str, argument: str) -> str:
    """The name, if the Olson database has it (`America/Denver`); any that looks like one where there is no database.

    Raises:
        BadInput: naming `argument` and the nearest zones.
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        known = available_timezones()
    else:
        return name
    if not known and _ZONE.fullmatch(name):
        return name
    near = nearest(name, known, 2)
    hint = f"Did you mean {' or '.join(near)}?" if near else "For example Europe/London or America/Denver."
    raise BadInput(f"{argument} is not the name of a time zone", "", hint)


def iso(moment: datetime) -> str:
    """`2026-11-20T08:00:00Z`: to the second, as an agent needs it."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat()[:19] + "Z"


def seconds(duration: str) -> float:
    """Read `PT1H23M12S`, `PT50S`, `00:12:34` or a plain number of seconds.

    Raises:
        ValueError: for anything else.
    """
    if (match := _DURATION.fullmatch(duration)) and any(match.groups()[1:]):
        days, hours, minutes, secs = (float(match[g] or 0) for g in ("days", "hours", "minutes", "seconds"))
        total = ((days * 24 + hours) * 60 + minutes) * 60 + secs
        return -total if match["sign"] else total
    if ":" in duration:
        total = 0.0
        for part in duration.split(":"):
            total = total * 60 + float(part)
        return total
    number = float(duration)
    if not math.isfinite(number):
        raise ValueError("a duration must be finite")
    return number


def _parse_aware(value: Any) -> Any:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if type(moment) is datetime and moment.tzinfo is UTC:  # as most are
        return moment
    try:
        return utc(moment) if isinstance(moment, datetime) else moment
    except OverflowError:
        raise ValueError("a moment must lie between the years 1 and 9999") from None


Moment = Annotated[datetime, BeforeValidator(_parse_aware), PlainSerializer(iso, return_type=str)]
"""A field holding a moment: any ISO 8601 form in, UTC to the second out."""


def _to_the_minute(moment: datetime) -> str:
    return iso(moment)[:16] + "Z"


Minute = Annotated[datetime, BeforeValidator(_parse_aware), PlainSerializer(_to_the_minute, return_type=str)]
"""As Moment, written to the minute: for tables of many rows where the second tells nothing."""
