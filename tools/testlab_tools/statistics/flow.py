"""Throughput and duration by group."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import Row, p_text, round_interval
from testlab_tools.statistics.comparison import Compared, Family, Means, compare_means
from testlab_tools.statistics.grouping import GroupBy, Grouped, group_sql, local_start, read_groups
from testlab_tools.statistics.intervals import mean_interval
from testlab_tools.statistics.selection import Params, RunFilter, chosen

FlowMetric = Literal["throughput", "duration"]
_THROUGHPUT = (
    "count(*) AS n, count(DISTINCT lower(c.unit)) FILTER (WHERE c.unit <> '') AS units, "
    "count(*) FILTER (WHERE c.ended_as = 'pass') AS passed, count(DISTINCT CAST({start} AS DATE)) AS days"
)
_TOOK = "CASE WHEN c.duration_s >= 0 THEN c.duration_s END"
"""A station whose clock is set back during a run gives a negative duration, which is none."""
_DURATION = (
    f"count({_TOOK}) AS n, avg({_TOOK}) AS mean, stddev_samp({_TOOK}) AS sd, "
    f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {_TOOK}) AS mid, "
    f"percentile_cont(0.95) WITHIN GROUP (ORDER BY {_TOOK}) AS late"
)


async def count_throughput(view: HistoryView, runs: RunFilter, group_by: GroupBy, within_test: bool) -> Grouped:
    """Runs, units, passes and days with runs, of each group."""
    params: Params = {}
    sql = group_sql(
        chosen(runs, "every", params),
        group_by,
        _THROUGHPUT.format(start=local_start(runs.zone)),
        within_test,
        runs.zone,
    )
    return read_groups(await view.rows(sql, params), group_by, runs.zone)


def throughput_row(figures: Any, test: str = "", group: str = "", per_day: bool = True) -> Row:
    """`per_day` counts runs by days on which there were any."""
    n, units, passed, days = map(int, figures)
    daily = round(n / days, 1) if per_day and days else None
    return Row(test=test, group=group, runs=n, units=units, passed=passed, per_day=daily)


async def measure_durations(
    view: HistoryView, runs: RunFilter, group_by: GroupBy, within_test: bool
) -> tuple[Grouped, Compared]:
    """Durations in seconds of each group, and which groups differ in their mean."""
    params: Params = {}
    sql = group_sql(chosen(runs, "every", params), group_by, _DURATION, within_test, runs.zone)
    grouped = read_groups(await view.rows(sql, params), group_by, runs.zone)
    strata: dict[Hashable, dict[Hashable, Means]] = {}
    for (stratum, group), figures in grouped.rows.items():
        if (means := _means(figures)).n:
            strata.setdefault(stratum, {})[group] = means
    return grouped, compare_means(Family(strata, True))


def duration_row(
    figures: Any, compared: Mapping[tuple[Hashable, Hashable], Any], test: str = "", group: str = ""
) -> Row:
    """A group's durations in seconds."""
    means = _means(figures)
    difference = compared.get((test, group))
    word = difference and ("longer" if difference.higher else "shorter")
    return Row(
        test=test,
        group=group,
        n=means.n,
        mean_s=round(means.mean, 3) if means.n else None,
        interval=round_interval(mean_interval(*means), 3) if means.n else [],
        median_s=round(figures[3], 3) if means.n else None,
        p95_s=round(figures[4], 3) if means.n else None,
        differs=f"{word} on average than the rest ({p_text(difference.p)})" if difference else "",
    )


def _means(figures: Any) -> Means:
    n, mean, sd = figures[:3]
    return Means(float(mean or 0.0), float(sd or 0.0), int(n))
