"""Two proportions and groups of them, against scipy and statsmodels; before and after a revision."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from testlab_tools.archive.schema import Run
from testlab_tools.statistics.comparison import Counted, Means, pool, stratified_proportions, two_means, two_proportions
from testlab_tools.statistics.intervals import product_interval, wilson
from testlab_tools.statistics.revision_comparison import compare_revisions, of_revision
from testlab_tools.statistics.selection import RunFilter
from tests.tools.statistics.conftest import START, MakeView
from tests.tools.statistics.references import contingency_tables, stats, weightstats


@pytest.mark.parametrize(
    ("one", "other"),
    [((90, 100), (180, 200)), ((900, 1000), (1500, 1700)), ((40, 60), (11, 40)), ((50, 100), (50, 101))],
)
def test_many_runs_are_compared_by_chi_squared(one: tuple[int, int], other: tuple[int, int]) -> None:
    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    expected: Any = stats.chi2_contingency(table)
    assert two_proportions(Counted(*one), Counted(*other)) == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize(("one", "other"), [((9, 10), (190, 200)), ((0, 3), (5, 5)), ((999, 1000), (1000, 1000))])
def test_few_runs_are_compared_by_fishers_exact_test(one: tuple[int, int], other: tuple[int, int]) -> None:
    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    expected: Any = stats.fisher_exact(table)
    assert two_proportions(Counted(*one), Counted(*other)) == pytest.approx(expected.pvalue)


def test_proportions_within_strata_are_compared_by_cochran_mantel_and_haenszel() -> None:
    strata = [((3, 20), (15, 30)), ((40, 50), (88, 90)), ((5, 9), (7, 8))]
    tables = [[[a, n - a], [b, m - b]] for (a, n), (b, m) in strata]
    expected: Any = contingency_tables.StratifiedTable(tables).test_null_odds(correction=True)
    given = [(Counted(*one), Counted(*other)) for one, other in strata]
    only_one = (Counted(1, 9), Counted(0, 0))
    assert stratified_proportions([*given, only_one]) == (pytest.approx(expected.pvalue, rel=1e-9), False)
    assert stratified_proportions([only_one]) == (1.0, False)


def test_nothing_and_all_alike_do_not_differ() -> None:
    assert two_proportions(Counted(0, 0), Counted(3, 4)) == 1
    assert two_proportions(Counted(5, 5), Counted(4, 4)) == 1
    assert two_means(Means(1, 0, 3), Means(2, 0, 3)) == 1


def test_means_are_compared_by_welchs_and_students_test_and_pooled_as_one_sample() -> None:
    rng = random.Random(2)
    one, other, third = ([rng.gauss(mean, 2) for _ in range(n)] for mean, n in ((5, 30), (6, 50), (7, 20)))

    def means(values: list[float]) -> Means:
        described: Any = stats.describe(values)
        return Means(described.mean, described.variance**0.5, len(values))

    for a, b in ((one, other), (other, third), ([1e-9 * value for value in one], [1e-9 * value for value in third])):
        expected = max(weightstats.ttest_ind(a, b, usevar=variances)[1] for variances in ("unequal", "pooled"))
        assert two_means(means(a), means(b)) == pytest.approx(expected)
    assert pool([means(one), means(other), means(third)]) == pytest.approx(means([*one, *other, *third]))


def test_a_few_durations_that_are_all_alike_are_no_difference() -> None:
    days = Means(53.0, 0.0, 30), Means(54.6, 6.0, 3_000)
    assert 0.1 < two_means(*days) < 0.2
    assert two_means(Means(1, 0, 20), Means(2, 1e-200, 20)) < 1e-9


def test_the_interval_of_a_product_is_about_that_of_propagated_variances_and_has_a_width_at_100_percent() -> None:
    parts = [(930, 1000), (1860, 2000), (950, 1000)]
    product = 0.93 * 0.93 * 0.95
    error = product * sum((1 - hits / n) / hits for hits, n in parts) ** 0.5
    found = product_interval(parts)
    assert found == pytest.approx((product - 1.96 * error, product + 1.96 * error), abs=0.003)
    whole = product_interval([(50, 50), (60, 60)])
    assert whole is not None
    assert whole.low < 0.97 < whole.high <= 1
    assert product_interval([(9, 10)]) == wilson(9, 10)


def under(revision: str, start: int, rates: dict[str, float], seconds: float = 30, unit: str = "") -> list[Run]:
    rng = random.Random(start)
    return [
        Run(
            "portal",
            f"portal:{revision}/{test}/{n}",
            test,
            "pass" if rng.random() < rate else "fail",
            START + timedelta(hours=start + n),
            rng.gauss(seconds, 2),
            "node",
            unit=f"{unit}{n}" if unit else "",
            revision=revision,
        )
        for test, rate in rates.items()
        for n in range(120)
    ]


async def test_before_and_after_a_revision_the_test_that_it_broke_is_told(view_of: MakeView) -> None:
    alike = {f"alike {n}": 0.95 for n in range(20)}
    runs = [
        *under("old", 0, {**alike, "broken": 0.98, "dropped": 1.0}),
        *under("new", 1000, {**alike, "broken": 0.1, "added": 1.0}),
    ]
    every = RunFilter(["portal"])
    found = await compare_revisions(view_of(runs), of_revision(every, ["old"]), of_revision(every, ["new"]))
    assert [(side.revision, side.runs, side.tests) for side in found.sides] == [("old", 2640, 22), ("new", 2640, 22)]
    assert [test.test for test in found.tests if test.differs] == ["broken"]
    assert found.tests[0].differs == "b worse (p < 0.0001)"
    assert "Tests that ran under both: 21, of which differ, p < 0.01 after Holm's correction: 1." in found.note
    assert "Under a alone: 1. Under b alone: 1." in found.note


async def test_a_longer_duration_is_told_and_units_count_by_their_first_run(view_of: MakeView) -> None:
    runs = [*under("1", 0, {"FVT": 0.9}, 30, "A"), *under("2", 1000, {"FVT": 0.9}, 33, "B")]
    every = RunFilter(["portal"])
    found = await compare_revisions(view_of(runs), of_revision(every, ["1"]), of_revision(every, ["2"]))
    assert found.tests[0].differs == "b takes longer (p < 0.0001)"
    assert "Each unit's first run of a test counts" in found.note
