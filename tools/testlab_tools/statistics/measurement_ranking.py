"""All measurements of a test, the most telling first: those in which groups differ, then those least capable."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import p_text
from testlab_tools.statistics.capability import describe_capability
from testlab_tools.statistics.comparison import ALPHA, Counted, Difference, Family, Means, compare_mixed
from testlab_tools.statistics.measurement_answer import (
    DifferentGroup,
    MeasuredRow,
    MeasurementStats,
    round_numbers,
)
from testlab_tools.statistics.measurements import (
    MeasurementOrder,
    Values,
    count_marginal,
    values_sql,
)
from testlab_tools.statistics.selection import Params, RunFilter

MAX_MEASUREMENTS = 200
"""Measurements that are looked at: those of most values."""

MAX_GROUPS = 60
"""Groups of a measurement that are compared: those of most values."""

Key = tuple[str, str]
"""Name and case."""

Pair = tuple[float | None, float | None]


class _Groups(NamedTuple):
    """Means of values and shares of failed ones, by measurement and group; `cut`: there are more groups."""

    means: Mapping[Hashable, Mapping[Hashable, Means]]
    failed: Mapping[Hashable, Mapping[Hashable, Counted]]
    cut: bool


async def rank_measurements(view: HistoryView, runs: RunFilter, order: MeasurementOrder) -> MeasurementStats:
    """The answer but for what is said of each service. `runs` names the tests; samples are left out."""
    params: Params = {}
    async with view.keep("v", values_sql(runs, order, params), params) as kept:
        return await _rank(Values(kept), runs, order)


async def _rank(source: Values, runs: RunFilter, order: MeasurementOrder) -> MeasurementStats:
    found, every = await _overview(source)
    limits = await _limits(source)
    groups = await _groups(source, order)
    compared = compare_mixed(Family(groups.means, True), Family(groups.failed, True))
    for key, row in found.items():
        low, high = limits.get(key, (None, None))
        row.lower, row.upper = low, high
        differing = [_of(key, side) for side in compared.differences]
        row.groups = [
            _describe(groups, key, group, *(side.get(group) for side in differing)) for group in _join(differing)
        ]
    ranked = sorted(found.values(), key=_place)
    for row in ranked[: order.limit]:
        if row.mean is not None and (row.lower, row.upper) != (None, None):
            where, named = "v.name = $name AND v.case_name = $case", {"name": row.measurement, "case": row.case}
            middle = f"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v.value) FROM v WHERE {where}"
            ((median,),) = await source.rows(middle, **named)
            row.marginal = await count_marginal(source, float(median), row.lower, row.upper, f"{where} AND ", named)
    made = MeasurementStats(
        test=list(runs.names.get("test", ())),
        measurement="",
        since=runs.since,
        until=runs.until,
        n=sum(row.n for row in ranked),
        groups=every,
        rows=ranked[: order.limit],
        next="Give measurement for its drift, quantiles, groups and yield under other limits." if ranked else "",
    )
    made.note = _say(ranked[: order.limit], every, len(made.test), order, compared.comparisons, groups.cut)
    return round_numbers(made)


async def _overview(source: Values) -> tuple[dict[Key, MeasuredRow], int]:
    """A row of each measurement but for what needs limits or groups; and how many measurements there are."""
    select = (
        "SELECT w.name, w.case_name, count(w.value), avg(w.value), stddev_samp(w.value), "
        "avg(abs(w.value - w.before)), min(w.units), "
        "count(*) FILTER (WHERE w.outcome IN ('pass', 'fail')), count(*) FILTER (WHERE w.outcome = 'fail'), "
        "count(*) OVER () FROM (SELECT v.*, lag(v.value) OVER (PARTITION BY v.name, v.case_name "
        "ORDER BY v.started_at, v.run_id) AS before FROM v) w "
        f"GROUP BY w.name, w.case_name ORDER BY count(*) DESC, w.name, w.case_name LIMIT {MAX_MEASUREMENTS}"
    )
    rows: dict[Key, MeasuredRow] = {}
    every = 0
    for name, case, n, mean, sd, moving, units, judged, failed, size in await source.rows(select):
        row = MeasuredRow(measurement=name, case=case, units=units or "", n=int(n), judged=int(judged))
        row.failed, row.moving_range = int(failed), float(moving or 0.0)
        row.mean, row.sd = (None if value is None else float(value) for value in (mean, sd))
        rows[name, case], every = row, int(size)
    return rows, every


async def _limits(source: Values) -> dict[Key, Pair]:
    """The limits of each measurement's newest value; none where parts have different ones."""
    select = (
        "SELECT v.name, v.case_name, v.of_part, v.low, v.high FROM v "
        "WHERE v.value IS NOT NULL AND (v.low IS NOT NULL OR v.high IS NOT NULL) "
        "GROUP BY v.name, v.case_name, v.of_part, v.low, v.high ORDER BY max(v.started_at) DESC, v.low, v.high"
    )
    of_parts: dict[tuple[Key, str], Pair] = {}
    for name, case, part, low, high in await source.rows(select):
        of_parts.setdefault(((name, case), part), (low, high))
    found: dict[Key, set[Pair]] = {}
    for (key, _), pair in of_parts.items():
        found.setdefault(key, set()).add(pair)
    return {key: next(iter(pairs)) for key, pairs in found.items() if len(pairs) == 1}


async def _groups(source: Values, order: MeasurementOrder) -> _Groups:
    means: dict[Hashable, dict[Hashable, Means]] = {}
    failed: dict[Hashable, dict[Hashable, Counted]] = {}
    cut = False
    if not order.group_by:
        return _Groups(means, failed, cut)
    group = f"v.{order.group_by}"
    select = (
        "SELECT * FROM (SELECT v.name, v.case_name, "
        f"{group} AS grp, count(v.value), avg(v.value), stddev_samp(v.value), "
        "count(*) FILTER (WHERE v.outcome = 'fail'), count(*) FILTER (WHERE v.outcome IN ('pass', 'fail')), "
        f"row_number() OVER (PARTITION BY v.name, v.case_name ORDER BY count(*) DESC, {group}) AS place FROM v "
        f"GROUP BY v.name, v.case_name, {group}) w WHERE w.place <= {MAX_GROUPS + 1}"
    )
    for name, case, member, n, mean, sd, bad, judged, place in await source.rows(select):
        cut |= place > MAX_GROUPS
        if place <= MAX_GROUPS and n:
            means.setdefault((name, case), {})[member] = Means(float(mean), float(sd or 0.0), int(n))
        if place <= MAX_GROUPS and judged:
            failed.setdefault((name, case), {})[member] = Counted(int(bad), int(judged))
    return _Groups(means, failed, cut)


def _of(key: Key, side: Mapping[tuple[Hashable, Hashable], Difference]) -> dict[Hashable, Difference]:
    return {group: difference for (stratum, group), difference in side.items() if stratum == key}


def _join(differing: Sequence[Mapping[Hashable, Difference]]) -> list[Hashable]:
    return list(dict.fromkeys(group for side in differing for group in side))


def _describe(
    groups: _Groups, key: Key, group: Hashable, mean: Difference | None, failed: Difference | None
) -> DifferentGroup:
    said = [f"{'higher' if mean.higher else 'lower'} mean than the rest ({p_text(mean.p)})"] if mean else []
    said += [f"fails {'more' if failed.higher else 'less'} than the rest ({p_text(failed.p)})"] if failed else []
    values = groups.means.get(key, {}).get(group)
    bad, judged = groups.failed.get(key, {}).get(group, Counted(0, 0))
    row = DifferentGroup(group=str(group), n=values.n if values else judged, failed=bad, differs="; ".join(said))
    row.mean = values.mean if values else None
    return row


def _place(row: MeasuredRow) -> tuple[Any, ...]:
    """Those in which a group differs first; then by ppk, the least first; then by the share that failed.

    ppk has the spread over the whole span in it: cpk is high also where the mean has drifted to a limit.
    """
    if row.mean is not None and row.sd:
        found = describe_capability(row.n, row.mean, row.sd, row.moving_range, row.lower, row.upper)
        row.cpk, row.ppk = (found.cpk, found.ppk) if found else ([], [])
    share = row.failed / row.judged if row.judged else 0.0
    return (not row.groups, row.ppk[0] if row.ppk else float("inf"), -share, row.measurement, row.case)


def _say(
    shown: Sequence[MeasuredRow], every: int, tests: int, order: MeasurementOrder, comparisons: int, cut: bool
) -> str:
    if not every:
        return "No run that matches has a measurement."
    said = ["Those in which a group differs come first, then the least capable over the whole span (ppk)."]
    if tests > 1:
        said.append(f"{tests} tests are mixed: give one's whole name.")
    if comparisons:
        said.append(
            f"Each group's mean and share of failed values were compared with the rest: {comparisons} comparisons, "
            f"Holm-corrected, p < {ALPHA}."
        )
        if not any(row.groups for row in shown):
            said.append("No difference is shown.")
    if cut:
        said.append(f"Of each measurement, the {MAX_GROUPS} groups of most values were compared.")
    if every > len(shown):
        said.append(f"{len(shown)} of {every} measurements are shown (limit).")
    if order.attempts != "every":
        said.append(f"Of production units' {order.attempts} runs.")
    return " ".join(said)
