"""Pictures of throughput and duration."""

from __future__ import annotations

from datetime import datetime

from testlab_tools.charts.canvas import Chart
from testlab_tools.charts.durations import (
    Durations,
    DurationsByGroup,
    DurationsOverTime,
    draw_durations_by_group,
    draw_durations_over_time,
)
from testlab_tools.charts.throughput import (
    GroupThroughput,
    SpanThroughput,
    ThroughputByGroup,
    ThroughputOverTime,
    draw_throughput_by_group,
    draw_throughput_over_time,
)
from testlab_tools.statistics.answer import Row, RunSummary
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.grouping import TIMES
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.statistics.summary import SummaryOrder
from testlab_tools.statistics.summary_rows import SPANS, describe_summary, name_row, read_begins, read_ends


def draw_flow(summary: RunSummary, order: SummaryOrder, runs: RunFilter, zone: str) -> Chart:
    """Draw what `summarize` found; `zone` is the time zone of its days and hours."""
    of_duration = order.metric == "duration"
    group = order.group_by.replace("_", " ")
    n = (summary.total.n if of_duration else summary.total.runs) or 0
    heading = describe_summary(f"{order.metric.capitalize()} by {group}", summary, runs, n, "runs")
    if order.group_by not in TIMES:
        if of_duration:
            test = f"Welch's and Student's test, each against the rest of its test, Holm-corrected, p < {ALPHA}"
            overall = None if any(row.test for row in summary.rows) else summary.total.mean_s
            groups = [_durations(row, name=name_row(row)) for row in summary.rows]
            return draw_durations_by_group(DurationsByGroup(heading, groups, group, overall, test))
        made = [
            GroupThroughput(name_row(row), row.runs or 0, row.passed, row.units, row.per_day) for row in summary.rows
        ]
        return draw_throughput_by_group(ThroughputByGroup(heading, made, group))
    span, begins = SPANS[order.group_by], read_begins(summary, order, zone)
    rows: list[tuple[datetime, Row]] = []
    for row, at in zip(summary.rows, begins, strict=True):
        while rows and at - rows[-1][0] > 1.5 * span:
            rows.append((rows[-1][0] + span, Row()))
        rows.append((at, row))
    if of_duration:
        spans = [_durations(row, at=at) for at, row in rows]
        return draw_durations_over_time(DurationsOverTime(heading, spans, span, zone))
    counts = [SpanThroughput(at, row.runs or 0, row.passed) for at, row in rows]
    return draw_throughput_over_time(ThroughputOverTime(heading, counts, span, zone))


def _durations(row: Row, name: str = "", at: datetime | None = None) -> Durations:
    side = row.differs.partition(" on average")[0]
    return Durations(row.n, row.mean_s, *read_ends(row), row.median_s, row.p95_s, name, at, side)
