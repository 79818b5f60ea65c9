"""Which run is which item, and what it means for that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.campaigns.collecting import match_runs, split_open
from testlab_tools.campaigns.counting import NO_RUN, judge
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.reading import estimate
from testlab_tools.campaigns.sharing import Work
from testlab_tools.models.lab import Outcome, Run

ORDER = CampaignOrder(service="portal", test_pack_revision="main", confirm_failures=True, retries=1)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run(test: str, after_s: float = 0, outcome: Outcome = "pass") -> Run:
    return Run(
        run_id=f"portal:/{test}/{after_s}", outcome=outcome, test=test, started_at=BEGAN + timedelta(seconds=after_s)
    )


def test_repetitions_of_one_name_are_told_apart_by_their_order() -> None:
    runs = [run("a", 3), run("b", 2), run("a", 1)]
    collected = match_runs(["a", "b", "a", "a"], runs)
    assert {place: found.run_id for place, found in collected.runs.items()} == {
        0: "portal:/a/1",
        1: "portal:/b/2",
        2: "portal:/a/3",
    }
    assert collected.open == [3]


def test_runs_that_go_on_or_are_of_other_tests_are_nobodys() -> None:
    collected = match_runs(["a"], [run("a", outcome="running"), run("a", outcome="stopped"), run("z")])
    assert (collected.runs, collected.open) == ({}, [0])


def test_a_result_that_the_job_counted_and_nobody_lists_is_of_the_first_test_without_one() -> None:
    collected = match_runs(["a", "b", "c"], [run("a")])
    assert split_open(collected, done=2) == ([1], [2])
    assert split_open(collected, done=1) == ([], [1, 2])


def test_an_error_is_run_again_elsewhere_and_counts_when_the_retries_are_used_up() -> None:
    first = judge(Work(7, 3), run("a", outcome="error"), "n1", 1, ORDER)
    assert (first.outcome, first.counter, first.attempt.kind) == (None, "retried", "retried")
    assert first.follows == Work(7, 3, tries=1, avoid=frozenset({"n1"}))
    assert first.follows is not None
    second = judge(first.follows, run("a", outcome="error"), "n2", 2, ORDER)
    assert (second.outcome, second.counter, second.follows) == ("error", "errored", None)


def test_a_failure_counts_at_once_and_is_run_once_more_to_confirm_it() -> None:
    first = judge(Work(7, 3), run("a", outcome="fail"), "n1", 1, ORDER)
    assert (first.outcome, first.counter, first.rerun) == ("fail", "failed", "waiting")
    assert first.follows == Work(7, 3, "confirm", avoid=frozenset({"n1"}))


@pytest.mark.parametrize("changes", [{"repeat": 0}, {"repeat": 0, "bisected": "a"}])
def test_a_failure_for_want_of_a_picture_is_none_of_the_product_in_a_soak_or_a_bisection(
    changes: dict[str, Any],
) -> None:
    order = ORDER.model_copy(update={**changes, "confirm_failures": False})
    failed = run("a", outcome="fail").model_copy(update={"reason": "No video from the device"})
    first = judge(Work(7, 3), failed, "n1", 1, order)
    assert (first.outcome, first.counter, first.attempt.reason) == (None, "retried", "No video from the device")
    assert first.follows is not None
    second = judge(first.follows, failed, "n2", 2, order)
    assert (second.outcome, second.counter) == ("error", "errored")
    assert judge(Work(7, 3), run("a", outcome="fail"), "n1", 1, order).outcome == "fail"
    assert judge(Work(7, 3), failed, "n1", 1, ORDER).outcome == "fail", "an ordinary campaign counts what ran"


@pytest.mark.parametrize(
    ("outcome", "rerun", "counter"), [("fail", "confirmed", "confirmed"), ("pass", "unconfirmed", "unconfirmed")]
)
def test_a_rerun_changes_no_count_of_results(outcome: Outcome, rerun: str, counter: str) -> None:
    verdict = judge(Work(7, 3, "confirm", tries=1), run("a", outcome=outcome), "n2", 2, ORDER)
    assert (verdict.outcome, verdict.rerun, verdict.counter, verdict.follows) == (None, rerun, counter, None)


def test_a_run_that_was_never_found_is_an_error_that_says_so() -> None:
    verdict = judge(Work(7, 3, tries=1), None, "n1", 1, ORDER)
    assert (verdict.outcome, verdict.attempt.reason, verdict.attempt.run_id) == ("error", NO_RUN, "")


def test_the_remaining_time_has_a_spread_that_shrinks_with_what_is_known() -> None:
    few = estimate(left=100, nodes=4, results=5, seconds=50, squares=600, spent=50)
    many = estimate(left=100, nodes=4, results=500, seconds=5000, squares=60_000, spent=5000)
    assert few[0] < many[0] < 250 < many[1] < few[1]


def test_the_remaining_time_counts_a_long_test_before_it_has_ended() -> None:
    done, long = (
        estimate(left=4, nodes=2, results=4, seconds=40, squares=400, spent=40.0, going=going)
        for going in ([], [0.0, 600.0])
    )
    assert done == (20.0, 20.0)
    assert long == (192.0, 672.0), "three at 128 s if it ends now; at 248 s, and 600 s more, if it takes as long again"


HOUR = 3600.0
A_MINUTE_EACH = (50, 3000.0, 180_000.0, 3000.0)
"""Fifty runs, their seconds in all, the squares of these, and the seconds in jobs."""


def test_the_time_of_runs_that_are_going_is_off_what_is_left() -> None:
    half_done = estimate(90, 10, 10, 10 * HOUR, 10 * HOUR**2, 10 * HOUR, [HOUR / 2] * 10)
    assert half_done == (8.5 * HOUR, 8.5 * HOUR), "nine rounds of an hour, and half an hour of the first has passed"


def test_the_last_round_takes_as_long_as_a_run_however_many_nodes_there_are() -> None:
    assert estimate(1, 6, *A_MINUTE_EACH) == (60.0, 60.0)
    assert estimate(7, 6, *A_MINUTE_EACH) == (120.0, 120.0)


def test_of_more_runs_that_are_going_than_a_soak_still_needs_the_foremost_are_waited_for() -> None:
    assert estimate(2, 6, *A_MINUTE_EACH, going=[30.0] * 6) == (30.0, 30.0)
    assert estimate(2, 6, *A_MINUTE_EACH, going=[50.0, 0.0, 0.0, 50.0]) == (10.0, 10.0)


def test_the_first_runs_to_end_are_not_taken_for_the_mean_of_those_that_are_going() -> None:
    first = [51 * 60.0, 52 * 60.0, 53 * 60.0]
    low, high = estimate(97, 10, 3, sum(first), sum(each * each for each in first), sum(first), [53 * 60.0] * 7)
    assert 440 < low / 60 < 580 < high / 60 < 900
