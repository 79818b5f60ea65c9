"""Figures as pictures for a report: a Pareto, a yield over time or by group, a measurement's control chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from testlab_tools.charts.canvas import Heading
from testlab_tools.statistics.answer import RunSummary
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.grouping import TIMES, By
from testlab_tools.statistics.measurement_answer import MeasurementStats

if TYPE_CHECKING:
    from testlab_tools.charts.canvas import Chart

TITLES = {
    "runs": "Pass rate",
    "first_pass_yield": "First-pass yield",
    "final_yield": "Final yield",
    "rolled_yield": "Rolled throughput yield",
    "retest_rate": "Retest rate",
}
SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
TEST = f"Fisher's exact or chi-squared test, Holm-corrected, {ALPHA:.0%}"
Filters = Sequence[tuple[str, str]]


def draw_summary(found: RunSummary, group_by: By, filters: Filters) -> Chart | None:
    """A Pareto of failures, else rates over time or by group; None for what has no picture."""
    if found.metric == "failures":
        return _draw_pareto(found, group_by or "case", filters)
    if found.metric not in TITLES or not group_by:
        return None
    return _draw_over_time(found, group_by, filters) if group_by in TIMES else _draw_groups(found, group_by, filters)


def has_picture(found: RunSummary, group_by: By) -> bool:
    """Whether `draw_summary` draws it."""
    return found.metric == "failures" or (found.metric in TITLES and group_by != "")


def _heading(found: RunSummary, title: str, counted: str, n: int, filters: Filters) -> Heading:
    notes = [] if len(found.rows) == found.groups else [f"{len(found.rows)} of {found.groups} groups"]
    given = [(name, value) for name, value in filters if value]
    return Heading(title, n, counted, found.since, found.until, given, notes)


def _draw_pareto(found: RunSummary, group_by: By, filters: Filters) -> Chart:
    from testlab_tools.charts.pareto import Pareto, ParetoBar, draw_pareto

    failed = found.total.runs or 0
    heading = _heading(found, f"Failures by {group_by.replace('_', ' ')}", "runs that did not pass", failed, filters)
    bars = [ParetoBar(_name(row.test, row.group), row.runs or 0) for row in found.rows]
    covered = found.rows[-1].cumulative if found.rows else 0.0
    return draw_pareto(Pareto(heading, bars, "failed runs", failed - round((covered or 0.0) * failed)))


def _draw_over_time(found: RunSummary, group_by: By, filters: Filters) -> Chart:
    from testlab_tools.charts.yields import YieldOverTime, YieldPoint, draw_yield_over_time

    title = TITLES[found.metric]
    heading = _heading(found, f"{title} by {group_by}", "runs", sum(row.n for row in found.rows), filters)
    points = [YieldPoint(_moment(row.group), row.n, row.rate, *(row.interval or (None, None))) for row in found.rows]
    return draw_yield_over_time(YieldOverTime(heading, points, SPANS[group_by], title))


def _draw_groups(found: RunSummary, group_by: By, filters: Filters) -> Chart:
    from testlab_tools.charts.yields import GroupYield, YieldByGroup, draw_yield_by_group

    title, noun = TITLES[found.metric], group_by.replace("_", " ")
    heading = _heading(found, f"{title} by {noun}", "runs", found.total.n, filters)
    groups = [
        GroupYield(
            _name(row.test, row.group),
            row.n,
            row.rate,
            *(row.interval or (None, None)),
            differs=_side(row.differs),
        )
        for row in found.rows
    ]
    return draw_yield_by_group(YieldByGroup(heading, groups, noun, found.total.rate, title, test=TEST))


def _side(differs: str) -> Literal["", "lower", "higher"]:
    """On which side the rate itself lies; groups may differ in their errors alone."""
    if differs.startswith(("worse", "retested less")):
        return "lower"
    return "higher" if differs.startswith(("better", "retested more")) else ""


def _name(test: str, group: str) -> str:
    return f"{group} ({test})" if test and test != group else group


def draw_measurement(found: MeasurementStats, points: Sequence[tuple[datetime, float]], filters: Filters) -> Chart:
    """The values over time, between their limits, with the drift that is shown."""
    from testlab_tools.charts.control import ControlChart, ControlPoint, Level, LimitSpan, draw_control_chart

    notes = [f"{len(points)} of {found.n} values"] if len(points) < found.n else []
    given = [(name, value) for name, value in filters if value]
    heading = Heading("Measurement over time", found.n, "values", found.since, found.until, given, notes)
    drift, levels, change, text = found.drift, list[Level](), None, ""
    if points and drift is not None and drift.before is not None and drift.after is not None:
        first, last = points[0][0], points[-1][0]
        change = drift.since
        if drift.shape == "step" and change is not None:
            levels = [Level(first, change, drift.before, drift.before), Level(change, last, drift.after, drift.after)]
            text = f"mean from {drift.before:g} to {drift.after:g}"
        else:
            levels = [Level(change or first, last, drift.before, drift.after)]
            text = f"{drift.per_day:g} per day" if change else ""
    limits = [LimitSpan(period.since, period.until, period.lower, period.upper) for period in found.limits]
    values = [ControlPoint(at, value) for at, value in points]
    chart = ControlChart(heading, found.measurement, values, found.units, limits, levels, change, text)
    return draw_control_chart(chart)


def _moment(group: str) -> datetime:
    return datetime.fromisoformat(group).replace(tzinfo=UTC)
