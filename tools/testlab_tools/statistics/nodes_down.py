"""Nodes that are down: since some run most of what runs there fails, whichever test, and elsewhere it does not.

A test alone never makes a node down: all that is asked holds of the other tests there, whichever test is left out. So
a test that is broken is judged with its runs at every node, and a node is down for all tests or for none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import rate_of
from testlab_tools.statistics.case_history import TestRun, find_change
from testlab_tools.statistics.comparison import ALPHA, Counted, stratified_proportions
from testlab_tools.times import Minute
from testlab_tools.untrusted import Untrusted

MAX_NODE_RUNS = 1_000
"""Newest runs of a node by which it is told whether it is down."""

NONE = Counted(0, 0)
Histories = Mapping[str, Sequence[TestRun]]


class DownNode(ResultModel):
    """A node that is down since the run `run_id`: `passed` of the `n` runs since then. They count for no test."""

    node: Untrusted
    since: Minute
    run_id: str
    n: int
    passed: int


class _Sides(NamedTuple):
    """Passes by test at a node before it went down and after, and elsewhere after."""

    before: Mapping[str, Counted]
    after: Mapping[str, Counted]
    elsewhere: Mapping[str, Counted]

    def show(self, without: str, nodes: int) -> bool:
        """Whether the other tests show that the node is down: less than half passes, and of the same tests, less than
        before and less than elsewhere."""
        after = {test: counted for test, counted in self.after.items() if test != without}
        if not after or rate_of(*_total(after))[1][1] >= 0.5:
            return False
        for other in (self.before, self.elsewhere):
            p, higher = stratified_proportions((one, other.get(test, NONE)) for test, one in after.items())
            if higher or p * nodes >= ALPHA:
                return False
        return True


def find_down_nodes(histories: Histories) -> list[DownNode]:
    """The nodes that are down, by the histories of all tests that ran."""
    nodes: dict[str, list[tuple[str, TestRun]]] = {}
    for test, runs in histories.items():
        for run in runs:
            nodes.setdefault(run.node, []).append((test, run))
    if len(nodes) < 2:
        return []
    down: list[DownNode] = []
    for node, mixed in nodes.items():
        mine = sorted(mixed, key=lambda item: item[1].at)[-MAX_NODE_RUNS:]
        p, at = find_change([run._replace(revision="") for _, run in mine])
        if p * len(nodes) >= ALPHA:
            continue
        since = mine[at][1].at
        others = (item for other, items in nodes.items() if other != node for item in items)
        sides = _Sides(_count(mine[:at]), _count(mine[at:]), _count(_since(others, since)))
        if all(sides.show(test, len(nodes)) for test in sides.after):
            passed, n = _total(sides.after)
            down.append(DownNode(node=node, since=since, run_id=mine[at][1].run_id, n=n, passed=passed))
    return down


def without_nodes(histories: Histories, down: Sequence[DownNode]) -> dict[str, list[TestRun]]:
    """The histories without the runs at nodes that were down."""
    since = {node.node: node.since for node in down}
    return {
        test: [run for run in runs if run.node not in since or run.at < since[run.node]]
        for test, runs in histories.items()
    }


def _since(runs: Iterable[tuple[str, TestRun]], moment: datetime) -> Iterable[tuple[str, TestRun]]:
    return (item for item in runs if item[1].at >= moment)


def _count(runs: Iterable[tuple[str, TestRun]]) -> dict[str, Counted]:
    counted: dict[str, Counted] = {}
    for test, run in runs:
        hits, n = counted.get(test, NONE)
        counted[test] = Counted(hits + run.passed, n + 1)
    return counted


def _total(side: Mapping[str, Counted]) -> Counted:
    return Counted(sum(one.hits for one in side.values()), sum(one.n for one in side.values()))
