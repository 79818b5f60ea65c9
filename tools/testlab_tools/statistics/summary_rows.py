"""A summary's heading and rows, as its pictures have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from testlab_tools.charts.canvas import Heading
from testlab_tools.statistics.answer import Row, RunSummary
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder

SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def describe_filters(runs: RunFilter) -> list[tuple[str, str]]:
    """What a filter restricts, as (name, value)."""
    named = [(column.replace("_", " "), ", ".join(names)) for column, names in runs.names.items()]
    given = [("service", ", ".join(runs.services)), *named, ("unit", runs.unit), ("outcome", runs.outcome)]
    return [(name, value) for name, value in given if value]


def describe_summary(title: str, summary: RunSummary, runs: RunFilter, n: int, counted: str) -> Heading:
    """The heading of a picture of `n` of what is `counted`."""
    return Heading(title, n, counted, summary.since, summary.until, describe_filters(runs), [summary.note])


def read_begins(summary: RunSummary, order: SummaryOrder, zone: str) -> list[datetime]:
    """When the spans begin: days by the clocks of the zone, hours in UTC, as there are 23 or 25 in some days."""
    begins = [datetime.fromisoformat(row.group) for row in summary.rows]
    local = [begin if begin.tzinfo else begin.replace(tzinfo=ZoneInfo(zone)) for begin in begins]
    return [begin.astimezone(UTC) for begin in local] if order.group_by == "hour" else local


def name_row(row: Row) -> str:
    """Its test, where there are several, and its group."""
    return " · ".join(part for part in (row.test, row.group) if part)


def read_ends(row: Row) -> tuple[float | None, float | None]:
    """Both ends of its interval."""
    return (row.interval[0], row.interval[1]) if row.interval else (None, None)
