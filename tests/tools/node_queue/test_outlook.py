"""How long a ticket will wait: what is not known is not guessed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from testlab_tools.models.nodes import JobBrief, Node
from testlab_tools.node_queue.granting import Claim
from testlab_tools.node_queue.holdings import Holdings
from testlab_tools.node_queue.outlook import expected_wait, is_bound, remaining, typical_hold
from testlab_tools.tools.line import spell_wait

HOUR = 3600.0


def test_how_long_nodes_are_held_is_unknown_until_five_were_seen() -> None:
    assert typical_hold([60.0] * 4) is None
    assert typical_hold([60.0] * 5) == (60.0, 60.0)
    low, high = typical_hold([10.0, 20.0, 30.0, 40.0, 500.0]) or (0.0, 0.0)
    assert (low, high) == (20.0, 40.0)


def test_a_holders_end_bounds_the_wait_for_the_first_in_line() -> None:
    first = [Claim("t", ("a",), 1)]
    assert expected_wait(first, 0, {"a": remaining(HOUR, 60, None)}, [None]) == (0.0, HOUR)
    assert expected_wait(first, 0, {"a": remaining(HOUR, 60, (600, 1200))}, [(600, 1200)]) == (540.0, HOUR)


def test_a_holder_without_an_end_is_expected_to_hold_as_others_did() -> None:
    first = [Claim("t", ("a",), 1)]
    assert expected_wait(first, 0, {"a": remaining(None, 100, None)}, [None]) is None
    assert expected_wait(first, 0, {"a": remaining(None, 100, (600, 1200))}, [(600, 1200)]) == (500.0, 1100.0)


def test_those_ahead_hold_as_long_as_others_did_and_are_unknown_where_that_is() -> None:
    line = [Claim("first", ("a",), 1), Claim("second", ("a",), 1)]
    free_in = {"a": (0.0, 60.0)}
    assert expected_wait(line, 1, free_in, [None, None]) is None
    assert expected_wait(line, 1, free_in, [(600.0, 1200.0), None]) == (600.0, 1260.0)


def test_with_several_nodes_the_wait_is_that_for_the_last_of_them() -> None:
    free_in = {"a": (0.0, 0.0), "b": (10.0, 20.0), "c": (100.0, 200.0)}
    assert expected_wait([Claim("t", ("a", "b", "c"), 2)], 0, free_in, [None]) == (10.0, 20.0)
    assert expected_wait([Claim("t", ("a", "b", "c"), 3)], 0, free_in, [None]) == (100.0, 200.0)


def test_a_ticket_ahead_that_waits_for_a_node_out_of_service_delays_nobody() -> None:
    line = [Claim("first", ("a", "gone"), 2), Claim("second", ("a",), 1)]
    assert expected_wait(line, 1, {"a": (5.0, 9.0)}, [None, None]) == (5.0, 9.0)


@pytest.mark.parametrize("end", [0.0, -60.0])
def test_an_end_that_has_passed_is_now(end: float) -> None:
    assert remaining(end, 0, None) == (0.0, 0.0)


@pytest.mark.parametrize("held_for", [1200.0, 2 * HOUR])
def test_a_holder_without_an_end_who_has_outrun_the_others_is_unknown(held_for: float) -> None:
    assert remaining(None, held_for, (600, 1200)) is None


def test_a_job_holds_its_node_from_when_it_began_and_not_from_when_it_was_seen() -> None:
    begun = datetime(2026, 1, 5, 8, tzinfo=UTC)
    job = JobBrief(job_uid="p:1", finished=False, done=0, total=0, started_at=begun)
    node = Node(node_id="p:a", state="reserved", job=job)
    holdings = Holdings()
    assert holdings.observe({"a": node}, 50.0) == []
    assert holdings.held_for(node, 60.0, begun.timestamp() + 2 * HOUR) == 2 * HOUR
    unknown = node.model_copy(update={"job": job.model_copy(update={"started_at": None})})
    assert holdings.held_for(unknown, 60.0, 0.0) == 10.0


def test_a_wait_is_bound_only_by_the_ends_of_the_holder_and_of_everybody_ahead() -> None:
    line = [Claim("first", ("a",), 1), Claim("second", ("a",), 1)]
    assert is_bound(line, 0, {"a": HOUR}, [600.0, 600.0], (0.0, HOUR))
    assert not is_bound(line, 0, {"a": None}, [600.0, 600.0], (0.0, HOUR))
    assert is_bound(line, 1, {"a": HOUR}, [600.0, 600.0], (0.0, HOUR + 600))
    assert not is_bound(line, 1, {"a": HOUR}, [None, 600.0], (0.0, HOUR + 600))
    assert not is_bound([Claim("t", ("a", "b"), 1)], 0, {"a": HOUR, "b": None}, [600.0], (0.0, 60.0))


@pytest.mark.parametrize(
    ("wait", "bound", "told"),
    [
        ((0.0, 50.0), True, "1 minute at most"),
        ((0.0, 50.0), False, "usually about 1 minute"),
        ((0.0, 600.0), False, "usually about 0 to 10 minutes"),
        ((120.0, 600.0), True, "2 to 10 minutes"),
        ((120.0, 120.0), False, "usually about 2 minutes"),
        ((120.0, 2000.0), False, "usually about 2 to 34 minutes; the ticket may lapse before"),
        ((1900.0, 2000.0), True, "31 to 34 minutes; the ticket lapses before"),
        (None, False, "unknown"),
    ],
)
def test_a_guess_is_never_told_as_a_bound(wait: tuple[float, float] | None, bound: bool, told: str) -> None:
    assert spell_wait(wait, bound, 1800.0) == told
