"""An axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


def format_time_axis(axes: Any, times: Sequence[datetime], span: timedelta = timedelta(0), zone: str = "UTC") -> None:
    """Show the times, the last with the span that it begins, and write dates by the clocks of `zone`, as short as they
    can be told apart."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    clock = ZoneInfo(zone)
    begin, end = min(times), max(times) + span
    room = (end - begin) / 60 or timedelta(hours=12)
    axes.set_xlim(begin - room, end + room)
    locator = AutoDateLocator(tz=clock, minticks=4, maxticks=12)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=clock))
    axes.set_xlabel(f"time, {zone}")
