"""When a soak may stop: its failure rate is known well enough, or is shown to be below a bound, or above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from testlab_tools.errors import BadInput
from testlab_tools.stopping.failure_rate import ALPHA, RateBounds, bound_rate, evidence_above, evidence_below

MAX_RUNS = 100_000
Conclusion = Literal["open", "known", "below", "above"]


@dataclass(frozen=True)
class StopRule:
    """Stop once the failure rate is known `within` ± so much, or is decided to be `below` a rate or above it. With
    neither, never: time ends the soak.

    Raises:
        BadInput: both are given, one is no rate, or no number of runs below 100,000 would be enough.
    """

    within: float = 0.0
    below: float = 0.0

    def __post_init__(self) -> None:
        if self.within and self.below:
            raise BadInput("A soak has one rule to stop by", "Both a width and a bound are given", "Give one of them.")
        for name, rate, most in (("width", self.within, 0.5), ("bound", self.below, 1.0)):
            if rate and not 0 < rate < most:
                bounds = f"It must be above 0 and below {most:g}"
                meant = f"It is a fraction: {rate:g} % is {rate / 100:g}." if 1 <= rate < 100 * most else ""
                raise BadInput(f"The {name} is no rate that runs can reach", bounds, meant)
        if (self.within or self.below) and judge(self, MAX_RUNS, 0).conclusion == "open":
            raise BadInput(
                "The rule can never end the soak",
                f"Even {MAX_RUNS:,} runs without a failure are too few for it",
                "Take a larger rate.",
            )


class Judgement(NamedTuple):
    """What `n` runs with so many `failures` say: `bounds` of the failure rate at 95 %, however often it was looked at.

    `runs_left` is how many more it takes if they fail as often as those so far; None where no number is near.
    """

    conclusion: Conclusion
    n: int
    failures: int
    bounds: RateBounds
    runs_left: int | None


def judge(rule: StopRule, n: int, failures: int) -> Judgement:
    """Whether `n` counted runs are enough for the rule. The chance of a wrong conclusion is at most 5 %.

    >>> judge(StopRule(below=0.05), 78, 0).conclusion
    'below'
    """
    conclusion = conclude(rule, n, failures)
    left = 0 if conclusion != "open" else _count_runs_left(rule, n, failures)
    low, high = bound_rate(n, failures)
    if conclusion == "below":  # decided by a test of this one bound, which is sharper than an interval
        high = min(high, rule.below)
    if conclusion == "above":
        low = max(low, rule.below)
    return Judgement(conclusion, n, failures, RateBounds(low, high), left)


def conclude(rule: StopRule, n: float, failures: float) -> Conclusion:
    """What so many runs decide; `open` where they are too few."""
    if rule.within:
        low, high = bound_rate(n, failures)
        return "known" if high - low <= 2 * rule.within else "open"
    if rule.below:
        if evidence_below(n, failures, rule.below) >= 1 / ALPHA:
            return "below"
        if evidence_above(n, failures, rule.below) >= 1 / ALPHA:
            return "above"
    return "open"


def _count_runs_left(rule: StopRule, n: int, failures: int) -> int | None:
    if not (rule.within or rule.below):
        return None
    rate = failures / n if n else 0.0
    return _find_least(lambda more: conclude(rule, n + more, failures + more * rate) != "open")


def _find_least(is_enough: Callable[[int], bool]) -> int | None:
    high = 1
    while not is_enough(high):
        high *= 2
        if high > MAX_RUNS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
