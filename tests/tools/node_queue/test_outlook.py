"""How long a ticket will wait: what is not known is not guessed."""

from __future__ import annotations

import pytest

from testlab_tools.node_queue.granting import Claim
from testlab_tools.node_queue.outlook import expected_wait, remaining, typical_hold

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
