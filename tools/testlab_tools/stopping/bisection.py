"""Which of several revisions is the first bad one, where a test may be flaky before and after it.

The failure rate is one number before the first bad revision and a higher one from it on; both are unknown. A candidate
is given up when the runs fit all hypotheses together 20 times better than they can ever fit it. The chance that the
true one is ever given up is at most 5 %, however the revisions were chosen and whenever one stops.

Source: Wasserman, Ramdas, Balakrishnan, "Universal inference" (2020), section 8, sequential.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

from testlab_tools.stopping.failure_rate import ALPHA, STEPS, log_likelihood, log_mixture

LEAST_DIFFERENCE = 0.1
"""By how much the failure rate must rise at the least for a revision to be a bad one."""
NO_CHANGE = 0
"""In place of the first bad revision's index: the rate is the same in all."""
FALLS = -1
"""In place of it: the rate falls somewhere. It is no candidate to be run for, and keeps others from being concluded."""
END_SHARE = 0.15
"""Of all runs, that each end gets."""
_NO_CHANGE_WEIGHT = 0.1


class Runs(NamedTuple):
    """Counted runs of one revision."""

    failed: int = 0
    passed: int = 0

    def __add__(self, other: tuple[object, ...]) -> Runs:
        failed, passed = (count for count in other if isinstance(count, int))
        return Runs(self.failed + failed, self.passed + passed)


class Candidate(NamedTuple):
    """A revision's index, from 1 on, that may be the first bad one, or NO_CHANGE, or FALLS.

    `log_fit` is the best likelihood that it allows; `share` its part of the posterior, with its failure rates.
    """

    first_bad: int
    log_fit: float
    share: float
    good_rate: float
    bad_rate: float


class Bisection:
    """The runs of revisions in their order, the first taken to be good and the last to be bad.

    >>> bisection = Bisection(4)
    >>> while bisection.first_bad is None:
    ...     index = bisection.next_revision()
    ...     bisection.add(index, failed=index >= 2)
    >>> bisection.first_bad
    2
    """

    def __init__(self, revisions: int, runs: Sequence[Runs] = ()) -> None:
        """`runs` are those counted before, by revision."""
        if revisions < 2:
            raise ValueError("a bisection needs a good and a bad revision")
        self.runs = list(runs) or [Runs()] * revisions
        self._weigh()

    def add(self, revision: int, failed: bool) -> None:
        """Count a run of a revision."""
        self.runs[revision] += Runs(int(failed), int(not failed))
        self._weigh()

    @property
    def remaining(self) -> list[Candidate]:
        """The candidates that the runs leave at 95 %, the likeliest first."""
        return sorted(self._remaining, key=lambda candidate: candidate.share, reverse=True)

    @property
    def first_bad(self) -> int | None:
        """The first bad revision's index, or NO_CHANGE, or FALLS, once a single candidate remains."""
        return self._remaining[0].first_bad if len(self._remaining) == 1 else None

    def next_revision(self, waiting: Sequence[int] = ()) -> int:
        """The revision whose next run says most of the candidates. Both ends get their part of the runs, for only what
        is good or bad for sure shows what good and bad look like.

        `waiting` are the runs of each revision that are under way.
        """
        counts = [sum(runs) + more for runs, more in zip(self.runs, waiting or [0] * len(self.runs), strict=True)]
        for end in (0, len(counts) - 1):
            if counts[end] <= sum(counts) * END_SHARE:
                return end
        return max(range(len(counts)), key=lambda index: (self._information(index), -counts[index]))

    def _information(self, index: int) -> float:
        """What a run of this revision is expected to say of which candidate is true, in nats."""
        mean = spread = 0.0
        for candidate in self._candidates:
            rate = candidate.bad_rate if candidate.first_bad <= index else candidate.good_rate
            mean += candidate.share * rate
            spread += candidate.share * _entropy(rate)
        return round(_entropy(mean) - spread, 12)

    def _weigh(self) -> None:
        failed, passed = sum(r.failed for r in self.runs), sum(r.passed for r in self.runs)
        rate = _mean_rate(failed, passed)
        fits, rates = [_fit_equal(failed, passed)], [(rate, rate)]
        marginals = [log(_NO_CHANGE_WEIGHT) + log_mixture(failed, passed)]
        before, places, falls = Runs(), len(self.runs) - 1, list[float]()
        for first_bad in range(1, places + 1):
            before += self.runs[first_bad - 1]
            after = Runs(failed - before.failed, passed - before.passed)
            fits.append(_fit_rise(before, after))
            falls.append(_fit_rise(after, before))
            rates.append((_mean_rate(*before), _mean_rate(*after)))
            weight = log((1 - _NO_CHANGE_WEIGHT) / places)
            marginals.append(weight + log_mixture(*before) + log_mixture(*after))
        top = max(marginals)
        shares = [exp(marginal - top) for marginal in marginals]
        evidence = top + log(sum(shares))
        self._candidates = [
            Candidate(index, fit, share / sum(shares), *pair)
            for index, (fit, share, pair) in enumerate(zip(fits, shares, rates, strict=True))
        ]
        every = [*self._candidates, Candidate(FALLS, max(falls), 0.0, rate, rate)]
        self._remaining = [candidate for candidate in every if evidence - candidate.log_fit < log(1 / ALPHA)]


def _mean_rate(failed: int, passed: int) -> float:
    return (failed + 0.5) / (failed + passed + 1)


def _entropy(rate: float) -> float:
    return -rate * log(rate) - (1 - rate) * log(1 - rate)


def _fit_equal(failed: int, passed: int) -> float:
    """The best likelihood with one rate."""
    n = failed + passed
    return log_likelihood(failed, passed, failed / n) if n else 0.0


def _fit_rise(before: Runs, after: Runs) -> float:
    """The best likelihood with a rate that rises by LEAST_DIFFERENCE or more."""
    n, m = sum(before), sum(after)
    low, high = before.failed / n if n else 0.0, after.failed / m if m else 1.0
    if high - low >= LEAST_DIFFERENCE:
        return log_likelihood(*before, low) + log_likelihood(*after, high)

    def fit(rate: float) -> float:
        return log_likelihood(*before, rate) + log_likelihood(*after, rate + LEAST_DIFFERENCE)

    # It is concave in the lower rate, where the higher is as close as it may be.
    left, right = 0.0, 1.0 - LEAST_DIFFERENCE
    for _ in range(STEPS):
        third = (right - left) / 3
        if fit(left + third) < fit(right - third):
            left += third
        else:
            right -= third
    return fit((left + right) / 2)
