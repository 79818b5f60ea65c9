"""The picture of flakiness: pass rates of test cases by node."""

from __future__ import annotations

import asyncio

from testlab_tools.archive.store import HistoryView
from testlab_tools.charts.canvas import Chart, Heading
from testlab_tools.charts.heatmap import MAX_ROWS, Heatmap, draw_heatmap
from testlab_tools.statistics.case_history import JUDGED
from testlab_tools.statistics.flakiness import Flakiness
from testlab_tools.statistics.selection import Params, RunFilter, where
from testlab_tools.statistics.summary_rows import describe_filters


async def draw_flakiness(view: HistoryView, runs: RunFilter, found: Flakiness) -> Chart:
    """Draw the pass rate of each test found, at most MAX_ROWS, at each node, over all runs that the filter has."""
    tests = [test.test for test in found.tests[:MAX_ROWS]]
    params: Params = {f"shown_{number}": name for number, name in enumerate(tests)}
    among = ", ".join(f"${name}" for name in params) or "''"
    select = (
        "SELECT r.test, r.station, count(*), count(*) FILTER (WHERE r.ended_as = 'pass') FROM runs r "
        f"WHERE {JUDGED} AND r.test IN ({among}) AND {where(runs, params)} GROUP BY r.test, r.station"
    )
    counted = {(test, node): (int(n), int(passed)) for test, node, n, passed in await view.rows(select, params)}
    nodes = sorted({node for _, node in counted})
    rates = [[_rate(*counted.get((test, node), (0, 0))) for node in nodes] for test in tests]
    n = sum(n for n, _ in counted.values())
    heading = Heading(
        "Pass rate by test case and node", n, "runs", found.since, found.until, describe_filters(runs), [found.note]
    )
    return await asyncio.to_thread(draw_heatmap, Heatmap(heading, "test case", "node", tests, nodes, rates))


def _rate(n: int, passed: int) -> float | None:
    return passed / n if n else None
