"""Which groups differ from the rest of their stratum, corrected for how many comparisons there were.

The group that stands out most is called different when its p-value, after Holm's correction over the whole answer, is
below `ALPHA`; it then leaves the rest, and the others are compared anew. So one bad station does not make the good ones
"better than the rest". Where nothing differs, at most 1 answer in 100 calls anything different.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from testlab_tools.statistics.intervals import holm, scipy_stats

ALPHA = 0.01
SMALL = 5
"""With an expected count below this, Fisher's exact test takes the place of chi-squared."""

MAX_DIFFERENT = 20
"""Groups that one answer calls different, those that stand out most."""

S = TypeVar("S")
Verdict = tuple[float, bool]
"""A p-value, and whether the group lies above the rest."""


class Counted(NamedTuple):
    """`hits` of `n`."""

    hits: int
    n: int


class Means(NamedTuple):
    """Mean, standard deviation and number of values."""

    mean: float
    sd: float
    n: int


class Difference(NamedTuple):
    """How a group differs from the rest of its stratum; `p` is corrected."""

    higher: bool
    p: float


class Family(NamedTuple, Generic[S]):
    """Samples by stratum and group; `bad_is_higher` decides which of two groups that differ is named.

    `others` are samples that belong to the rest and are not compared themselves.
    """

    strata: Mapping[Hashable, Mapping[Hashable, S]]
    bad_is_higher: bool
    others: Mapping[Hashable, S] = {}


class Compared(NamedTuple):
    """Of each family, the groups that differ, by (stratum, group); and the number of comparisons."""

    differences: list[dict[tuple[Hashable, Hashable], Difference]]
    comparisons: int


def compare_rates(*families: Family[Counted]) -> Compared:
    """The groups whose proportion differs from that of the rest."""
    return _compare(families, _rate_against)


def compare_means(*families: Family[Means]) -> Compared:
    """The groups whose mean differs from that of the rest, by Welch's and by Student's test."""
    return _compare(families, _mean_against)


def compare_mixed(means: Family[Means], rates: Family[Counted]) -> Compared:
    """The groups whose mean, and those whose proportion, differs from that of the rest: corrected together."""
    families: list[Family[Any]] = [means, rates]
    return _compare(families, _either_against)


def two_proportions(one: Counted, other: Counted) -> float:
    """The p-value of two proportions: Fisher's exact where a count is small, else chi-squared with Yates' correction.

    1.0 where there is nothing to compare.
    """
    both, total = one.hits + other.hits, one.n + other.n
    if not one.n or not other.n or both in (0, total):
        return 1.0
    stats = scipy_stats()
    if min(one.n, other.n) * min(both, total - both) < SMALL * total:
        return float(stats.fisher_exact([[one.hits, one.n - one.hits], [other.hits, other.n - other.hits]])[1])
    from scipy.special import chdtrc

    apart = abs(
        one.hits * other.n - other.hits * one.n
    )  # of the table's products, from which Yates takes half the total
    squares: float = max(apart - min(apart, total / 2), 0.0) ** 2 * total
    return float(chdtrc(1, squares / (one.n * other.n * both * (total - both))))


def stratified_proportions(strata: Iterable[tuple[Counted, Counted]]) -> Verdict:
    """Two proportions within each of several strata: Cochran, Mantel and Haenszel's test with Yates' correction.

    Whether the first lies above the second, too; 1.0 where there is nothing to compare.
    """
    apart = variance = 0.0
    for one, other in strata:
        both, total = one.hits + other.hits, one.n + other.n
        if one.n and other.n:
            apart += one.hits - one.n * both / total
            variance += one.n * other.n * both * (total - both) / (total**2 * (total - 1))
    if not variance:
        return 1.0, False
    from scipy.special import chdtrc

    return float(chdtrc(1, max(abs(apart) - 0.5, 0.0) ** 2 / variance)), apart > 0


def two_means(one: Means, other: Means) -> float:
    """The larger p-value of Welch's and Student's test; 1.0 where a group has fewer than two values or nothing varies.

    Few values of a skewed distribution may all be alike, as durations are: by Welch's test alone that is certainty.
    """
    if one.n < 2 or other.n < 2 or (one.sd == 0 and other.sd == 0):
        return 1.0
    from scipy.special import stdtr

    unit, freedom = max(one.sd, other.sd), one.n + other.n - 2
    apart, a, b = abs(one.mean - other.mean) / unit, (one.sd / unit) ** 2, (other.sd / unit) ** 2
    squares = (a / one.n, b / other.n)
    welch = sum(squares) ** 2 / (squares[0] ** 2 / (one.n - 1) + squares[1] ** 2 / (other.n - 1))
    pooled = ((one.n - 1) * a + (other.n - 1) * b) / freedom
    errors = ((sum(squares) ** 0.5, welch), ((pooled / one.n + pooled / other.n) ** 0.5, freedom))
    return float(2 * max(stdtr(df, -apart / error) for error, df in errors))


def pool(groups: Sequence[Means]) -> Means:
    """Mean and standard deviation of several groups' values together."""
    n = sum(group.n for group in groups)
    mean = sum(group.mean * group.n for group in groups) / n
    squares = sum(group.sd**2 * (group.n - 1) + (group.mean - mean) ** 2 * group.n for group in groups)
    return Means(mean, (squares / (n - 1)) ** 0.5 if n > 1 else 0.0, n)


def _rate_against(group: Counted, rest: Sequence[Counted]) -> Verdict:
    other = Counted(sum(one.hits for one in rest), sum(one.n for one in rest))
    return two_proportions(group, other), group.hits * other.n > other.hits * group.n


def _mean_against(group: Means, rest: Sequence[Means]) -> Verdict:
    other = pool(rest)
    return two_means(group, other), group.mean > other.mean


def _either_against(group: Any, rest: Sequence[Any]) -> Verdict:
    return _mean_against(group, rest) if isinstance(group, Means) else _rate_against(group, rest)


def _compare(families: Sequence[Family[S]], against: Callable[[S, Sequence[S]], Verdict]) -> Compared:
    left = {
        (f, stratum): dict(groups) for f, family in enumerate(families) for stratum, groups in family.strata.items()
    }
    tests = {place: _test_stratum(families[place[0]], place[1], groups, against) for place, groups in left.items()}
    comparisons = sum(map(len, tests.values()))
    found: list[dict[tuple[Hashable, Hashable], Difference]] = [{} for _ in families]
    for _ in range(MAX_DIFFERENT):
        flat = [(place, group, *test) for place, members in tests.items() for group, test in members.items()]
        adjusted = holm([p for _, _, p, _ in flat])
        ranked = sorted(
            (p, raw, higher != families[place[0]].bad_is_higher, n)
            for n, (p, (place, _, raw, higher)) in enumerate(zip(adjusted, flat, strict=True))
        )
        if not ranked or ranked[0][0] >= ALPHA:
            break
        place, group, _, higher = flat[ranked[0][3]]
        found[place[0]][place[1], group] = Difference(higher, ranked[0][0])
        del left[place][group]
        tests[place] = _test_stratum(families[place[0]], place[1], left[place], against)
    return Compared(found, comparisons)


def _test_stratum(
    family: Family[S], stratum: Hashable, groups: Mapping[Hashable, S], against: Callable[[S, Sequence[S]], Verdict]
) -> dict[Hashable, Verdict]:
    apart = [family.others[stratum]] if stratum in family.others else []
    tests: dict[Hashable, Verdict] = {}
    for group, sample in groups.items():
        rest = [*(other for name, other in groups.items() if name != group), *apart]
        if rest:
            tests[group] = against(sample, rest)
    return tests
