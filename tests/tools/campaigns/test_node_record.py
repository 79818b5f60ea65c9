"""A campaign gives up a node that fails mostly at the equipment, and none for what the tests themselves come to."""

from __future__ import annotations

from datetime import UTC, datetime

from testlab_tools.campaigns.counting import judge
from testlab_tools.campaigns.node_record import NodeRecords
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.sharing import Work
from testlab_tools.models.lab import Outcome, Run

ORDER = CampaignOrder(service="portal", test_pack_revision="main", retries=1)
LOST = "The instrument did not respond"
ITS_OWN = "KeyError: 'channel'"


def note(records: NodeRecords, node: str, item: int, outcome: Outcome, reason: str = "", avoid: str = "") -> None:
    run = Run(run_id=f"portal:{item}", outcome=outcome, test="t", started_at=datetime.now(UTC), reason=reason)
    work = Work(item, item % 2, tries=bool(avoid), avoid=frozenset(avoid.split()))
    records.note([judge(work, run, node, 1, ORDER)])


def test_a_node_that_passes_now_and_then_and_fails_mostly_at_the_equipment_is_named_with_the_reason() -> None:
    records = NodeRecords()
    for item in range(7):
        note(records, "n1", item, "pass" if item in (0, 4) else "error", LOST)
    assert records.find_share("n1") == "", "fewer than eight are no evidence"
    note(records, "n1", 7, "pass")
    assert records.find_share("n1") == (
        "5 of its last 8 runs failed at the equipment: an instrument that does not answer; at several tests"
    )
    records.begin("n1")
    assert records.find_share("n1") == "", "it was granted anew"


def test_errors_of_a_test_are_a_nodes_own_once_another_node_ran_it_without() -> None:
    records = NodeRecords()
    for item in range(8):
        note(records, "n1", item, "error", ITS_OWN)
    note(records, "n2", 0, "error", ITS_OWN, avoid="n1")
    assert records.find_share("n1") == records.find_share("n2") == ""
    for item in range(1, 5):
        note(records, "n2", item, "fail", "Voltage 5.4 V is above its limit", avoid="n1")
    assert records.find_share("n1").startswith("4 of its last 8 runs failed at the equipment: errors that other nodes")


def test_failures_of_the_product_say_nothing_of_the_node() -> None:
    records = NodeRecords()
    for item in range(20):
        note(records, "n1", item, "fail", "Voltage 5.4 V is above its limit")
    assert records.find_share("n1") == ""


def test_tests_that_fail_at_the_equipment_alike_on_every_node_give_up_none() -> None:
    records = NodeRecords()
    for item in range(8):
        note(records, "n1", item, "error", LOST)
        note(records, "n2", item, "error", LOST)
    assert records.find_share("n1") == records.find_share("n2") == ""


def test_a_batch_of_errors_is_a_nodes_own_only_where_others_judge_what_it_does_not() -> None:
    records = NodeRecords()
    for item in (0, 2):
        note(records, "n1", item, "error", ITS_OWN)
    note(records, "n2", 1, "pass")
    assert records.compare_errors("n1", 2) == "", "one test that no other node ran"
    note(records, "n2", 4, "error", ITS_OWN)
    assert records.compare_errors("n1", 2) == records.compare_errors("n2", 1) == "", "it is broken everywhere"
    note(records, "n2", 6, "pass")
    note(records, "n2", 8, "pass")
    assert records.compare_errors("n1", 2) == "other nodes did better at the same tests"


def test_several_tests_in_error_are_a_nodes_own_only_while_others_judge_something() -> None:
    records = NodeRecords()
    for item in (0, 1):
        note(records, "n1", item, "error", ITS_OWN)
    assert records.compare_errors("n1", 2) == ""
    run = Run(run_id="portal:9", outcome="pass", test="other", started_at=datetime.now(UTC))
    records.note([judge(Work(9, 9), run, "n2", 1, ORDER)])
    assert records.compare_errors("n1", 2) == "at several tests"


def test_an_outage_that_all_nodes_share_is_no_nodes_own_though_each_had_passed_before() -> None:
    records, owned = NodeRecords(), list[str]()
    for item in range(16):
        node, outcome = f"n{item // 2 % 2}", "pass" if item < 4 else "error"
        run = Run(run_id=f"portal:{item}", outcome=outcome, test="t", started_at=datetime.now(UTC), reason=ITS_OWN)
        records.note([judge(Work(item, item), run, node, 1, ORDER)])  # each test once, on one node
        if item % 2 and records.compare_errors(node, 2):
            owned.append(node)
    assert owned == ["n0"], "while the other had passed last"
