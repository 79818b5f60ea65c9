"""Pictures of a summary of runs: a Pareto of failures, a rate over time, or a rate by group."""

from __future__ import annotations

import asyncio

from testlab_tools.charts.canvas import Chart
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
from testlab_tools.statistics.flow_chart import draw_flow
from testlab_tools.statistics.grouping import TIMES
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder
from testlab_tools.statistics.summary_rows import SPANS, describe_summary, name_row, read_begins, read_ends

_METRICS = {
    "runs": "Pass rate",
    "first_pass_yield": "First-pass yield",
    "final_yield": "Final yield",
    "rolled_yield": "Rolled throughput yield",
    "retest_rate": "Retest rate",
}
_WORDS = ("better", "worse")
MAX_SHOWN = 200
"""Groups that a summary to be drawn should show."""


def check_drawable(order: SummaryOrder, outcome: str = "") -> None:
    """Raise BadInput where no picture of the figures is made."""
    if order.metric == "runs" and outcome:
        raise BadInput("Runs of one outcome have no rate to draw", "", "Leave outcome out, or take metric=throughput.")
    if not order.group_by and order.metric != "failures":
        raise BadInput("One figure is no picture", "", "Give group_by: station, day, batch and the like.")


async def draw_summary(summary: RunSummary, order: SummaryOrder, runs: RunFilter, zone: str = "UTC") -> Chart:
    """Draw what `summarize` found; `zone` is the time zone of its days and hours."""
    if order.metric in ("throughput", "duration"):
        return await asyncio.to_thread(draw_flow, summary, order, runs, zone)
    if order.metric == "failures":
        return await asyncio.to_thread(draw_pareto, _pareto(summary, order, runs))
    if order.group_by in TIMES:
        return await asyncio.to_thread(draw_yield_over_time, _over_time(summary, order, runs, zone))
    return await asyncio.to_thread(draw_yield_by_group, _by_group(summary, order, runs))


def _pareto(summary: RunSummary, order: SummaryOrder, runs: RunFilter) -> Pareto:
    total = summary.total.runs or 0
    bars = [ParetoBar(name_row(row), row.runs or 0, round((row.cumulative or 0) * total)) for row in summary.rows]
    which = {"every": "every attempt", "first": "each unit's first attempt", "final": "each unit's last attempt"}
    title = f"What fails, by {order.group_by or 'case'}, in {which[order.attempts]}"
    heading = describe_summary(title, summary, runs, summary.total.n, "runs")
    return Pareto(heading, bars, "runs that did not pass", total)


def _over_time(summary: RunSummary, order: SummaryOrder, runs: RunFilter, zone: str) -> YieldOverTime:
    span, metric = SPANS[order.group_by], _METRICS[order.metric]
    points: list[YieldPoint] = []
    for row, at in zip(summary.rows, read_begins(summary, order, zone), strict=True):
        while points and at - points[-1].at > 1.5 * span:
            points.append(YieldPoint(points[-1].at + span, 0, None, None, None))
        points.append(YieldPoint(at, row.n, row.rate, *read_ends(row)))
    heading = describe_summary(f"{metric} by {order.group_by}", summary, runs, summary.total.n, _counted(order))
    return YieldOverTime(heading, points, span, metric, zone=zone)


def _by_group(summary: RunSummary, order: SummaryOrder, runs: RunFilter) -> YieldByGroup:
    groups = [GroupYield(name_row(row), row.n, row.rate, *read_ends(row), _side(row)) for row in summary.rows]
    metric, group = _METRICS[order.metric], order.group_by.replace("_", " ")
    heading = describe_summary(f"{metric} by {group}", summary, runs, summary.total.n, _counted(order))
    test = f"each against the rest of its test, Holm-corrected, p < {ALPHA}"
    return YieldByGroup(heading, groups, group, summary.total.rate, metric, test=test)


def _counted(order: SummaryOrder) -> str:
    return "runs" if order.metric == "runs" else "units"


def _side(row: Row) -> str:
    """How its rate differs; that it has more or less errors is not said at its rate."""
    rate = row.differs.partition(" than the rest")[0]
    return {"retested more often": "more", "retested less often": "less"}.get(rate, rate if rate in _WORDS else "")
