"""Process capability of a measurement against its limits, with intervals, and what is to be said against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import p_text
from testlab_tools.statistics.intervals import CONFIDENCE, Interval, scipy_stats

D2 = 1.128379
"""Mean range of two normal values, in standard deviations: 2/√π."""

MOVING_RANGE_SHARE = 0.62
"""Degrees of freedom of a moving-range sigma, by those of the sample's. Source: Wheeler, "Advanced Topics in SPC"."""

NORMALITY_ALPHA = 0.01
MIN_NORMALITY = 20


class Capability(ResultModel):
    """Against `lower` and `upper`, those in force at the newest run; of one limit, no cp and pp.

    pp and ppk go by the standard deviation of all values, cp and cpk by `sigma_within`, from the moving range of
    consecutive values. An interval, of 95 %, follows each figure. They describe normal values.
    """

    lower: float | None = None
    upper: float | None = None
    sigma_within: float = 0
    cp: list[float] = []
    cpk: list[float] = []
    pp: list[float] = []
    ppk: list[float] = []


class Spread(NamedTuple):
    """Mean and standard deviation, with the degrees of freedom that the latter has."""

    mean: float
    sigma: float
    freedom: float
    n: int


def describe_capability(
    n: int, mean: float, sd: float, moving_range: float, lower: float | None, upper: float | None
) -> Capability | None:
    """The capability; None without limits, or where nothing varies."""
    if n < 2 or sd <= 0 or (lower is None and upper is None):
        return None
    overall = Spread(mean, sd, n - 1, n)
    within = Spread(mean, moving_range / D2, MOVING_RANGE_SHARE * (n - 1), n)
    made = Capability(lower=lower, upper=upper, sigma_within=within.sigma)
    made.pp, made.ppk = _potential(overall, lower, upper), _actual(overall, lower, upper)
    if within.sigma > 0:
        made.cp, made.cpk = _potential(within, lower, upper), _actual(within, lower, upper)
    return made


def _potential(spread: Spread, lower: float | None, upper: float | None) -> list[float]:
    """(upper - lower) / 6 sigma, with the interval of a chi-squared sigma."""
    if lower is None or upper is None:
        return []
    index = (upper - lower) / (6 * spread.sigma)
    ends = scipy_stats().chi2.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], spread.freedom)
    return _rounded(index, Interval(*(index * float(end / spread.freedom) ** 0.5 for end in ends)))


def _actual(spread: Spread, lower: float | None, upper: float | None) -> list[float]:
    """The distance of the nearer limit / 3 sigma. Interval: Bissell 1990, "How reliable is your capability index?"."""
    sides = [
        *([] if lower is None else [spread.mean - lower]),
        *([] if upper is None else [upper - spread.mean]),
    ]
    index = min(sides) / (3 * spread.sigma)
    error = (1 / (9 * spread.n) + index**2 / (2 * spread.freedom)) ** 0.5
    reach = float(scipy_stats().norm.ppf((1 + CONFIDENCE) / 2)) * error
    return _rounded(index, Interval(index - reach, index + reach))


def _rounded(index: float, interval: Interval) -> list[float]:
    return [round(number, 3) for number in (index, *interval)]


def question_normality(values: Sequence[float]) -> str:
    """What speaks against normal values, by D'Agostino and Pearson's test; empty where nothing does."""
    if len(values) < MIN_NORMALITY or min(values) == max(values):
        return ""
    stats = scipy_stats()
    p = float(stats.normaltest(values).pvalue)
    if p >= NORMALITY_ALPHA:
        return ""
    skew, excess = float(stats.skew(values)), float(stats.kurtosis(values))
    return (
        f"The values are not normal (skewness {skew:.1f}, excess kurtosis {excess:.1f}, {p_text(p)}): go by the "
        "counted yield, not by cp and cpk."
    )
