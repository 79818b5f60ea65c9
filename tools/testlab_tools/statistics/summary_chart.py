"""Pictures of a summary of runs: a Pareto of failures, a rate over time, or a rate by group."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.pareto import Pareto, ParetoBar, draw_pareto
from testlab_tools.charts.yields import (
    GroupYield,
    YieldByGroup,
    YieldOverTime,
    YieldPoint,
    draw_yield_by_group,
    draw_yield_over_time,
)
from testlab_tools.errors import BadInput
from testlab_tools.statistics.answer import Row, RunSummary
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.grouping import TIMES
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder

_METRICS = {
    "runs": "Pass rate",
    "first_pass_yield": "First-pass yield",
    "final_yield": "Final yield",
    "rolled_yield": "Rolled throughput yield",
    "retest_rate": "Retest rate",
}
_SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
_WORDS = ("better", "worse")
MAX_SHOWN = 200
"""Groups that a summary to be drawn should show."""


def check_drawable(order: SummaryOrder) -> None:
    """Raise BadInput where no picture of the figures is made."""
    if order.metric in ("throughput", "duration"):
        raise BadInput(f"{order.metric} has no picture", "", "Leave chart out, or take another metric.")
    if not order.group_by and order.metric != "failures":
        raise BadInput("One rate is no picture", "", "Give group_by: station, day, batch and the like.")


async def draw_summary(summary: RunSummary, order: SummaryOrder, runs: RunFilter, zone: str = "UTC") -> Chart:
    """Draw what `summarize` found; `zone` is the time zone of its days and hours."""
    if order.metric == "failures":
        return await asyncio.to_thread(draw_pareto, _pareto(summary, order, runs))
    if order.group_by in TIMES:
        return await asyncio.to_thread(draw_yield_over_time, _over_time(summary, order, runs, zone))
    return await asyncio.to_thread(draw_yield_by_group, _by_group(summary, order, runs))


def describe_filters(runs: RunFilter) -> list[tuple[str, str]]:
    """What a filter restricts, as (name, value)."""
    named = [(column.replace("_", " "), ", ".join(names)) for column, names in runs.names.items()]
    given = [("service", ", ".join(runs.services)), *named, ("unit", runs.unit), ("outcome", runs.outcome)]
    return [(name, value) for name, value in given if value]


def _heading(title: str, summary: RunSummary, runs: RunFilter, n: int, counted: str) -> Heading:
    return Heading(title, n, counted, summary.since, summary.until, describe_filters(runs), [summary.note])


def _pareto(summary: RunSummary, order: SummaryOrder, runs: RunFilter) -> Pareto:
    total = summary.total.runs or 0
    bars = [ParetoBar(_name(row), row.runs or 0, round((row.cumulative or 0) * total)) for row in summary.rows]
    which = {"every": "every attempt", "first": "each unit's first attempt", "final": "each unit's last attempt"}
    title = f"What fails, by {order.group_by or 'case'}, in {which[order.attempts]}"
    heading = _heading(title, summary, runs, summary.total.n, "runs")
    return Pareto(heading, bars, "runs that did not pass", total)


def _over_time(summary: RunSummary, order: SummaryOrder, runs: RunFilter, zone: str) -> YieldOverTime:
    span, metric = _SPANS[order.group_by], _METRICS[order.metric]
    points: list[YieldPoint] = []
    for row, at in zip(summary.rows, _times(summary, order, zone), strict=True):
        while points and at - points[-1].at > 1.5 * span:
            points.append(YieldPoint(points[-1].at + span, 0, None, None, None))
        points.append(YieldPoint(at, row.n, row.rate, *_ends(row)))
    heading = _heading(f"{metric} by {order.group_by}", summary, runs, summary.total.n, _counted(order))
    return YieldOverTime(heading, points, span, metric, zone=zone)


def _times(summary: RunSummary, order: SummaryOrder, zone: str) -> list[datetime]:
    """When the spans begin: days by the clocks of the zone, hours in UTC, as there are 23 or 25 in some days."""
    begins = [datetime.fromisoformat(row.group) for row in summary.rows]
    local = [begin if begin.tzinfo else begin.replace(tzinfo=ZoneInfo(zone)) for begin in begins]
    return [begin.astimezone(UTC) for begin in local] if order.group_by == "hour" else local


def _by_group(summary: RunSummary, order: SummaryOrder, runs: RunFilter) -> YieldByGroup:
    groups = [GroupYield(_name(row), row.n, row.rate, *_ends(row), _side(row)) for row in summary.rows]
    metric, group = _METRICS[order.metric], order.group_by.replace("_", " ")
    heading = _heading(f"{metric} by {group}", summary, runs, summary.total.n, _counted(order))
    test = f"each against the rest of its test, Holm-corrected, p < {ALPHA}"
    return YieldByGroup(heading, groups, group, summary.total.rate, metric, test=test)


def _counted(order: SummaryOrder) -> str:
    return "runs" if order.metric == "runs" else "units"


def _name(row: Row) -> str:
    return " · ".join(part for part in (row.test, row.group) if part)


def _ends(row: Row) -> tuple[float | None, float | None]:
    return (row.interval[0], row.interval[1]) if row.interval else (None, None)


def _side(row: Row) -> str:
    """How its rate differs; that it has more or less errors is not said at its rate."""
    rate = row.differs.partition(" than the rest")[0]
    return {"retested more often": "more", "retested less often": "less"}.get(rate, rate if rate in _WORDS else "")
