"""Test cases that do not always end alike: broken, bound to a node, flaky, or changed, and since when.

Passes are compared with everything else that is a verdict or an error. For each test the order of its runs is asked for
a change of the pass rate (Fisher's exact test of before and after, at each place); then, among the runs since the last
change, each node is compared with the rest. Holm corrects over all tests of the answer.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import Drawn, HistoryShare, p_text, rate_of, short_revision
from testlab_tools.statistics.case_history import (
    MAX_RUNS,
    MAX_TESTS,
    TestRun,
    failing_tests,
    find_change,
    read_histories,
)
from testlab_tools.statistics.comparison import ALPHA, Counted, Family, compare_rates
from testlab_tools.statistics.intervals import holm, runs_to_tell_apart
from testlab_tools.statistics.nodes_down import DownNode, find_down_nodes, without_nodes
from testlab_tools.statistics.selection import RunFilter
from testlab_tools.times import Minute, Moment
from testlab_tools.untrusted import Untrusted

MIN_TOLD = 5
"""Runs of a revision below which nothing is foreseen from its rate."""

Class = Literal["broken", "failing", "node-bound", "flaky", "failed once", "stable"]


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
    where rates may differ, `worst_node` where one is shown to be worse than the rest. `left_out` runs, at nodes
    that are down, are in neither. After `more_runs` of each of the two newest revisions their rates would be told
    apart, were they as observed.
    """

    test: Untrusted
    state: Class
    n: int
    passed: int
    rate: float | None = None
    interval: list[float] = []
    errors: int = 0
    left_out: int = 0
    change: Change | None = None
    worst_node: Untrusted = ""
    node_p: str = ""
    revisions: list[RateOf] = []
    nodes: list[RateOf] = []
    more_runs: int | None = None


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


class _Seen(NamedTuple):
    """A test with its runs, oldest first, and where its last part begins."""

    runs: Sequence[TestRun]
    p: float
    at: int


async def find_flaky(view: HistoryView, runs: RunFilter, limit: int, detailed: bool) -> Flakiness:
    """The answer but for what is said of each service; `detailed` shows revisions and nodes of every test."""
    names, every, failing = await failing_tests(view, runs)
    histories = await read_histories(view, runs, names)
    down = find_down_nodes(await _all_histories(view, runs) if runs.names else histories)
    kept = without_nodes(histories, down)
    judged = judge(kept, detailed)
    for test in judged:
        test.left_out = len(histories[test.test]) - len(kept[test.test])
    counts = {state: sum(test.state == state for test in judged) for state in Class.__args__}
    counts["stable"] += every - len(judged)
    shown = [test for test in judged if detailed or test.state != "stable"]
    return Flakiness(
        since=runs.since,
        until=runs.until,
        counts={state: n for state, n in counts.items() if n},
        tests=shown[:limit],
        nodes_down=down,
        note=_say(every, failing, histories, len(shown), limit) + _say_down(down, judged),
    )


async def _all_histories(view: HistoryView, runs: RunFilter) -> dict[str, list[TestRun]]:
    """The histories of the span's tests, whatever test, node or revision is asked for."""
    span = replace(runs, names={})
    names, *_ = await failing_tests(view, span)
    return await read_histories(view, span, names)


def judge(histories: Mapping[str, Sequence[TestRun]], detailed: bool = False) -> list[FlakyTest]:
    """Each test's state, the worst first."""
    found = {test: find_change(runs) for test, runs in histories.items()}
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


def _last_part(runs: Sequence[TestRun], first: tuple[float, int], tests: int) -> _Seen:
    """The runs since the last change: within those since one change, another is sought."""
    p, at = first
    if p >= ALPHA:
        return _Seen(runs, p, 0)
    seen = _Seen(runs, p, at)
    while True:
        p, at = find_change(runs[seen.at :])
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
        if seen.p >= ALPHA and min(new.n, old.n) >= MIN_TOLD:
            made.more_runs = _more_runs(new, old)
    if detailed or (made.change and made.change.from_revision != made.change.to_revision):
        made.revisions = [_rate(short_revision(str(name)), counted) for name, counted in revisions[:4]]
    if detailed or state == "node-bound":
        nodes = sorted(_by(recent, "node").items(), key=lambda item: item[1].hits / item[1].n)
        made.nodes = [_rate(name, counted) for name, counted in nodes[:5]]
    return made


def _more_runs(new: Counted, old: Counted) -> int | None:
    """Runs of each that are wanting to tell the rates apart; None where they are equal or there are enough."""
    wanted = runs_to_tell_apart(new.hits / new.n, old.hits / old.n)
    return max(0, wanted - min(new.n, old.n)) or None if wanted else None


def _state(recent: Sequence[TestRun], interval: Sequence[float], bound: bool) -> Class:
    failed = sum(not run.passed for run in recent)
    if interval and failed == len(recent) and interval[1] < 0.5:
        return "broken"
    if bound:
        return "node-bound"
    if failed < 2:
        return "failed once" if failed else "stable"
    return "failing" if failed == len(recent) else "flaky"


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
        f"Tests that ran: {every}; that ever failed: {failing}. counts has each by its runs since its last change, "
        f"without those at nodes_down; stable: none of these failed. A change, or a node that is worse, is told only "
        f"where p < {ALPHA} after Holm's correction over all tests."
    )
    said = [rule]
    if failing > MAX_TESTS:
        said.append(f"Only the {MAX_TESTS} that failed most were looked at: narrow test, since or revision.")
    if any(len(runs) == MAX_RUNS for runs in histories.values()):
        said.append(f"Of each test, its newest {MAX_RUNS} runs.")
    if shown > limit:
        said.append(f"{limit} of {shown} are shown (limit).")
    return " ".join(said)


def _say_down(down: Sequence[DownNode], judged: Sequence[FlakyTest]) -> str:
    if not down:
        return ""
    return (
        f" {sum(test.left_out for test in judged)} runs at nodes in nodes_down, from since on, are left out of n and "
        "change (left_out of each test). Such a node passes less than half since then, less than before and than other "
        f"nodes, whichever test is left aside (p < {ALPHA})."
    )
