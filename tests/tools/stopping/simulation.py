"""Simulated soaks and bisections, over as many seeds as one likes: how often they are wrong, and what they take.

`python -m tests.tools.stopping.simulation 1000` prints a table of 1,000 seeds of each world.
"""

from __future__ import annotations

import random
import sys
from math import log
from typing import NamedTuple

from testlab_tools.stopping.bisection import NO_CHANGE, Bisection
from testlab_tools.stopping.failure_rate import ALPHA, log_likelihood, log_mixture
from testlab_tools.stopping.rules import StopRule, conclude

LONGEST = 600
"""Runs, after which a simulated soak or bisection is given up."""


class Tally(NamedTuple):
    """Of so many seeds: how many ended right, wrong or not at all, how often what is true was excluded, and the mean
    number of runs."""

    seeds: int
    right: int
    wrong: int
    excluded: int
    runs: float


def simulate_soaks(rule: StopRule, rate: float, seeds: int) -> Tally:
    """Soaks of a test that fails at a rate, looked at after every run."""
    right = wrong = excluded = total = 0
    for seed in range(seeds):
        dice, failures = random.Random(seed), 0
        is_outside, n = False, 0
        for n in range(1, LONGEST + 1):
            failures += dice.random() < rate
            fit = log_likelihood(failures, n - failures, rate)
            is_outside |= fit < log_mixture(failures, n - failures) + log(ALPHA)  # of bound_rate, at this one rate
            conclusion = conclude(rule, n, failures)
            if conclusion != "open":
                is_right = {"known": not is_outside, "below": rate < rule.below, "above": rate > rule.below}
                right += is_right[conclusion]
                wrong += not is_right[conclusion]
                break
        total += n
        excluded += is_outside
    return Tally(seeds, right, wrong, excluded, total / seeds)


def simulate_bisections(revisions: int, good: float, bad: float, seeds: int) -> Tally:
    """Bisections with the first bad revision anywhere, at failure rates before it and from it on."""
    right = wrong = excluded = total = 0
    for seed in range(seeds):
        dice = random.Random(seed)
        first_bad = dice.randrange(1, revisions) if bad > good else NO_CHANGE
        bisection, was_excluded = Bisection(revisions), False
        for _ in range(LONGEST):
            index = bisection.next_revision()
            bisection.add(index, dice.random() < (bad if first_bad and index >= first_bad else good))
            total += 1
            was_excluded |= first_bad not in {candidate.first_bad for candidate in bisection.remaining}
            if bisection.first_bad is not None:
                break
        right += bisection.first_bad == first_bad
        wrong += bisection.first_bad not in (first_bad, None)
        excluded += was_excluded
    return Tally(seeds, right, wrong, excluded, total / seeds)


SOAKS = (
    (StopRule(below=0.05), 0.0),
    (StopRule(below=0.05), 0.01),
    (StopRule(below=0.05), 0.05),
    (StopRule(below=0.05), 0.2),
    (StopRule(within=0.1), 0.02),
    (StopRule(within=0.1), 0.3),
)
BISECTIONS = ((8, 0.0, 1.0), (64, 0.0, 1.0), (16, 0.02, 0.4), (16, 0.2, 0.6), (4, 0.3, 0.3))


def main(seeds: int) -> None:
    """Print the table."""
    sys.stdout.write(f"{'':34} right  wrong  true one excluded  mean runs   of {seeds} seeds\n")
    for rule, rate in SOAKS:
        name = f"below {rule.below}" if rule.below else f"within {rule.within}"
        _print_row(f"soak {name}, rate {rate}", simulate_soaks(rule, rate, seeds))
    for revisions, good, bad in BISECTIONS:
        name = f"bisect {revisions} revisions, {good} to {bad}"
        _print_row(name, simulate_bisections(revisions, good, bad, seeds))


def _print_row(name: str, tally: Tally) -> None:
    sys.stdout.write(f"{name:34} {tally.right:5}  {tally.wrong:5}  {tally.excluded:17}  {tally.runs:9.1f}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
