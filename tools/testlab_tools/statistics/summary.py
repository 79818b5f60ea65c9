"""A summary of many runs: the metric asked for, by group, with what was compared, cut and left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

from testlab_tools.archive.store import HistoryView
from testlab_tools.errors import BadInput
from testlab_tools.statistics.answer import OF_UNITS, Metric, Row, RunSummary
from testlab_tools.statistics.comparison import ALPHA
from testlab_tools.statistics.failing_cases import COLUMNS, EXPLAINED, Ran, find_failing_cases
from testlab_tools.statistics.flow import count_throughput, duration_row, measure_durations, throughput_row
from testlab_tools.statistics.grouping import MAX_GROUPS, TIMES, By, GroupBy
from testlab_tools.statistics.pareto import rank_failures
from testlab_tools.statistics.rolled import roll_yields
from testlab_tools.statistics.selection import DATED, Attempts, Params, RunFilter, identity_conditions, where
from testlab_tools.statistics.yields import ATTEMPTS, RateMetric, Rates, Tally, count_rates, make_row, say_difference
from testlab_tools.times import iso, utc

WHOLE = ("", "service", "test")
"""Groups that are not within a test."""
FOR_THE_WORSE = ("worse", "more error", "retested more often", "longer")
"""How `differs` begins, or goes on, of what is worse than the rest."""


@dataclass(frozen=True)
class SummaryOrder:
    """What is asked: `attempts` is for failures alone, `limit` bounds the rows shown."""

    metric: Metric
    group_by: By = ""
    attempts: Attempts = "every"
    limit: int = 20


class Coverage(NamedTuple):
    """What the filter finds: runs, those without a serial number, of samples, and the number of tests."""

    runs: int
    without_unit: int
    samples: int
    tests: int


class _Found(NamedTuple):
    total: Row
    rows: list[Row]
    groups: int
    comparisons: int = 0


async def summarize(view: HistoryView, runs: RunFilter, order: SummaryOrder) -> RunSummary:
    """The answer but for what is said of each service.

    Raises:
        BadInput: a group that the metric does not have, or a yield of runs of one outcome.
    """
    _check(order, runs)
    covered = await _cover(view, runs)
    found = await _find(view, runs, order, covered)
    rows = _arrange(found.rows, order)
    single = {row.test for row in rows} if covered.tests == 1 else set[str]()
    chosen = _order_shown(rows[: order.limit], order)
    shown = [row.model_copy(update={"test": ""}) if single else row for row in chosen]
    if order.group_by in TIMES:
        shown = (rows[-order.limit :] if order.limit else [])[:]
    return RunSummary(
        metric=order.metric,
        since=runs.since,
        until=runs.until,
        total=found.total,
        rows=shown,
        groups=found.groups,
        note=" ".join(
            [*await _say_coverage(view, runs, order, covered), *_say_groups(found, order, covered, shown, runs.zone)]
        ),
    )


def _check(order: SummaryOrder, runs: RunFilter) -> None:
    if runs.outcome and order.metric in ("first_pass_yield", "final_yield", "rolled_yield"):
        raise BadInput("A yield of runs of one outcome is none", "", "Leave outcome out, or take metric=runs.")
    failures = order.metric == "failures"
    if order.group_by in ("case", "measurement", "reason") and not failures:
        raise BadInput(f"{order.metric} has no groups by {order.group_by}", "", "Take metric=failures for these.")
    if order.metric == "rolled_yield" and order.group_by == "test":
        raise BadInput("A rolled yield is the product over tests", "", "Group it by part, batch, revision or a time.")
    if failures and order.group_by in TIMES:
        raise BadInput("A Pareto over time is no Pareto", "", "metric=runs by day shows failures over time.")


async def _cover(view: HistoryView, runs: RunFilter) -> Coverage:
    params: Params = {}
    sql = (
        "SELECT count(*), count(*) FILTER (WHERE r.unit = ''), count(*) FILTER (WHERE r.sample <> ''), "
        f"count(DISTINCT r.test) FROM runs r WHERE {where(runs, params)}"
    )
    (figures,) = await view.rows(sql, params)
    return Coverage(*map(int, figures))


async def _find(view: HistoryView, runs: RunFilter, order: SummaryOrder, covered: Coverage) -> _Found:
    metric, by = order.metric, order.group_by
    if metric == "failures":
        return _Found(*await rank_failures(view, runs, by or "case", order.attempts))
    by = cast(GroupBy, by)
    within = by not in WHOLE and by not in TIMES and covered.tests > 1
    if metric == "rolled_yield":
        return _Found(*await roll_yields(view, runs, by))
    if metric == "throughput":
        grouped = await count_throughput(view, runs, by, within)
        rows = [throughput_row(figures, *key, by not in TIMES) for key, figures in grouped.rows.items()]
        return _Found(throughput_row(grouped.total), rows if by else [], grouped.groups)
    if metric == "duration":
        grouped, compared = await measure_durations(view, runs, by, within)
        marks = compared.differences[0] if _comparable(by, covered) else {}
        rows = [duration_row(figures, marks, *key) for key, figures in grouped.rows.items()]
        return _Found(duration_row(grouped.total, {}), rows if by else [], grouped.groups, compared.comparisons)
    return await _find_rates(view, runs, metric, by, within, covered)


async def _find_rates(
    view: HistoryView, runs: RunFilter, metric: RateMetric, by: GroupBy, within: bool, covered: Coverage
) -> _Found:
    rates = await count_rates(view, runs, metric, by, within)
    one_outcome = metric == "runs" and bool(runs.outcome)  # of which there is no rate
    compared = _comparable(by, covered) and not one_outcome
    rows = [
        make_row(tally, metric, *key, say_difference(rates, key, metric) if compared else "")
        for key, tally in rates.rows.items()
    ]
    total = make_row(rates.total, metric)
    if compared and by in COLUMNS and metric != "retest_rate":
        rows = await _add_failing_cases(view, runs, metric, by, rates, rows)
    if one_outcome:
        total, *rows = (row.model_copy(update={"n": 0, "rate": None, "interval": []}) for row in (total, *rows))
    return _Found(total, rows if by else [], rates.grouped.groups, rates.compared.comparisons if compared else 0)


async def _add_failing_cases(
    view: HistoryView, runs: RunFilter, metric: RateMetric, by: GroupBy, rates: Rates, rows: list[Row]
) -> list[Row]:
    """The rows, with what those that differ fail at more than the rest."""
    differing = {key: _ran(rates.rows[key]) for key, row in zip(rates.rows, rows, strict=True) if row.differs}
    if not differing:
        return rows
    tests = {test: _ran(tally) for test, tally in rates.strata.items()}
    found = await find_failing_cases(view, runs, ATTEMPTS[metric], by, differing, tests)
    return [
        row.model_copy(
            update={
                "fails_at": list(found[key].cases),
                "differs": f"{row.differs}; {EXPLAINED}" if found[key].explains else row.differs,
            }
        )
        if key in found
        else row
        for key, row in zip(rates.rows, rows, strict=True)
    ]


def _ran(tally: Tally) -> Ran:
    return Ran(tally.good + tally.bad + tally.broken, tally.bad + tally.broken)


def _comparable(by: GroupBy, covered: Coverage) -> bool:
    """Services do different things; over time, several tests come in changing shares: neither can be compared."""
    return by not in ("", "service") and (by not in TIMES or covered.tests == 1)


def _order_shown(rows: list[Row], order: SummaryOrder) -> list[Row]:
    """The rows by the figure asked for, the worst first and those without one last; at the same, that of more runs."""
    if order.group_by in TIMES or order.metric in ("failures", "throughput"):
        return rows

    def rank(row: Row) -> tuple[bool, float, int]:
        figure = row.mean_s if order.metric == "duration" else row.rate
        value = figure or 0.0
        return figure is None, -value if order.metric in ("duration", "retest_rate") else value, -(row.runs or row.n)

    return sorted(rows, key=rank)


def _arrange(rows: list[Row], order: SummaryOrder) -> list[Row]:
    """Times, which come latest first, in their order; else, for the choice of those that are shown, those that differ
    for the worse first and for the better last, each by the end of the interval that is surely reached."""
    if order.group_by in TIMES:
        return rows[::-1]
    if order.metric in ("failures", "throughput"):
        return rows

    def rank(row: Row) -> tuple[int, float, float]:
        low, high = row.interval or (0.0, 2.0)
        if order.metric == "duration":
            return _side(row), -max(0.0, low), -(row.mean_s or 0.0)
        return _side(row), -low if order.metric == "retest_rate" else high, 0.0

    return sorted(rows, key=rank)


def _side(row: Row) -> int:
    """Lower for a group that differs for the worse in anything, higher for one that only does for the better."""
    if any(clause.startswith(FOR_THE_WORSE) for clause in row.differs.split("; ")):
        return -1
    return 1 if row.differs else 0


async def _say_coverage(view: HistoryView, runs: RunFilter, order: SummaryOrder, covered: Coverage) -> list[str]:
    """What is not in the figures."""
    said: list[str] = []
    if not covered.runs:
        (first, last), *_ = await view.rows("SELECT min(r.started_at), max(r.started_at) FROM runs r WHERE " + DATED)
        held = f"It holds runs from {iso(utc(first))} to {iso(utc(last))}." if first else "It holds none at all."
        return [f"No run in the archive matches. {held}"]
    if order.metric in OF_UNITS and (undated := await _count_undated(view, runs)):
        said.append(f"{undated} runs tell no time: which attempts they were is not known, and they are left out.")
    if order.metric in OF_UNITS and covered.without_unit:
        said.append(
            f"{covered.without_unit} of {covered.runs} runs carry no serial number: they belong to no unit and are not "
            "in these figures. metric=runs counts every run."
        )
    if order.metric != "runs" and covered.samples and order.metric not in ("throughput", "duration"):
        said.append(f"Left out: {covered.samples} runs of golden, failing and ignored samples.")
    if order.metric in ("first_pass_yield", "final_yield", "rolled_yield"):
        said.append("Yield is pass / (pass + fail); error, timeout and aborted are counted beside it.")
    return said


async def _count_undated(view: HistoryView, runs: RunFilter) -> int:
    params: Params = {}
    conditions = " AND ".join(identity_conditions(runs, params))
    ((count,),) = await view.rows(f"SELECT count(*) FROM runs r WHERE {conditions} AND NOT ({DATED})", params)
    return int(count)


def _say_groups(found: _Found, order: SummaryOrder, covered: Coverage, shown: list[Row], zone: str) -> list[str]:
    said: list[str] = []
    if not found.rows:
        return said
    if found.comparisons:
        differ = sum(bool(row.differs) for row in found.rows)
        said.append(
            f"{f'Groups that differ: {differ}' if differ else 'No difference between groups is shown'}; each was "
            f"compared with the rest of its test ({found.comparisons} comparisons, Holm-corrected, p < {ALPHA}). "
            "Without `differs` there may still be one, for want of runs: see interval."
        )
    elif order.group_by in TIMES and covered.tests > 1 and order.metric not in ("throughput", "rolled_yield"):
        said.append(f"{covered.tests} tests are mixed, so times are not compared: give test.")
    if order.group_by == "reason":
        said.append("Reasons that differ only in their readings are one group, named by the newest.")
    if order.group_by in TIMES and zone != "UTC":
        said.append(f"Times of groups are those of {zone}.")
    if found.groups > MAX_GROUPS:
        said.append(f"Of {found.groups} groups, {MAX_GROUPS} were looked at: {_kept(order)}.")
    if len(shown) < min(found.groups, MAX_GROUPS):
        said.append(f"{len(shown)} of {found.groups} groups are shown (limit){_chosen(order)}.")
    return said


def _chosen(order: SummaryOrder) -> str:
    if order.group_by in TIMES or order.metric in ("failures", "throughput"):
        return ""
    return ": those that differ for the worse, then the worst for sure, those that differ for the better last"


def _kept(order: SummaryOrder) -> str:
    return "the latest" if order.group_by in TIMES else "those of most runs; the others are in the rest"
