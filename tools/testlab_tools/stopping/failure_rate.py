"""What n runs with k failures say of a failure rate, whenever they are looked at.

An interval for a fixed n is too narrow for whoever looks after each run and stops when it pleases. These hold for all n
at once: the chance that the true rate is ever outside of them is at most 5 %. Each is a mixture of likelihood ratios, a
martingale under the true rate, which by Ville's inequality exceeds 20 with a chance of at most 1 in 20.

Source: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (2021).
"""

from __future__ import annotations

from math import exp, inf, lgamma, log, log1p
from typing import NamedTuple

ALPHA = 0.05
STEPS = 60
"""Halvings in a search for a rate: to 1e-18."""
ZERO_WEIGHT = 0.4
"""Of the mixture below a bound, on a rate of zero: a test that never fails is what most soaks are about."""


class RateBounds(NamedTuple):
    """Where a failure rate is, at 95 % for all n at once."""

    low: float
    high: float


def log_likelihood(failures: float, passes: float, rate: float) -> float:
    """The logarithm of rate^failures · (1 − rate)^passes; −∞ where that is zero."""
    if (failures > 0 and rate <= 0) or (passes > 0 and rate >= 1):
        return -inf
    return (failures * log(rate) if failures else 0.0) + (passes * log1p(-rate) if passes else 0.0)


def log_mixture(failures: float, passes: float) -> float:
    """The logarithm of the likelihood's mean over the rate, whose prior is Beta(½, ½)."""
    return _log_beta(0.5 + failures, 0.5 + passes) - _log_beta(0.5, 0.5)


def bound_rate(n: float, failures: float, alpha: float = ALPHA) -> RateBounds:
    """The failure rate's bounds after `n` runs.

    >>> bound_rate(100, 0)
    RateBounds(low=0.0, high=0.056...)
    """
    if not n:
        return RateBounds(0.0, 1.0)
    passes, best = n - failures, failures / n
    least = log_mixture(failures, passes) + log(alpha)

    def find_edge(inside: float, outside: float) -> float:
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if log_likelihood(failures, passes, middle) > least:
                inside = middle
            else:
                outside = middle
        return inside

    return RateBounds(find_edge(best, 0.0) if failures else 0.0, find_edge(best, 1.0) if passes else 1.0)


def evidence_below(n: float, failures: float, bound: float) -> float:
    """How strongly the runs speak against a rate of `bound` or more: 20 or more is enough at 95 %."""
    rates = [bound / 2**power for power in range(1, 7)]
    weights = [(0.0, ZERO_WEIGHT), *((rate, (1 - ZERO_WEIGHT) / len(rates)) for rate in rates)]
    return _evidence(n, failures, bound, weights)


def evidence_above(n: float, failures: float, bound: float) -> float:
    """How strongly the runs speak against a rate of `bound` or less."""
    rates = [bound * 1.5]
    while rates[-1] < 0.9:
        rates.append(rates[-1] * 1.5)
    rates = [min(rate, (1 + bound) / 2, 0.95) if rate >= 1 or rate <= bound else rate for rate in rates]
    return _evidence(n, failures, bound, [(rate, 1 / len(rates)) for rate in rates])


def _evidence(n: float, failures: float, bound: float, weights: list[tuple[float, float]]) -> float:
    """The likelihood's mean over these rates, against that at the bound. Under any rate on the bound's other side it
    shrinks in the mean with every run."""
    base = log_likelihood(failures, n - failures, bound)
    return sum(
        weight * exp(min(700.0, log_likelihood(failures, n - failures, rate) - base)) for rate, weight in weights
    )


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
