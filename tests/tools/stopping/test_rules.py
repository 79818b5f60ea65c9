"""When a soak may stop, looked at after every run."""

from __future__ import annotations

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.stopping.failure_rate import bound_rate
from testlab_tools.stopping.rules import StopRule, judge
from tests.tools.stopping.simulation import simulate_soaks

SEEDS = 60
MOST_WRONG = 9
"""Of 60 seeds at 5 %, more than 9 wrong ones come once in 2,000 times."""


def test_63_clean_runs_bound_the_failure_rate_below_5_percent() -> None:
    assert judge(StopRule(below=0.05), 62, 0).conclusion == "open"
    assert judge(StopRule(below=0.05), 63, 0).conclusion == "below"


def test_the_bounds_that_are_told_do_not_contradict_what_was_concluded() -> None:
    assert judge(StopRule(below=0.2), 21, 0).bounds.high == 0.2
    above = judge(StopRule(below=0.05), 20, 6)
    assert (above.conclusion, above.bounds.low >= 0.05) == ("above", True)


def test_a_failure_among_the_clean_runs_makes_the_soak_longer_not_void() -> None:
    after = judge(StopRule(below=0.05), 63, 1)
    assert after.conclusion == "open"
    assert after.runs_left
    assert judge(StopRule(below=0.05), 63 + 200, 1).conclusion == "below"


def test_many_failures_show_early_that_the_bound_will_not_hold() -> None:
    assert judge(StopRule(below=0.01), 20, 4).conclusion == "above"


def test_a_rate_is_known_once_its_interval_is_narrow_enough() -> None:
    found = judge(StopRule(within=0.1), 300, 90)
    assert found.conclusion == "known"
    assert found.bounds.high - found.bounds.low <= 0.2
    assert found.bounds.low < 0.3 < found.bounds.high


def test_what_is_left_is_foreseen_from_the_failures_so_far() -> None:
    fresh = judge(StopRule(below=0.05), 40, 0)
    assert fresh.runs_left == 23
    assert judge(StopRule(below=0.05), 100, 5).runs_left is None  # at its bound, no number is near


def test_nothing_is_known_before_the_first_run() -> None:
    assert bound_rate(0, 0) == (0.0, 1.0)
    assert judge(StopRule(), 0, 0).conclusion == "open"


def test_a_soak_by_time_alone_ends_by_no_rule_and_states_the_bounds_all_the_same() -> None:
    found = judge(StopRule(), 1000, 3)
    assert found.conclusion == "open"
    assert found.runs_left is None
    assert found.bounds.low < 0.003 < found.bounds.high < 0.02


def test_bounds_that_hold_at_every_n_are_wider_than_those_for_one_n() -> None:
    low, high = 0.0242, 0.0900  # Clopper and Pearson's, of 10 in 200
    bounds = bound_rate(200, 10)
    assert bounds.low < low
    assert bounds.high > high


@pytest.mark.parametrize(
    ("within", "below", "what"),
    [
        (0.1, 0.1, "one rule"),
        (0.5, 0.0, "no rate"),
        (-0.1, 0.0, "no rate"),
        (0.0, 1.0, "no rate"),
        (0.0, 0.00001, "never end"),
        (0.00001, 0.0, "never end"),
    ],
)
def test_a_rule_that_can_never_end_or_is_none_is_refused(within: float, below: float, what: str) -> None:
    with pytest.raises(BadInput, match=what):
        StopRule(within=within, below=below)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2])
def test_a_bound_is_decided_rightly_19_times_of_20_though_one_looks_after_every_run(rate: float) -> None:
    tally = simulate_soaks(StopRule(below=0.05), rate, SEEDS)
    assert tally.wrong <= MOST_WRONG
    assert tally.excluded <= MOST_WRONG
    assert tally.right >= SEEDS - MOST_WRONG


def test_at_the_bound_itself_hardly_any_soak_says_below_or_above() -> None:
    tally = simulate_soaks(StopRule(below=0.05), 0.05, SEEDS)
    assert tally.right + tally.wrong <= 2 * MOST_WRONG


def test_a_known_rate_is_within_its_bounds_19_times_of_20() -> None:
    tally = simulate_soaks(StopRule(within=0.1), 0.1, SEEDS)
    assert tally.right >= SEEDS - MOST_WRONG
