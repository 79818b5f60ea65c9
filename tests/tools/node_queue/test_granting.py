"""Who gets which nodes: in the order of the line for each node, all or none, and everybody in the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testlab_tools.node_queue.granting import Claim, decide, place_in_line

NODES = ("a", "b", "c", "d", "e")


def claim(name: str, nodes: str, count: int) -> Claim:
    return Claim(name, tuple(nodes), count)


def test_nobody_behind_takes_a_free_node_that_a_ticket_ahead_waits_to_use() -> None:
    both, one = claim("first", "ab", 2), claim("second", "a", 1)
    decision = decide([both, one], free="a", in_service="ab")
    assert decision.grants == {}
    assert decision.lacking == {"first": (1, ("b",)), "second": (1, ())}
    assert decide([both, one], free="ab", in_service="ab").grants == {"first": ("a", "b")}


def test_a_node_that_no_ticket_ahead_could_use_is_given_to_whoever_waits_for_it() -> None:
    assert decide([claim("first", "a", 1), claim("second", "b", 1)], "b", "ab").grants == {"second": ("b",)}


def test_a_ticket_that_cannot_reach_its_count_keeps_nothing_from_others() -> None:
    both, one = claim("first", "ab", 2), claim("second", "a", 1)
    assert decide([both, one], free="a", in_service="a").grants == {"second": ("a",)}


def test_a_count_of_none_takes_all_that_are_free_and_at_least_one() -> None:
    everything = claim("first", "abc", 0)
    assert decide([everything], "bc", "abc").grants == {"first": ("b", "c")}
    assert decide([everything], "", "abc").grants == {}


def test_of_several_free_nodes_those_are_taken_that_fewest_others_wait_for() -> None:
    anyone, named = claim("first", "abc", 1), claim("second", "a", 1)
    assert decide([anyone, named], "abc", "abc").grants == {"first": ("b",), "second": ("a",)}


def test_the_place_counts_only_those_who_want_the_same_nodes() -> None:
    claims = [claim("first", "a", 1), claim("second", "b", 1), claim("third", "ab", 2)]
    assert [place_in_line(claims, number) for number in range(3)] == [1, 1, 3]


@st.composite
def lines(draw: st.DrawFn) -> list[Claim]:
    made: list[Claim] = []
    for number in range(draw(st.integers(1, 8))):
        nodes = tuple(draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=5, unique=True)))
        made.append(Claim(str(number), nodes, draw(st.integers(0, len(nodes)))))
    return made


@given(lines(), st.sets(st.sampled_from(NODES)), st.sets(st.sampled_from(NODES)))
def test_no_node_is_granted_twice_and_no_ticket_gets_a_part_of_what_it_needs(
    claims: list[Claim], free: set[str], busy: set[str]
) -> None:
    grants = decide(claims, free, free | busy).grants
    given_out = [node for nodes in grants.values() for node in nodes]
    assert len(given_out) == len(set(given_out))
    assert set(given_out) <= free
    for one in claims:
        if one.ticket_id in grants:
            assert set(grants[one.ticket_id]) <= set(one.candidates)
            assert len(grants[one.ticket_id]) == one.count or (one.count == 0 and grants[one.ticket_id])


@given(lines(), st.sets(st.sampled_from(NODES)))
def test_nobody_overtakes_onto_a_node_that_a_ticket_ahead_could_still_use(claims: list[Claim], free: set[str]) -> None:
    decision = decide(claims, free, NODES)
    for position, one in enumerate(claims):
        if one.ticket_id in decision.grants:
            continue
        for behind in claims[position + 1 :]:
            assert set(one.candidates).isdisjoint(decision.grants.get(behind.ticket_id, ()))


@given(lines(), st.randoms())
def test_everybody_gets_their_nodes_once_holders_give_theirs_back(claims: list[Claim], random: object) -> None:
    waiting, free, order = list(claims), set(NODES), list[str]()
    for _ in range(len(claims)):
        grants = decide(waiting, free, NODES).grants
        assert grants
        order += grants
        waiting = [one for one in waiting if one.ticket_id not in grants]
        if not waiting:
            break
    assert sorted(order) == sorted(one.ticket_id for one in claims)


@given(lines())
def test_the_first_in_line_is_served_as_soon_as_its_nodes_are_free(claims: list[Claim]) -> None:
    assert claims[0].ticket_id in decide(claims, set(claims[0].candidates), NODES).grants
