"""Proportions and means with their 95 % intervals, and the Holm correction. Every distribution is scipy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from testlab_tools.errors import Unsupported

CONFIDENCE = 0.95
INSTALL = 'Install it: pip install "testlab-mcp[statistics]"'
DRAWS = 20_000


class Interval(NamedTuple):
    """Both ends of a 95 % interval."""

    low: float
    high: float


def scipy_stats() -> Any:
    """scipy.stats, imported on first use. Raises Unsupported where it is not installed."""
    try:
        from scipy import stats
    except ImportError:
        raise Unsupported("Statistics need an extra that is not installed", "scipy is missing", INSTALL) from None
    return stats


def wilson(passed: int, n: int) -> Interval | None:
    """The Wilson interval of a proportion; None of nothing."""
    if not n:
        return None
    low, high = scipy_stats().binomtest(passed, n).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(low), float(high))


def mean_interval(mean: float, sd: float, n: int) -> Interval | None:
    """Student's interval of a mean; None below two values."""
    if n < 2:
        return None
    if sd == 0:
        return Interval(mean, mean)
    low, high = scipy_stats().t.interval(CONFIDENCE, n - 1, loc=mean, scale=sd / n**0.5)
    return Interval(float(low), float(high))


def product_interval(parts: Sequence[tuple[int, int]]) -> Interval | None:
    """The interval of a product of proportions, each given as (passed, n), all n above 0.

    Quantiles of the product of draws from each proportion's Jeffreys posterior, Beta(passed + ½, failed + ½); the draws
    are the same each time. It holds at 100 %, where an interval by propagated variances has no width.
    """
    if not parts:
        return None
    if len(parts) == 1:
        return wilson(*parts[0])
    import numpy

    stats, rng = scipy_stats(), numpy.random.default_rng(7)
    product: Any = 1.0
    for passed, n in parts:
        product = product * stats.beta.rvs(passed + 0.5, n - passed + 0.5, size=DRAWS, random_state=rng)
    low, high = numpy.quantile(product, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given. Source: Holm 1979, "A simple sequentially rejective procedure"."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def runs_to_tell_apart(rate: float, other: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Runs in each of two groups that show a difference of two pass rates with `power`; None for equal rates.

    Source: Fleiss, Levin, Paik, "Statistical Methods for Rates and Proportions", section 4.3.
    """
    if rate == other:
        return None
    norm = scipy_stats().norm
    middle = (rate + other) / 2
    spread = norm.ppf(1 - alpha / 2) * (2 * middle * (1 - middle)) ** 0.5
    spread += norm.ppf(power) * (rate * (1 - rate) + other * (1 - other)) ** 0.5
    return int(-(-(spread**2) // (rate - other) ** 2))
