"""Whether a measurement drifts: a step, a slope, or a slope that begins at some time; and when a limit is reached.

Values in order of time are averaged in bins of equal count. Two tests ask whether anything changed: the largest
standardized sum of deviations (a step), whose p-value comes from permutations, and the slope of a straight line; Holm
corrects for the two. Without any change, at most 1 series in 100 is said to have one. Only then the picture that
explains the bins best, by Bayes' information criterion, is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import p_text
from testlab_tools.statistics.intervals import CONFIDENCE, holm, scipy_stats
from testlab_tools.times import Minute
from testlab_tools.untrusted import Untrusted

ALPHA = 0.01
MAX_BINS = 300
MIN_BINS = 20
EDGE = 5
"""Bins at either end in which no change is sought."""

PERMUTATIONS = 1_999
FAR = 3
"""A limit that is reached later than so many times the observed span is not told."""
_DAY = 86_400.0


class Bin(NamedTuple):
    """The mean of consecutive values, and the time in seconds of the first and the last."""

    mean: float
    begin: float
    end: float


class Reached(ResultModel):
    """When the mean reaches the limit, if it goes on: after how many runs and on which day, at the earliest and at the
    latest by the slope's interval."""

    limit: float
    runs: int
    on: str
    earliest: str = ""
    latest: str = ""


class Drift(ResultModel):
    """`step`: the mean went from `before` to `after` at `since`. `slope`: it changes `per_day`, with its 95 % interval,
    all the time, or `since` a time before which it was level. `none shown` does not mean that there is none. `batch`
    is one batch that explains the change, or comes with it."""

    shape: Literal["none shown", "step", "slope"] = "none shown"
    since: Minute | None = None
    before: float | None = None
    after: float | None = None
    per_day: float | None = None
    per_day_interval: list[float] = []
    p: str = ""
    batch: Untrusted = ""
    reaches: Reached | None = None


class _Picture(NamedTuple):
    """A way to see the bins: `at` is the bin where it changes, `criterion` is smaller for a better one."""

    shape: Literal["step", "slope"]
    at: int
    criterion: float


def find_drift(bins: Sequence[Bin]) -> Drift | None:
    """The drift of the bins' means, oldest first; None of too few."""
    if len(bins) < MIN_BINS:
        return None
    import numpy

    means = numpy.array([one.mean for one in bins])
    days = numpy.array([(one.begin + one.end) / 2 / _DAY for one in bins])
    if means.min() == means.max() or days.min() == days.max():
        return Drift()
    p = min(holm([_step_p(means), float(scipy_stats().linregress(days, means).pvalue)]))
    if p >= ALPHA:
        return Drift(p=p_text(p))
    return _describe(_best_picture(means, days), means, days, bins, p)


def _step_p(means: Any) -> float:
    """The p-value of the largest standardized sum of deviations, by permutation."""
    import numpy

    k = numpy.arange(1, len(means))
    weight = numpy.sqrt(k * (len(means) - k) / len(means))

    def largest(series: Any, axis: int = -1) -> Any:
        sums = numpy.cumsum(series - series.mean(axis=axis, keepdims=True), axis=axis)[..., :-1]
        return numpy.abs(sums / weight)[..., EDGE - 1 : len(means) - EDGE].max(axis=axis)

    found = scipy_stats().permutation_test(
        (means,),
        largest,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        alternative="greater",
        rng=numpy.random.default_rng(7),
    )
    return float(found.pvalue)


def _best_picture(means: Any, days: Any) -> _Picture:
    line = _squares(means, days)
    pictures = [_Picture("slope", 0, _criterion(line, len(means), 2))]
    for at in range(EDGE, len(means) - EDGE + 1):
        before, after = means[:at], means[at:]
        squares = float(((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum())
        pictures.append(_Picture("step", at, _criterion(squares, len(means), 3)))
        pictures.append(_Picture("slope", at, _criterion(_squares(means, _after(days, at)), len(means), 3)))
    return min(pictures, key=lambda picture: picture.criterion)


def _after(days: Any, at: int) -> Any:
    """Days since bin `at`, 0 before."""
    import numpy

    return numpy.clip(days - days[at], 0, None)


def _squares(means: Any, days: Any) -> float:
    """The squared deviations that a straight line leaves."""
    around = float(((means - means.mean()) ** 2).sum())
    return around * (1 - float(scipy_stats().linregress(days, means).rvalue) ** 2)


def _criterion(squares: float, n: int, parameters: int) -> float:
    import numpy

    return float(n * numpy.log(max(squares, 1e-300) / n) + parameters * numpy.log(n))


def _describe(picture: _Picture, means: Any, days: Any, bins: Sequence[Bin], p: float) -> Drift:
    since = datetime.fromtimestamp(bins[picture.at].begin, UTC) if picture.at else None
    if picture.shape == "step":
        before, after = float(means[: picture.at].mean()), float(means[picture.at :].mean())
        return Drift(shape="step", since=since, before=before, after=after, p=p_text(p))
    line = scipy_stats().linregress(_after(days, picture.at), means)
    reach = float(scipy_stats().t.ppf((1 + CONFIDENCE) / 2, len(means) - 2)) * float(line.stderr)
    slope = float(line.slope)
    last = float(line.intercept + line.slope * (days[-1] - days[picture.at]))
    return Drift(
        shape="slope",
        since=since,
        before=float(line.intercept),
        after=last,
        per_day=slope,
        per_day_interval=[slope - reach, slope + reach],
        p=p_text(p),
    )


def foresee(drift: Drift, limits: tuple[float | None, float | None], bins: Sequence[Bin], n: int) -> Reached | None:
    """When a sloping mean reaches the limit that it goes towards; None where it does not soon, or has already."""
    if drift.per_day is None or drift.after is None:
        return None
    limit = limits[1] if drift.per_day > 0 else limits[0]
    span = (bins[-1].end - bins[0].begin) / _DAY
    if limit is None or (limit - drift.after) * drift.per_day <= 0:
        return None
    left = limit - drift.after
    days = left / drift.per_day
    if days > FAR * span:
        return None
    fast, slow = sorted(drift.per_day_interval, key=abs, reverse=True)
    return Reached(
        limit=limit,
        runs=round(days * n / span),
        on=_day(bins[-1].end, days),
        earliest=_day(bins[-1].end, left / fast),
        latest=_day(bins[-1].end, left / slow) if slow * fast > 0 and left / slow <= 10 * FAR * span else "",
    )


def _day(last: float, days: float) -> str:
    return datetime.fromtimestamp(last + days * _DAY, UTC).date().isoformat()
