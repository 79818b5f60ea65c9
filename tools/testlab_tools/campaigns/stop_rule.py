"""Rules that end a campaign early and have tests repeated: a soak until its failure rate is known, a bisection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.models.lab import Outcome
from testlab_tools.stopping.bisection import FALLS, NO_CHANGE, Bisection, Runs
from testlab_tools.stopping.rules import StopRule, conclude

OPEN_PER_TEST = 20
"""Runs of a soaked test that are ordered ahead of their results."""
OPEN_PER_NODE = 2
"""Runs of a bisection that are ordered ahead of their results, for each node."""
MAX_ERRORS = 6
"""Counted errors of a test without any other result, after which it is given up."""


_FOUND = {
    NO_CHANGE: "The revisions do not differ.",
    FALLS: "The test fails more often at the first revision than at the last.",
}


class Decision(NamedTuple):
    """`stop` says why the campaign is to end now, empty to go on; `more` are numbers of tests to run once more each."""

    stop: str = ""
    more: Sequence[int] = ()


def ends_in_errors(errors: int, others: int) -> bool:
    """Whether a test with so many counted errors and `others` is given up."""
    return errors >= MAX_ERRORS and not others


class CampaignRule(ABC):
    """Counts what was ordered and what came of it, by the numbers of the tests. A process that takes the campaign up
    tells a new rule the same, and goes on as it decides."""

    def __init__(self, tests: int) -> None:
        self.tests = tests
        self.ordered = Counter[int]()
        self.counts = Counter[tuple[int, Outcome]]()

    def note_ordered(self, tests: Sequence[int]) -> None:
        """Runs that are to be made."""
        self.ordered.update(tests)

    def count(self, test: int, outcome: Outcome) -> None:
        """A counted result."""
        self.counts[test, outcome] += 1

    def runs_of(self, test: int) -> Runs:
        """What says something of the test: an infrastructure error does not."""
        return Runs(self.counts[test, "fail"], self.counts[test, "pass"])

    def open_of(self, test: int) -> int:
        """Runs of a test that are ordered and have no result."""
        outcomes: tuple[Outcome, ...] = ("pass", "fail", "error", "skip")
        return self.ordered[test] - sum(self.counts[test, outcome] for outcome in outcomes)

    def is_hopeless(self, test: int) -> bool:
        """Whether a test ends in errors only."""
        return ends_in_errors(self.counts[test, "error"] + self.counts[test, "skip"], sum(self.runs_of(test)))

    @abstractmethod
    def decide(self) -> Decision:
        """Whether to stop, and what to order."""


class SoakRule(CampaignRule):
    """Repeats every test until its failure rate is decided, or it is given up; by time alone, for ever."""

    def __init__(self, tests: int, order: CampaignOrder) -> None:
        super().__init__(tests)
        self._rule = StopRule(order.until_within, order.until_below)

    def decide(self) -> Decision:
        open_tests = [test for test in range(self.tests) if not self._is_decided(test)]
        if not open_tests:
            return Decision("Enough has run.")
        hopeful = [test for test in open_tests if not self.is_hopeless(test)]
        if not hopeful:
            return Decision("What is left ends in infrastructure errors only.")
        more = [test for test in hopeful for _ in range(OPEN_PER_TEST - self.open_of(test))]
        return Decision(more=more)

    def _is_decided(self, test: int) -> bool:
        runs = self.runs_of(test)
        return conclude(self._rule, sum(runs), runs.failed) != "open"


class BisectionRule(CampaignRule):
    """Runs revisions, which are the campaign's tests, until one candidate remains."""

    def __init__(self, tests: int, order: CampaignOrder) -> None:
        super().__init__(tests)
        self._open = OPEN_PER_NODE * max(1, len(order.node_ids) or order.node_count)

    def decide(self) -> Decision:
        bisection = Bisection(self.tests, [self.runs_of(test) for test in range(self.tests)])
        if (found := bisection.first_bad) is not None:
            return Decision(_FOUND.get(found, "The first bad revision is found."))
        if any(map(self.is_hopeless, range(self.tests))):
            return Decision("A revision ends in infrastructure errors only, and cannot be judged.")
        waiting = [self.open_of(test) for test in range(self.tests)]
        more: list[int] = []
        while sum(waiting) < self._open:
            more.append(bisection.next_revision(waiting))
            waiting[more[-1]] += 1
        return Decision(more=more)


def make_rule(order: CampaignOrder, tests: int) -> CampaignRule | None:
    """The rule of an order; None where each test is run as often as it says."""
    if order.bisected:
        return BisectionRule(tests, order)
    return SoakRule(tests, order) if not order.repeat else None
