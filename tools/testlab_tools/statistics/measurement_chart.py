"""Pictures of a measurement: its distribution between its limits, or its values over time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

from testlab_tools.archive.store import HistoryView
from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.control import (
    MAX_POINTS,
    ControlChart,
    ControlPoint,
    ControlRange,
    Level,
    LimitSpan,
    draw_control_chart,
)
from testlab_tools.charts.histogram import Histogram, draw_histogram
from testlab_tools.statistics.answer import MeasurementChart
from testlab_tools.statistics.drift import Drift
from testlab_tools.statistics.measurement_answer import DIGITS, MeasurementStats
from testlab_tools.statistics.measurements import MeasurementOrder, Values, values_sql
from testlab_tools.statistics.selection import Params, RunFilter
from testlab_tools.statistics.summary_rows import describe_filters
from testlab_tools.times import utc

_BINS = 40
_RANGES = 200
_FAR = 2
"""Times what nine tenths of the values span: values further from them are counted, not drawn."""


async def draw_measurement(
    view: HistoryView, runs: RunFilter, order: MeasurementOrder, found: MeasurementStats, picture: MeasurementChart
) -> Chart:
    """Draw what `describe_measurement` found."""
    params: Params = {}
    async with view.keep("v", values_sql(runs, order, params), params) as kept:
        source = Values(kept)
        if picture != "control_chart":
            return await asyncio.to_thread(draw_histogram, await _histogram(source, runs, found))
        return await asyncio.to_thread(draw_control_chart, await _control_chart(source, runs, found))


def _heading(title: str, runs: RunFilter, found: MeasurementStats, notes: Sequence[str] = ()) -> Heading:
    filters = describe_filters(runs)
    return Heading(title, found.n, "values", found.since, found.until, filters, [*notes, found.note])


async def _histogram(source: Values, runs: RunFilter, found: MeasurementStats) -> Histogram:
    least, low, high, most = (found.quantiles.get(name, 0.0) for name in ("min", "p5", "p95", "max"))
    room = _FAR * (high - low)
    begin, end = (max(least, low - room), min(most, high + room)) if room else (least, most)
    rounded = max(abs(begin), abs(end)) * 10 ** (1 - DIGITS) if end > begin else 0
    begin, end = begin - rounded, end + rounded
    width = (end - begin) / _BINS
    counts = [found.n] if found.n else [0]
    if width > 0:
        counts = [0] * _BINS
        select = (
            "SELECT CAST(floor((v.value - $begin) / $width) AS INTEGER), count(*) FROM v "
            "WHERE v.value >= $begin AND v.value <= $end GROUP BY 1"
        )
        for place, count in await source.rows(select, begin=begin, width=width, end=end):
            counts[min(int(place), _BINS - 1)] += int(count)
    beyond = found.n - sum(counts)
    notes = [f"{beyond:,} of the values lie far outside the picture"] if beyond else []
    heading = _heading(f"{found.measurement}: distribution", runs, found, notes)
    limits = found.capability or (found.limits[0] if found.limits else None)
    edges = [begin + place * width for place in range(len(counts) + 1)]
    lower, upper = (limits.lower, limits.upper) if limits else (None, None)
    units, figures = found.units, _figures(found)
    return Histogram(heading, found.measurement, edges, counts, units, lower, upper, found.mean, found.sd, figures)


def _figures(found: MeasurementStats) -> list[tuple[str, str]]:
    """What stands beside a histogram: counts, spread and capability with its interval."""
    units = f" {found.units}" if found.units else ""
    figures = [("n", f"{found.n:,}")]
    figures += [(name, f"{value:.5g}{units}") for name, value in (("mean", found.mean), ("sd", found.sd)) if value]
    if found.capability:
        known = {"Cp": found.capability.cp, "Cpk": found.capability.cpk, "Pp": found.capability.pp}
        known["Ppk"] = found.capability.ppk
        figures += [(name, f"{v[0]:.2f} ({v[1]:.2f} to {v[2]:.2f})") for name, v in known.items() if v]
    if found.passed + found.failed:
        figures.append(("failed", f"{found.failed:,}"))
    if found.marginal is not None:
        figures.append(("marginal", f"{found.marginal:,}"))
    return figures


async def _control_chart(source: Values, runs: RunFilter, found: MeasurementStats) -> ControlChart:
    points: list[ControlPoint] = []
    ranges: list[ControlRange] = []
    if found.n <= MAX_POINTS:
        select = "SELECT v.started_at, v.value FROM v WHERE v.value IS NOT NULL ORDER BY v.started_at, v.run_id"
        points = [ControlPoint(utc(at), float(value)) for at, value in await source.rows(select)]
    else:
        select = (
            "SELECT min(w.started_at), count(*), min(w.value), percentile_cont(0.5) WITHIN GROUP (ORDER BY w.value), "
            f"max(w.value) FROM (SELECT v.value, v.started_at, ntile({_RANGES}) OVER (ORDER BY v.started_at, v.run_id) "
            "AS part FROM v WHERE v.value IS NOT NULL) w GROUP BY w.part ORDER BY w.part"
        )
        ranges = [ControlRange(utc(at), int(n), *map(float, values)) for at, n, *values in await source.rows(select)]
    ends = [part.at for part in (*points, *ranges)] or [datetime.now(UTC)]
    drift = found.drift or Drift()
    return ControlChart(
        _heading(f"{found.measurement}: over time", runs, found),
        found.measurement,
        points,
        found.units,
        _spans(found, ends[0], ends[-1]),
        _levels(drift, ends[0], ends[-1]),
        drift.since,
        _say_drift(drift, found.units),
        ranges,
    )


def _spans(found: MeasurementStats, begin: datetime, end: datetime) -> list[LimitSpan]:
    """Limits from when they were first seen to the next; the oldest and the latest to the ends of the picture."""
    periods = sorted(found.limits, key=lambda period: period.since)
    times = [begin, *(period.since for period in periods[1:]), end]
    return [LimitSpan(*ends, p.lower, p.upper) for ends, p in zip(pairwise(times), periods, strict=False)]


def _levels(drift: Drift, begin: datetime, end: datetime) -> list[Level]:
    if drift.shape == "none shown" or drift.before is None or drift.after is None:
        return []
    since = drift.since or begin
    before = [Level(begin, since, drift.before, drift.before)] if drift.since else []
    return [*before, Level(since, end, drift.after if drift.shape == "step" else drift.before, drift.after)]


def _say_drift(drift: Drift, units: str) -> str:
    units = f" {units}" if units else ""
    if drift.shape == "step":
        return f"the mean goes from {drift.before:.5g} to {drift.after:.5g}{units}"
    if drift.shape == "slope" and drift.per_day_interval:
        low, high = drift.per_day_interval
        return f"the mean changes by {drift.per_day:.3g}{units} a day ({low:.3g} to {high:.3g})"
    return ""
