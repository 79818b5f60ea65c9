"""One measurement of a test over many runs: its values, limits, capability, drift, groups, yield by other limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import p_text, rate_of
from testlab_tools.statistics.batch_effect import find_drift_beside_batches, read_bins
from testlab_tools.statistics.capability import describe_capability, question_normality
from testlab_tools.statistics.comparison import ALPHA, Family, Means, compare_means
from testlab_tools.statistics.drift import foresee
from testlab_tools.statistics.intervals import mean_interval
from testlab_tools.statistics.limits import read_limits
from testlab_tools.statistics.measurement_answer import (
    MeasuredRow,
    MeasurementStats,
    TextCount,
    WhatIf,
    round_numbers,
)
from testlab_tools.statistics.selection import Attempts, Params, RunFilter, chosen

MeasuredBy = Literal["", "station", "slot", "part", "part_revision", "batch", "revision"]
MAX_TEXTS = 10
MAX_GROUPS = 200
MAX_SAMPLE = 2_000
"""Values, evenly spread over time, that normality is judged by."""

NO_VALUE = "No run that matches has a value of it."
MARGIN = 0.1
"""A pass is marginal in the last tenth of the way from the median to a limit."""


@dataclass(frozen=True)
class MeasurementOrder:
    """What is asked of the measurement `name`, or of all if it is empty, in `case` alone if given; `lower` and `upper`
    are other limits."""

    name: str
    case: str = ""
    attempts: Attempts = "first"
    group_by: MeasuredBy = "station"
    lower: float | None = None
    upper: float | None = None
    limit: int = 20


class Values(NamedTuple):
    """The values asked for, as table `v`."""

    view: HistoryView

    async def rows(self, select: str, **params: object) -> list[tuple[Any, ...]]:
        return await self.view.rows(select, params)


async def describe_measurement(view: HistoryView, runs: RunFilter, order: MeasurementOrder) -> MeasurementStats:
    """The answer but for what is said of each service. `runs` names the tests; samples are left out."""
    params: Params = {}
    async with view.keep("v", values_sql(runs, order, params), params) as kept:
        made = await _describe(Values(kept), runs, order)
    if not made.n and not made.texts and order.attempts != "every":
        made.note = await _say_other_attempts(view, runs, order)
    return made


async def _say_other_attempts(view: HistoryView, runs: RunFilter, order: MeasurementOrder) -> str:
    """Why there is no value: the runs that count have none of it, and others may."""
    params: Params = {}
    async with view.keep("v", values_sql(runs, replace(order, attempts="every"), params), params) as kept:
        ((others,),) = await kept.rows("SELECT count(*) FROM v")
    if not others:
        return NO_VALUE
    return (
        f"No unit's {order.attempts} run that matches has a value of it; other runs have {int(others)}: "
        "attempts every counts them."
    )


async def _describe(source: Values, runs: RunFilter, order: MeasurementOrder) -> MeasurementStats:
    made, moving_range = await _overview(source, runs, order)
    if not made.n:
        return await _without_numbers(source, made)
    found = await read_limits(source.view)
    made.limits, now = found.periods, found.in_force
    made.marginal = await count_marginal(source, made.quantiles["median"], *now)
    notes = [found.said]
    if (order.lower, order.upper) != (None, None):
        order = replace(order, **_filled(order, now))
        made.what_if = await _what_if(source, order)
    if made.sd:
        made.capability = describe_capability(made.n, made.mean or 0.0, made.sd, moving_range, *now)
        if made.what_if:
            asked = describe_capability(made.n, made.mean or 0.0, made.sd, moving_range, order.lower, order.upper)
            made.what_if.cpk, made.what_if.ppk = (asked.cpk, asked.ppk) if asked else ([], [])
        notes.append(question_normality(await _sample(source, made.n)))
        bins = await read_bins(source.view, made.n)
        made.drift, said = await find_drift_beside_batches(source.view, bins)
        notes.append(said)
        if made.drift is not None:
            made.drift.reaches = foresee(made.drift, now, bins, made.n)
    if order.group_by:
        made.rows, made.groups, said = await _groups(source, order)
        notes.append(said)
    notes.append(_say_extent(made, order))
    made.note = " ".join(filter(None, [made.note, *notes]))
    return round_numbers(made)


def _filled(order: MeasurementOrder, now: tuple[float | None, float | None]) -> dict[str, float | None]:
    """The other limits, with the one in force on a side that was not given."""
    asked = {"lower": order.lower, "upper": order.upper}
    return {side: now[place] if limit is None else limit for place, (side, limit) in enumerate(asked.items())}


def values_sql(runs: RunFilter, order: MeasurementOrder, params: Params) -> str:
    """A SELECT of the values, of all measurements where none is named; its parameters are added to `params`."""
    of_case = " AND m.name = $name" if order.name else ""
    if order.name:
        params["name"] = order.name
    if order.case:
        params["case"] = order.case
        of_case += " AND m.case_name = $case"
    picked = chosen(runs, order.attempts, params)
    tests = " OR ".join(f"m.test = $test_{number}" for number in range(len(runs.names.get("test", ()))))
    group = f", c.{order.group_by}" if order.group_by else ""
    return (
        f"WITH chosen AS ({picked}) "
        f"SELECT m.name, m.value, m.text, m.units, m.low, m.high, m.outcome, m.case_name, c.started_at, c.run_id, "
        f"c.part AS of_part, c.batch AS in_batch{group} "
        f"FROM chosen c JOIN measurements m ON m.service = c.service AND m.run_id = c.run_id "
        f"WHERE ({tests or '1 = 1'}) AND c.sample = ''{of_case}"
    )


async def _overview(source: Values, runs: RunFilter, order: MeasurementOrder) -> tuple[MeasurementStats, float]:
    """The numbers but for those that need limits, and the mean moving range."""
    cuts = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
    parts = ", ".join(f"percentile_cont({cut}) WITHIN GROUP (ORDER BY w.value)" for cut in cuts.values())
    select = (
        "SELECT count(w.value), avg(w.value), stddev_samp(w.value), avg(abs(w.value - w.before)), count(*), "
        "count(*) FILTER (WHERE w.outcome = 'pass' AND w.value IS NOT NULL), "
        "count(*) FILTER (WHERE w.outcome = 'fail' AND w.value IS NOT NULL), "
        f"min(w.units), count(DISTINCT w.units), count(DISTINCT w.case_name), {parts} FROM (SELECT v.*, "
        "lag(v.value) OVER (ORDER BY v.started_at, v.run_id) AS before FROM v) w"
    )
    ((n, mean, sd, moving, every, passed, failed, units, all_units, cases, *quantiles),) = await source.rows(select)
    made = MeasurementStats(
        test=list(runs.names.get("test", ())), measurement=order.name, since=runs.since, until=runs.until, n=int(n)
    )
    made.units = units or ""
    notes: list[str] = []
    if len(made.test) > 1:
        notes.append(f"{len(made.test)} tests are mixed: give one's whole name.")
    if cases > 1:
        notes.append(f"{cases} cases measure it and are mixed: give case.")
    if all_units > 1:
        notes.append(f"Values of {all_units} units of measure are mixed: give since, or a revision.")
    if 0 < n < every:
        notes.append(f"{every - n} values are no numbers and are left out.")
    if n:
        made.mean, made.sd, made.passed, made.failed = float(mean), None if sd is None else float(sd), passed, failed
        made.quantiles = dict(zip(cuts, map(float, quantiles), strict=True))
        made.rate, made.interval = rate_of(passed, passed + failed)
        interval = mean_interval(made.mean, made.sd, made.n) if made.sd is not None else None
        made.mean_interval = list(interval or ())
        if n == 1:
            notes.append("One value: it has no spread, capability or drift.")
    made.note = " ".join(notes)
    return made, float(moving or 0.0)


async def _without_numbers(source: Values, made: MeasurementStats) -> MeasurementStats:
    select = (
        "SELECT v.text, count(*), count(*) FILTER (WHERE v.outcome = 'fail'), sum(count(*)) OVER (), "
        "count(*) OVER (), sum(count(*) FILTER (WHERE v.outcome = 'pass')) OVER (), "
        f"sum(count(*) FILTER (WHERE v.outcome = 'fail')) OVER () FROM v GROUP BY v.text "
        f"ORDER BY count(*) DESC, v.text LIMIT {MAX_TEXTS}"
    )
    found = await source.rows(select)
    made.texts = [TextCount(value=text, n=int(n), failed=int(failed)) for text, n, failed, *_ in found]
    if not found:
        made.note = NO_VALUE
        return made
    every, different, passed, failed = map(int, found[0][3:])
    made.passed, made.failed = passed, failed
    made.rate, made.interval = rate_of(passed, passed + failed)
    cut = f", the {MAX_TEXTS} most frequent of {different}" if different > MAX_TEXTS else ""
    made.note = f"Its {every} values are no numbers: counted by value{cut}. It has no mean, capability or drift."
    return made


async def count_marginal(
    source: Values,
    middle: float,
    lower: float | None,
    upper: float | None,
    also: str = "",
    named: Mapping[str, object] = {},
) -> int | None:
    """Values within the limits, in the last tenth of the way from the middle to one of them; `also` is one more
    condition, with the parameters `named`."""
    if lower is None and upper is None:
        return None
    conditions: list[str] = []
    params: Params = dict(named)
    if lower is not None:
        params |= {"low_end": lower, "low_begin": lower + MARGIN * (middle - lower)}
        conditions.append("(v.value >= $low_end AND v.value < $low_begin)")
    if upper is not None:
        params |= {"high_end": upper, "high_begin": upper - MARGIN * (upper - middle)}
        conditions.append("(v.value <= $high_end AND v.value > $high_begin)")
    ((count,),) = await source.rows(f"SELECT count(*) FROM v WHERE {also}({' OR '.join(conditions)})", **params)
    return int(count)


async def _what_if(source: Values, order: MeasurementOrder) -> WhatIf:
    sides = [("v.value >= $lower", "lower", order.lower), ("v.value <= $upper", "upper", order.upper)]
    asked = {name: limit for _, name, limit in sides if limit is not None}
    inside = " AND ".join(condition for condition, _, limit in sides if limit is not None)
    select = (
        f"SELECT count(*), count(*) FILTER (WHERE {inside}), "
        f"count(*) FILTER (WHERE v.outcome = 'pass' AND NOT ({inside})), "
        f"count(*) FILTER (WHERE v.outcome = 'fail' AND {inside}) FROM v WHERE v.value IS NOT NULL"
    )
    ((n, passed, newly_failed, newly_passed),) = await source.rows(select, **asked)
    rate, interval = rate_of(int(passed), int(n))
    return WhatIf(
        lower=order.lower,
        upper=order.upper,
        n=int(n),
        passed=int(passed),
        rate=rate or 0.0,
        interval=interval,
        newly_failed=int(newly_failed),
        newly_passed=int(newly_passed),
    )


async def _sample(source: Values, n: int) -> list[float]:
    """Values, evenly spread over time."""
    select = (
        "SELECT w.value FROM (SELECT v.value, row_number() OVER (ORDER BY v.started_at, v.run_id) AS place FROM v "
        f"WHERE v.value IS NOT NULL) w WHERE w.place % {max(1, -(-n // MAX_SAMPLE))} = 0"
    )
    return [float(value) for (value,) in await source.rows(select)]


async def _groups(source: Values, order: MeasurementOrder) -> tuple[list[MeasuredRow], int, str]:
    select = (
        f"SELECT v.{order.group_by}, count(v.value), avg(v.value), stddev_samp(v.value), "
        "count(*) FILTER (WHERE v.outcome = 'fail'), count(*) OVER () FROM v WHERE v.value IS NOT NULL "
        f"GROUP BY v.{order.group_by} ORDER BY count(v.value) DESC, v.{order.group_by} LIMIT {MAX_GROUPS}"
    )
    found = await source.rows(select)
    means = {group: Means(float(mean), float(sd or 0.0), int(n)) for group, n, mean, sd, *_ in found}
    compared = compare_means(Family({"": means}, True))
    rows: list[MeasuredRow] = []
    for group, _, _, sd, failed, _ in found:
        difference = compared.differences[0].get(("", group))
        row = MeasuredRow(group=group, n=means[group].n, mean=means[group].mean, failed=int(failed))
        row.sd = None if sd is None else float(sd)
        row.interval = list(mean_interval(*means[group]) or ())
        if difference:
            side = "higher" if difference.higher else "lower"
            row.differs = f"{side} mean than the rest ({p_text(difference.p)})"
        rows.append(row)
    rows.sort(key=lambda row: not row.differs)
    groups = int(found[0][5]) if found else 0
    said = f"Means were compared, each with the rest: {compared.comparisons} comparisons, Holm-corrected, p < {ALPHA}."
    if not any(row.differs for row in rows):
        said += " No difference is shown."
    if groups > MAX_GROUPS:
        said += f" Of {groups} groups, the {MAX_GROUPS} of most values were looked at."
    if len(rows) > order.limit:
        said += f" {order.limit} of {groups} groups are shown (limit)."
    return rows[: order.limit], groups, said if compared.comparisons else ""


def _say_extent(made: MeasurementStats, order: MeasurementOrder) -> str:
    which = {
        "first": "Each unit's first run counts",
        "final": "Each unit's last verdict counts",
        "every": "Every run counts",
    }
    said = f"{which[order.attempts]}; samples are left out."
    if made.what_if:
        said += " what_if judges this measurement alone, not the rest of the run; capability is by the limits in force."
    if made.drift and made.drift.reaches:
        said += " When a limit is reached is told for the mean, if it goes on like this."
    return said
