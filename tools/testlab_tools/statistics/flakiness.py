"""Test cases that do not always end alike: broken, bound to a node, flaky, or changed, and since when.

Passes are compared with everything else that is a verdict or an error. For each test the order of its runs is asked for
a change of the pass rate (Fisher's exact test of before and after, at each place); then, among the runs since the last
change, each node is compared with the rest. Holm corrects over all tests of the answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import Drawn, HistoryShare, p_text, rate_of, short_revision
from testlab_tools.statistics.comparison import ALPHA, Counted, Family, compare_rates
from testlab_tools.statistics.intervals import holm, runs_to_tell_apart, scipy_stats
from testlab_tools.statistics.selection import Params, RunFilter, where
from testlab_tools.times import Minute, Moment, utc
from testlab_tools.untrusted import Untrusted

MAX_TESTS = 150
"""Tests whose runs are looked at one by one: those that fail most. Only these can be broken, changed or flaky."""

MAX_RUNS = 300
"""Newest runs of each test that are looked at."""

MAX_NODE_RUNS = 1_000
"""Newest runs of a node by which it is told whether it is down."""

MIN_RUNS = 10
"""Below this a change of the pass rate is not sought."""

EDGE = 3
"""Runs at either end within which no change is sought."""

ABOUT_AS_LIKELY = 100
"""Places whose p-value is within this factor of the smallest are as good as the best one."""

Class = Literal["broken", "node-bound", "flaky", "failed once", "stable"]
JUDGED = "r.ended_as IN ('pass', 'fail', 'error', 'timeout')"


class Change(ResultModel):
    """The pass rate went from `before` to `after` with `run_id`, the first run after the change.

    `from_revision` and `to_revision` are those of the runs at either side; where they are the same, the test pack did
    not change there, and something else did.
    """

    at: Minute
    run_id: str
    before: float
    after: float
    from_revision: Untrusted = ""
    to_revision: Untrusted = ""
    p: str


class RateOf(ResultModel):
    """Passes of `n` runs at a node or under a revision."""

    name: Untrusted
    n: int
    rate: float
    interval: list[float]


class FlakyTest(ResultModel):
    """A test: how it stands since its last `change`, or in all runs looked at.

    `rate` is that of the `n` runs since then, with its 95 % interval; `revisions`, newest first, and `nodes` are given
    where rates may differ, `worst_node` where one is shown to be worse than the rest. `more_runs` of each of the two
    newest revisions would tell their rates apart, were they as observed.
    """

    test: Untrusted
    state: Class
    n: int
    passed: int
    rate: float | None = None
    interval: list[float] = []
    errors: int = 0
    change: Change | None = None
    worst_node: Untrusted = ""
    node_p: str = ""
    revisions: list[RateOf] = []
    nodes: list[RateOf] = []
    more_runs: int | None = None


class DownNode(ResultModel):
    """A node at which most runs of all tests fail, since `since`: `passed` of `n`. These runs count for no test."""

    node: Untrusted
    since: Minute
    run_id: str
    n: int
    passed: int


class Flakiness(Drawn):
    """Tests that do not always pass, the worst first; `counts` tells how many are in each state."""

    since: Moment | None = None
    until: Moment | None = None
    counts: dict[str, int]
    tests: list[FlakyTest]
    nodes_down: list[DownNode] = []
    services: list[HistoryShare] = []
    note: str = ""
    next: str = ""


class TestRun(NamedTuple):
    """One run of a test, as far as it counts here."""

    __test__ = False

    run_id: str
    at: datetime
    passed: bool
    error: bool
    node: str
    revision: str


class _Seen(NamedTuple):
    """A test with its runs, oldest first, and where its last part begins."""

    runs: Sequence[TestRun]
    p: float
    at: int


async def find_flaky(view: HistoryView, runs: RunFilter, limit: int, detailed: bool) -> Flakiness:
    """The answer but for what is said of each service; `detailed` shows revisions and nodes of every test."""
    names, every, failing = await _failing_tests(view, runs)
    histories = await _histories(view, runs, names)
    down = find_down_nodes(histories)
    judged = judge(without_nodes(histories, down), detailed)
    counts = {state: sum(test.state == state for test in judged) for state in Class.__args__}
    counts["stable"] += every - len(judged)
    shown = [test for test in judged if detailed or test.state != "stable"]
    return Flakiness(
        since=runs.since,
        until=runs.until,
        counts={state: n for state, n in counts.items() if n},
        tests=shown[:limit],
        nodes_down=down,
        note=_say(every, failing, histories, len(shown), limit),
    )


async def _failing_tests(view: HistoryView, runs: RunFilter) -> tuple[list[str], int, int]:
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


async def _histories(view: HistoryView, runs: RunFilter, names: Sequence[str]) -> dict[str, list[TestRun]]:
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


def find_down_nodes(histories: Mapping[str, Sequence[TestRun]]) -> list[DownNode]:
    """Nodes whose runs, of whatever tests, fail for the most part since some time, while they did not before."""
    nodes: dict[str, list[TestRun]] = {}
    for run in sorted((run for runs in histories.values() for run in runs), key=lambda run: run.at):
        nodes.setdefault(run.node, []).append(run)
    if len(nodes) < 2:
        return []
    down: list[DownNode] = []
    for node, runs in nodes.items():
        newest = [run._replace(revision="") for run in runs[-MAX_NODE_RUNS:]]
        p, at = _find_change(newest)
        after = newest[at:]
        passed = sum(run.passed for run in after)
        if p * len(nodes) < ALPHA and rate_of(passed, len(after))[1][1] < 0.5:
            down.append(DownNode(node=node, since=after[0].at, run_id=after[0].run_id, n=len(after), passed=passed))
    return down


def without_nodes(histories: Mapping[str, Sequence[TestRun]], down: Sequence[DownNode]) -> dict[str, list[TestRun]]:
    """The histories without the runs at nodes that were down."""
    since = {node.node: node.since for node in down}
    return {
        test: [run for run in runs if run.node not in since or run.at < since[run.node]]
        for test, runs in histories.items()
    }


def judge(histories: Mapping[str, Sequence[TestRun]], detailed: bool = False) -> list[FlakyTest]:
    """Each test's state, the worst first."""
    found = {test: _find_change(runs) for test, runs in histories.items()}
    adjusted = dict(zip(found, holm([p for p, _ in found.values()]), strict=True))
    seen = {test: _last_part(runs, (adjusted[test], found[test][1]), len(found)) for test, runs in histories.items()}
    families: dict[Hashable, Mapping[Hashable, Counted]] = {
        test: _by(one.runs[one.at :], "node") for test, one in seen.items()
    }
    worst = compare_rates(Family(families, bad_is_higher=False)).differences[0]
    bound = {test: (node, difference.p) for (test, node), difference in worst.items() if not difference.higher}
    tests = [_judge(test, one, bound.get(test), detailed) for test, one in seen.items()]
    order = list(Class.__args__)
    return sorted(tests, key=lambda test: (order.index(test.state), test.interval[1] if test.interval else 1.0))


def _find_change(runs: Sequence[TestRun]) -> tuple[float, int]:
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


def _last_part(runs: Sequence[TestRun], first: tuple[float, int], tests: int) -> _Seen:
    """The runs since the last change: within those since one change, another is sought."""
    p, at = first
    if p >= ALPHA:
        return _Seen(runs, p, 0)
    seen = _Seen(runs, p, at)
    while True:
        p, at = _find_change(runs[seen.at :])
        if p * tests >= ALPHA:
            return seen
        seen = _Seen(runs, p * tests, seen.at + at)


def _by(runs: Sequence[TestRun], field: Literal["node", "revision"]) -> dict[Hashable, Counted]:
    counted: dict[Hashable, Counted] = {}
    for run in runs:
        hits, n = counted.get(getattr(run, field), Counted(0, 0))
        counted[getattr(run, field)] = Counted(hits + run.passed, n + 1)
    return counted


def _judge(test: str, seen: _Seen, bound: tuple[Any, float] | None, detailed: bool) -> FlakyTest:
    recent = seen.runs[seen.at :]
    passed = sum(run.passed for run in recent)
    rate, interval = rate_of(passed, len(recent))
    state = _state(recent, interval, bound is not None)
    made = FlakyTest(test=test, state=state, n=len(recent), passed=passed, rate=rate, interval=interval)
    made.errors = sum(run.error for run in recent)
    if seen.at:
        made.change = _change(seen)
    if bound is not None and state == "node-bound":
        made.worst_node, made.node_p = str(bound[0]), p_text(bound[1])
    revisions = list(reversed(_by(seen.runs, "revision").items()))
    if len(revisions) > 1:
        (_, new), (_, old) = revisions[:2]
        if seen.p >= ALPHA and detailed:
            made.more_runs = runs_to_tell_apart(new.hits / new.n, old.hits / old.n)
    if detailed or (made.change and made.change.from_revision != made.change.to_revision):
        made.revisions = [_rate(short_revision(str(name)), counted) for name, counted in revisions[:4]]
    if detailed or state == "node-bound":
        nodes = sorted(_by(recent, "node").items(), key=lambda item: item[1].hits / item[1].n)
        made.nodes = [_rate(name, counted) for name, counted in nodes[:5]]
    return made


def _state(recent: Sequence[TestRun], interval: Sequence[float], bound: bool) -> Class:
    failed = sum(not run.passed for run in recent)
    if interval and failed == len(recent) and interval[1] < 0.5:
        return "broken"
    if bound:
        return "node-bound"
    return "stable" if not failed else "failed once" if failed == 1 else "flaky"


def _change(seen: _Seen) -> Change:
    before, after = seen.runs[: seen.at], seen.runs[seen.at :]
    return Change(
        at=after[0].at,
        run_id=after[0].run_id,
        before=round(sum(run.passed for run in before) / len(before), 4),
        after=round(sum(run.passed for run in after) / len(after), 4),
        from_revision=short_revision(before[-1].revision),
        to_revision=short_revision(after[0].revision),
        p=p_text(seen.p),
    )


def _rate(name: Any, counted: Counted) -> RateOf:
    rate, interval = rate_of(*counted)
    return RateOf(name=str(name), n=counted.n, rate=rate or 0.0, interval=interval)


def _say(every: int, failing: int, histories: Mapping[str, Sequence[TestRun]], shown: int, limit: int) -> str:
    if not every:
        return "No run in the archive matches."
    rule = (
        f"Tests that ran: {every}; that did not always pass: {failing}. A change, or a node that is worse, is told "
        f"only where p < {ALPHA} after Holm's correction over all tests. Stable: it has not failed."
    )
    said = [rule]
    if failing > MAX_TESTS:
        said.append(f"Only the {MAX_TESTS} that failed most were looked at: narrow test, since or revision.")
    if any(len(runs) == MAX_RUNS for runs in histories.values()):
        said.append(f"Of each test, its newest {MAX_RUNS} runs.")
    if shown > limit:
        said.append(f"{limit} of {shown} are shown (limit).")
    return " ".join(said)
