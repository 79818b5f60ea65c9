"""The runs of each test case in their order, and where its pass rate changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.intervals import scipy_stats
from testlab_tools.statistics.selection import Params, RunFilter, where
from testlab_tools.times import utc

MAX_TESTS = 150
"""Tests whose runs are looked at one by one: those that fail most. Only these can be broken, changed or flaky."""

MAX_RUNS = 300
"""Newest runs of each test that are looked at."""

MIN_RUNS = 10
"""Below this a change of the pass rate is not sought."""

EDGE = 3
"""Runs at either end within which no change is sought."""

ABOUT_AS_LIKELY = 100
"""Places whose p-value is within this factor of the smallest are as good as the best one."""

JUDGED = "r.ended_as IN ('pass', 'fail', 'error', 'timeout')"


class TestRun(NamedTuple):
    """One run of a test, as far as it counts here."""

    __test__ = False

    run_id: str
    at: datetime
    passed: bool
    error: bool
    node: str
    revision: str


async def failing_tests(view: HistoryView, runs: RunFilter) -> tuple[list[str], int, int]:
    """The tests that failed most often, how many tests ran at all, and how many of them ever failed."""
    params: Params = {}
    sql = (
        "SELECT t.test, count(*) OVER (), count(*) FILTER (WHERE t.bad > 0) OVER () FROM "
        f"(SELECT r.test, count(*) AS n, count(*) FILTER (WHERE r.ended_as <> 'pass') AS bad FROM runs r "
        f"WHERE {JUDGED} AND {where(runs, params)} GROUP BY r.test) t ORDER BY t.bad DESC, t.n DESC, t.test "
        f"LIMIT {MAX_TESTS}"
    )
    found = await view.rows(sql, params)
    every, failing = map(int, found[0][1:]) if found else (0, 0)
    return [row[0] for row in found], every, failing


async def read_histories(view: HistoryView, runs: RunFilter, names: Sequence[str]) -> dict[str, list[TestRun]]:
    """The newest runs of each test, oldest first."""
    if not names:
        return {}
    params: Params = {f"of_{number}": name for number, name in enumerate(names)}
    among = ", ".join(f"$of_{number}" for number in range(len(names)))
    sql = (
        "SELECT w.test, w.run_id, w.started_at, w.ended_as, w.station, w.revision FROM (SELECT r.*, row_number() "
        "OVER (PARTITION BY r.test ORDER BY r.started_at DESC, r.run_id DESC) AS place FROM runs r "
        f"WHERE {JUDGED} AND r.test IN ({among}) AND {where(runs, params)}) w WHERE w.place <= {MAX_RUNS} "
        "ORDER BY w.test, w.place DESC"
    )
    found: dict[str, list[TestRun]] = {name: [] for name in names}
    for test, run_id, at, ended_as, node, revision in await view.rows(sql, params):
        run = TestRun(run_id, utc(at), ended_as == "pass", ended_as in ("error", "timeout"), node, revision)
        found[test].append(run)
    return found


def find_change(runs: Sequence[TestRun]) -> tuple[float, int]:
    """The p-value of a change of the pass rate, and the index of the first run after it.

    Fisher's exact test (each side doubled) of the runs before and after every place, times the number of places. Of
    places that are about as likely, the one where the revision changes is taken.
    """
    passed = [run.passed for run in runs]
    if len(passed) < MIN_RUNS or all(passed) or not any(passed):
        return 1.0, 0
    import numpy

    places: Any = numpy.arange(EDGE, len(passed) - EDGE + 1)
    before: Any = numpy.cumsum(passed)[places - 1]
    chance = scipy_stats().hypergeom(len(passed), sum(passed), places)
    tails: Any = 2 * numpy.minimum(chance.cdf(before), chance.sf(before - 1))
    best = float(tails.min())
    likely = [int(place) for place, tail in zip(places, tails, strict=True) if tail <= best * ABOUT_AS_LIKELY]
    at = next((p for p in likely if runs[p].revision != runs[p - 1].revision), int(places[tails.argmin()]))
    return min(1.0, best * len(places)), at
