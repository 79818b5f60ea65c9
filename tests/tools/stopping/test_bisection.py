"""Which revision is run next, and which is the first bad one."""

from __future__ import annotations

import pytest

from testlab_tools.stopping.bisection import FALLS, NO_CHANGE, Bisection, Runs
from tests.tools.stopping.simulation import simulate_bisections

SEEDS = 20
MOST_WRONG = 4
"""Of 20 seeds at 5 %, more than 4 wrong ones come once in 400 times."""


@pytest.mark.parametrize("first_bad", [1, 2, 5, 7])
def test_a_test_that_always_fails_from_a_revision_on_is_found_in_few_runs(first_bad: int) -> None:
    bisection, runs = Bisection(8), 0
    while bisection.first_bad is None:
        index = bisection.next_revision()
        bisection.add(index, failed=index >= first_bad)
        runs += 1
    assert bisection.first_bad == first_bad
    assert runs <= 30


def test_both_ends_are_run_first() -> None:
    bisection = Bisection(5)
    assert bisection.next_revision() == 0
    bisection.add(0, failed=False)
    assert bisection.next_revision() == 4


def test_one_failure_of_a_flaky_test_gives_no_candidate_up() -> None:
    bisection = Bisection(4)
    for index, failed in ((0, False), (3, True), (1, True)):
        bisection.add(index, failed)
    assert {candidate.first_bad for candidate in bisection.remaining} == {NO_CHANGE, FALLS, 1, 2, 3}
    assert bisection.first_bad is None


def test_runs_counted_before_are_taken_up() -> None:
    begun = Bisection(3)
    for index, failed in ((0, False), (2, True), (1, False)) * 6:
        begun.add(index, failed)
    again = Bisection(3, begun.runs)
    assert again.remaining == begun.remaining
    assert again.next_revision() == begun.next_revision()
    assert again.first_bad == 2


def test_a_test_that_fails_as_often_at_the_good_revision_shows_no_change() -> None:
    found = Bisection(2, [Runs(100, 900), Runs(100, 900)])
    assert found.first_bad == NO_CHANGE


def test_a_rate_that_falls_is_said_to_fall_and_not_that_nothing_differs() -> None:
    assert Bisection(2, [Runs(40, 10), Runs(10, 40)]).first_bad == FALLS
    bisection = Bisection(4)
    while bisection.first_bad is None:
        index = bisection.next_revision()
        bisection.add(index, failed=index < 2)
    assert bisection.first_bad == FALLS


def test_a_bisection_needs_two_revisions() -> None:
    with pytest.raises(ValueError, match="a good and a bad"):
        Bisection(1)


@pytest.mark.parametrize(("revisions", "good", "bad"), [(16, 0.02, 0.5), (8, 0.1, 0.7), (64, 0.0, 1.0)])
def test_the_first_bad_revision_is_right_19_times_of_20_where_the_test_is_flaky(
    revisions: int, good: float, bad: float
) -> None:
    tally = simulate_bisections(revisions, good, bad, SEEDS)
    assert tally.wrong <= MOST_WRONG
    assert tally.excluded <= MOST_WRONG
    assert tally.right >= SEEDS - MOST_WRONG
