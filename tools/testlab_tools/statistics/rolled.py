"""Rolled throughput yield: the product of the first-pass yields of the tests that a product goes through."""

from __future__ import annotations

from collections.abc import Iterable

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import Row, round_interval
from testlab_tools.statistics.comparison import Counted
from testlab_tools.statistics.grouping import GroupBy, group_sql, read_groups
from testlab_tools.statistics.intervals import product_interval
from testlab_tools.statistics.selection import Params, RunFilter, chosen
from testlab_tools.statistics.yields import FIGURES, Tally

MAX_PRODUCTS = 50
"""Groups of which the product is made: those of most runs."""


async def roll_yields(view: HistoryView, runs: RunFilter, group_by: GroupBy) -> tuple[Row, list[Row], int]:
    """The product over tests for all runs and for each group; the third is how many groups there are."""
    params: Params = {}
    sql = group_sql(chosen(runs, "first", params), group_by, FIGURES, True, runs.zone)
    grouped = read_groups(await view.rows(sql, params), group_by, runs.zone)
    total = _product(Tally.read(figures) for figures in grouped.strata.values())
    if not group_by:
        return total, [], 0
    parts: dict[str, list[Tally]] = {}
    for (_, group), figures in grouped.rows.items():
        parts.setdefault(group, []).append(Tally.read(figures))
    rows = [_product(tallies, group) for group, tallies in list(parts.items())[:MAX_PRODUCTS]]
    return total, rows, len(parts)


def _product(tallies: Iterable[Tally], group: str = "") -> Row:
    read = list(tallies)
    counted = [Counted(tally.good, tally.good + tally.bad) for tally in read if tally.good + tally.bad]
    rate = 1.0
    for hits, n in counted:
        rate *= hits / n
    return Row(
        group=group,
        runs=sum(tally.runs for tally in read),
        tests=len(counted),
        n=min((n for _, n in counted), default=0),
        rate=round(rate, 4) if counted else None,
        interval=round_interval(product_interval(counted)),
        error=sum(tally.error for tally in read),
        timeout=sum(tally.timeout for tally in read),
        aborted=sum(tally.aborted for tally in read),
    )
