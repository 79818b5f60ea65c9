"""What a campaign's own runs say of its nodes: one that fails at the equipment in most of them costs more than it
gives, also where it passes now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from testlab_tools.campaigns.counting import Verdict
from testlab_tools.models.lab import Outcome
from testlab_tools.node_queue.fitness import SEVERAL_TESTS, SHARE_RUNS, Said, compare, find_share
from testlab_tools.triage.causes import read_fault

ELSEWHERE = "errors that other nodes did not have"
"""An error that says nothing of the equipment may be the test's own: it is the node's once another node ran the same
without."""


@dataclass
class _Told:
    item: int
    test: int
    outcome: Outcome
    fault: str


class NodeRecords:
    """The latest runs of each node since it was granted, as this process saw them."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[_Told]] = {}

    def begin(self, node: str) -> None:
        """A node that was granted, and is as good as any."""
        self._runs[node] = deque(maxlen=SHARE_RUNS)

    def note(self, verdicts: Sequence[Verdict]) -> None:
        """Runs that were made."""
        for verdict in verdicts:
            attempt = verdict.attempt
            errored = attempt.outcome == "error"
            fault = read_fault(attempt.reason, errored) if errored or attempt.outcome == "fail" else ""
            runs = self._runs.setdefault(attempt.node, deque(maxlen=SHARE_RUNS))
            runs.append(_Told(attempt.item, verdict.work.test, attempt.outcome, fault))
            if not errored:
                self._blame(verdict)

    def find_share(self, node: str) -> str:
        """Why a node is not fit, by the rule of the line for nodes; empty where it is, or where nothing is known."""
        return find_share(node, {name: [_say(told) for told in reversed(runs)] for name, runs in self._runs.items()})

    def compare_errors(self, node: str, newest: int) -> str:
        """By what the errors of a `newest` runs are its own; empty where the tests may be to blame."""
        errors = {
            name: [Said(str(told.test), "error" if told.outcome == "error" else "", False) for told in reversed(runs)]
            for name, runs in self._runs.items()
        }
        basis = compare(errors.get(node, ())[:newest], node, errors, 1)
        latest = [one for name, told in errors.items() if name != node for one in told[:newest]]
        judged = any(not one.fault for one in latest)
        return basis if basis != SEVERAL_TESTS or judged else ""

    def _blame(self, verdict: Verdict) -> None:
        for node in verdict.work.avoid - {verdict.attempt.node}:
            for told in self._runs.get(node, ()):
                if told.item == verdict.attempt.item and told.outcome == "error":
                    told.fault = told.fault or ELSEWHERE


def _say(told: _Told) -> Said:
    return Said(str(told.test), told.fault, told.outcome in ("pass", "fail") and not told.fault)
