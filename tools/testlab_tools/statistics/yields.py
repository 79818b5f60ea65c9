"""Counts and yields by group: of all runs, first pass, final, and the share of units that were tested again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import Row, p_text, rate_of
from testlab_tools.statistics.comparison import Compared, Counted, Difference, Family, compare_rates
from testlab_tools.statistics.grouping import GroupBy, Grouped, group_sql, read_groups
from testlab_tools.statistics.selection import Attempts, Params, RunFilter, chosen

RateMetric = Literal["runs", "first_pass_yield", "final_yield", "retest_rate"]
ATTEMPTS: Mapping[RateMetric, Attempts] = {
    "runs": "every",
    "first_pass_yield": "first",
    "final_yield": "final",
    "retest_rate": "first",
}
_ENDS = ("pass", "fail", "error", "timeout", "aborted", "stopped", "skip")
FIGURES = ", ".join(
    [
        "count(*) AS n",
        *(f"count(*) FILTER (WHERE c.ended_as = '{end}') AS {end}_runs" for end in _ENDS),
        "count(*) FILTER (WHERE c.sample <> '') AS samples",
        "count(*) FILTER (WHERE c.sample = '' AND c.ended_as = 'pass') AS good",
        "count(*) FILTER (WHERE c.sample = '' AND c.ended_as = 'fail') AS bad",
        "count(*) FILTER (WHERE c.sample = '' AND c.ended_as IN ('error', 'timeout', 'aborted')) AS broken",
    ]
)


class Tally(NamedTuple):
    """The figures of a group, in the order of FIGURES; `good`, `bad` and `broken` leave samples out."""

    runs: int
    passed: int
    failed: int
    error: int
    timeout: int
    aborted: int
    stopped: int
    skipped: int
    samples: int
    good: int
    bad: int
    broken: int
    again: int = 0

    @classmethod
    def read(cls, figures: Any) -> Tally:
        """From a row of the store."""
        return cls(*map(int, figures))

    def counted(self, metric: RateMetric) -> Counted:
        """What the metric is the proportion of."""
        return Counted(self.again, self.runs) if metric == "retest_rate" else Counted(self.good, self.good + self.bad)

    @property
    def without_verdict(self) -> Counted:
        """Runs that ended in an error, by time-out or aborted, of those that ran."""
        return Counted(self.broken, self.good + self.bad + self.broken)


class Rates(NamedTuple):
    """Figures by group, and which groups differ: in the metric, and in the share that ends without a verdict."""

    grouped: Grouped
    total: Tally
    rows: Mapping[tuple[str, str], Tally]
    strata: Mapping[str, Tally]
    compared: Compared


async def count_rates(
    view: HistoryView, runs: RunFilter, metric: RateMetric, group_by: GroupBy, within_test: bool
) -> Rates:
    """The metric of each group; groups are compared within their test, or all together."""
    params: Params = {}
    figures = FIGURES
    source = chosen(runs, ATTEMPTS[metric], params)
    if metric == "retest_rate":
        figures += ", count(*) FILTER (WHERE c.attempts > 1) AS again"
    sql = group_sql(source, group_by, figures, within_test, runs.zone)
    grouped = read_groups(await view.rows(sql, params), group_by, runs.zone)
    rows = {key: Tally.read(figures) for key, figures in grouped.rows.items()}
    strata = {key: Tally.read(figures) for key, figures in grouped.strata.items()}
    return Rates(grouped, Tally.read(grouped.total), rows, strata, compare_tallies(rows, strata, metric))


def compare_tallies(rows: Mapping[tuple[str, str], Tally], strata: Mapping[str, Tally], metric: RateMetric) -> Compared:
    """Which groups differ, in the metric and in the share of runs that end without a verdict."""
    families = [_family(rows, strata, lambda tally: tally.counted(metric), metric == "retest_rate")]
    if metric in ("runs", "first_pass_yield"):
        families.append(_family(rows, strata, lambda tally: tally.without_verdict, True))
    return compare_rates(*families)


def _family(
    rows: Mapping[tuple[str, str], Tally],
    strata: Mapping[str, Tally],
    count: Callable[[Tally], Counted],
    bad_is_higher: bool,
) -> Family[Counted]:
    groups: dict[Hashable, dict[Hashable, Counted]] = {}
    for (stratum, group), tally in rows.items():
        if (counted := count(tally)).n and stratum in strata:
            groups.setdefault(stratum, {})[group] = counted
    others: dict[Hashable, Counted] = {}
    for stratum, total in ((stratum, count(tally)) for stratum, tally in strata.items() if stratum in groups):
        shown = groups[stratum].values()
        rest = Counted(total.hits - sum(one.hits for one in shown), total.n - sum(one.n for one in shown))
        if rest.n > 0:
            others[stratum] = rest
    return Family(groups, bad_is_higher, others)


def make_row(tally: Tally, metric: RateMetric, test: str = "", group: str = "", differs: str = "") -> Row:
    """A group's figures as they are reported."""
    counted = tally.counted(metric)
    rate, interval = rate_of(*counted)
    return Row(
        test=test,
        group=group,
        runs=tally.runs,
        samples=tally.samples,
        passed=tally.passed,
        failed=tally.failed,
        error=tally.error,
        timeout=tally.timeout,
        aborted=tally.aborted,
        stopped=tally.stopped,
        skipped=tally.skipped,
        n=counted.n,
        rate=rate,
        interval=interval,
        differs=differs,
    )


def say_difference(rates: Rates, key: tuple[str, str], metric: RateMetric) -> str:
    """In which way a group differs from the rest; empty where no difference is shown."""
    said = {"retest_rate": ("retested more often", "retested less often")}.get(metric, ("better", "worse"))
    words = (said, ("more error, timeout or aborted", "less error, timeout or aborted"))
    found = [(family.get(key), pair) for family, pair in zip(rates.compared.differences, words, strict=False)]
    return "; ".join(_clause(difference, pair) for difference, pair in found if difference)


def _clause(difference: Difference, words: tuple[str, str]) -> str:
    return f"{words[0] if difference.higher else words[1]} than the rest ({p_text(difference.p)})"
