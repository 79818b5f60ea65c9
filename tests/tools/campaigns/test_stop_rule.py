"""What a soak and a bisection order, and when they stop."""

from __future__ import annotations

from testlab_tools.campaigns.conclusions import conclude_soak
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.reading import Tally, count_runs_left
from testlab_tools.campaigns.stop_rule import MAX_ERRORS, OPEN_PER_TEST, CampaignRule, make_rule


def rule_of(tests: int, **order: object) -> CampaignRule:
    """The rule of an order of so many tests."""
    made = make_rule(CampaignOrder.model_validate({"service": "p", "test_pack_revision": "r", **order}), tests)
    assert made is not None
    return made


def test_a_campaign_that_says_how_often_has_no_rule() -> None:
    assert make_rule(CampaignOrder(service="p", test_pack_revision="r", repeat=3), 2) is None


def test_a_soak_orders_every_result_anew_until_it_is_decided() -> None:
    rule = rule_of(1, repeat=0, until_below=0.2)
    first = rule.decide().more
    assert list(first) == [0] * OPEN_PER_TEST
    rule.note_ordered(first)
    assert not rule.decide().more
    for _ in range(5):
        rule.count(0, "pass")
    assert list(rule.decide().more) == [0] * 5
    for _ in range(30):
        rule.count(0, "pass")
    assert rule.decide().stop


def test_a_process_that_takes_a_soak_up_orders_what_the_one_before_had_not_written_down() -> None:
    rule = rule_of(2, repeat=0)
    rule.note_ordered([0, 1, 0])
    rule.count(0, "pass")
    more = list(rule.decide().more)
    assert more.count(0) == OPEN_PER_TEST - 1
    assert more.count(1) == OPEN_PER_TEST - 1


def test_a_test_that_is_decided_is_run_no_more_while_others_are() -> None:
    rule = rule_of(2, repeat=0, until_below=0.2)
    for _ in range(40):
        rule.count(0, "pass")
    assert set(rule.decide().more) == {1}


def test_infrastructure_errors_are_no_failures_and_end_a_soak_that_has_nothing_else() -> None:
    rule = rule_of(1, repeat=0, until_below=0.2)
    for _ in range(MAX_ERRORS - 1):
        rule.count(0, "error")
    assert rule.decide().more
    rule.count(0, "error")
    assert "errors only" in rule.decide().stop


def test_a_bisection_keeps_its_nodes_busy_and_stops_at_the_first_bad_revision() -> None:
    rule, ran = rule_of(6, repeat=0, bisected="t", node_ids=("a", "b")), 0
    while not (decision := rule.decide()).stop:
        rule.note_ordered(decision.more)
        test = next(test for test in range(6) if rule.open_of(test))
        assert sum(map(rule.open_of, range(6))) == 4
        rule.count(test, "fail" if test >= 4 else "pass")
        ran += 1
    assert "first bad revision is found" in decision.stop
    assert ran <= 60


def test_a_bisection_ends_where_a_revision_cannot_be_judged() -> None:
    rule = rule_of(3, repeat=0, bisected="t")
    for _ in range(MAX_ERRORS):
        rule.count(0, "error")
    assert "cannot be judged" in rule.decide().stop


def test_a_test_that_ends_in_errors_only_is_run_no_more_while_others_are_and_the_answer_says_so() -> None:
    rule = rule_of(2, repeat=0, until_below=0.2)
    for _ in range(MAX_ERRORS):
        rule.count(0, "error")
    assert set(rule.decide().more) == {1}
    order = CampaignOrder(service="p", test_pack_revision="r", repeat=0, until_below=0.2)
    told = conclude_soak(order, [Tally("a", errored=MAX_ERRORS), Tally("b", passed=2)])
    assert [(soak.conclusion, soak.runs_left) for soak in told] == [("errors only", None), ("open", told[1].runs_left)]
    assert count_runs_left(order, [Tally("a", errored=MAX_ERRORS), Tally("b", passed=2)]) == told[1].runs_left
    assert told[1].runs_left
