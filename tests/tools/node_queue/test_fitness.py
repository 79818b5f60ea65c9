"""A node is passed over for what its last runs say of the equipment, never for what they say of the product."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from testlab_tools.capabilities import Health, RunArchive, Runs
from testlab_tools.errors import ServiceDown
from testlab_tools.models.lab import FailedRun, Outcome, Run
from testlab_tools.models.nodes import Node
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.node_queue.fitness import FaultCollector, Faults, find_faults
from testlab_tools.node_queue.matching import passed_over
from testlab_tools.node_queue.tickets import NodeRequest

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOST = "The instrument did not respond"


Told = tuple[str, Outcome, str]


def runs(*told: Told) -> list[Run]:
    """Runs by station, outcome and reason, the newest first, of two tests in turn."""
    return [
        Run(
            run_id=f"portal:{number}",
            outcome=outcome,
            test=f"t{number % 2}",
            started_at=NOON - timedelta(minutes=number),
            station=station,
            reason=reason,
        )
        for number, (station, outcome, reason) in enumerate(told)
    ]


def test_a_node_with_two_failures_at_the_equipment_in_a_row_is_not_fit() -> None:
    found = find_faults(runs(("a", "error", LOST), ("a", "fail", LOST), ("b", "pass", "")))
    assert found.last == {
        "a": "its last 2 runs failed at the equipment: an instrument that does not answer, 2026-11-20T12:00:00Z; "
        "other nodes did better at the same tests"
    }


def test_one_such_failure_or_a_pass_in_between_says_nothing_of_the_node() -> None:
    assert find_faults(runs(("a", "error", LOST))) == ({}, {})
    assert find_faults(runs(("a", "error", LOST), ("a", "pass", ""), ("a", "error", LOST))) == ({}, {})
    assert find_faults(runs(("a", "pass", ""), ("a", "error", LOST), ("a", "error", LOST))) == ({}, {})


def test_failures_of_the_product_say_nothing_of_the_node() -> None:
    product: Told = ("a", "fail", "Voltage 5.4 V is above its limit")
    assert find_faults(runs(*[product] * 5)) == ({}, {})


def test_a_test_that_is_broken_everywhere_passes_over_no_node() -> None:
    lost: list[Told] = [("a", "error", LOST), ("b", "error", LOST)]
    alike = [run.model_copy(update={"test": "backend"}) for run in runs(*lost * 2)]
    assert find_faults(alike) == ({}, {})
    alone = find_faults(alike[::2])
    assert alone.last == {}
    assert alone.share["a"].endswith("; at one test, which no other node ran")
    sound: Told = ("c", "pass", "")
    passed = [run.model_copy(update={"test": "backend"}) for run in runs(sound, sound)]
    assert find_faults([*alike[::2], *passed]).last["a"].endswith("; other nodes did better at the same tests")


def test_a_run_that_still_runs_does_not_count() -> None:
    assert list(find_faults(runs(("a", "running", ""), ("a", "error", LOST), ("a", "error", LOST))).last) == ["a"]


def test_a_node_that_passes_now_and_then_and_fails_mostly_at_the_equipment_is_not_fit() -> None:
    bad: Told = ("a", "error", LOST)
    mostly = runs(("a", "pass", ""), *[bad] * 5, ("a", "pass", ""), *[bad] * 3)
    assert find_faults(mostly).share == {
        "a": "8 of its last 10 runs failed at the equipment: an instrument that does not answer; at several tests"
    }


def test_few_runs_or_a_node_that_mostly_judges_the_product_are_no_evidence() -> None:
    passed: Told = ("a", "pass", "")
    lost: Told = ("a", "error", LOST)
    product: Told = ("a", "fail", "Voltage 5.4 V is above its limit")
    assert find_faults(runs(passed, *[lost] * 6)) == ({}, {})
    assert find_faults(runs(passed, *[lost, passed, passed] * 5)) == ({}, {})
    assert find_faults(runs(passed, *[product] * 15)) == ({}, {})


def test_a_node_that_was_mended_is_fit_again_before_its_failures_are_old() -> None:
    passed: Told = ("a", "pass", "")
    lost: Told = ("a", "error", LOST)
    assert find_faults(runs(*[passed] * 2, *[lost] * 10)).share != {}
    assert find_faults(runs(*[passed] * 3, *[lost] * 10)) == ({}, {})


def test_a_test_that_fails_alike_on_every_node_says_nothing_of_them() -> None:
    each: list[Told] = []
    for name in "abc":
        told: list[Told] = [(name, "error", LOST), (name, "pass", "")]
        each += told * 5
    one_test = [run.model_copy(update={"test": "backend"}) for run in runs(*each)]
    assert find_faults(one_test) == ({}, {})
    assert find_faults(one_test[:10]) == ({}, {}), "where no other ran it, one test is no evidence"
    passes: list[Told] = [("d", "pass", ""), ("e", "pass", "")]
    sound = [run.model_copy(update={"test": "backend"}) for run in runs(*passes * 5)]
    assert list(find_faults([*one_test[:10], *sound]).share) == ["a"]


def test_a_share_of_faults_alone_passes_over_no_node_where_the_others_are_too_few() -> None:
    nodes = {name: Node(node_id=f"portal:{name}", state="free") for name in "ab"}
    request = NodeRequest(service="portal", count=1, message="", duration_s=60, caller="")
    assert passed_over(request, nodes, Faults(share={"a": "x"})) == ({"a": "x"}, {})
    assert passed_over(request, nodes, Faults(share={"a": "x", "b": "y"})) == ({}, {"a": "x", "b": "y"})
    assert passed_over(request, nodes, Faults(last={"a": "x"}, share={"b": "y"})) == ({"a": "x"}, {"b": "y"})


class Listing(RunArchive):
    """Lists the newest of its runs, as many as are asked for."""

    kind = "listing"
    count_page = 50

    def __init__(self) -> None:
        super().__init__("portal")
        self.runs: list[Run] = []
        self.asked = 0
        self.is_down = False

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        self.asked += 1
        if self.is_down:
            raise ServiceDown(self.name, "It is down", "", "")
        return Runs(self.runs[:limit], more=len(self.runs) > limit)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        raise AssertionError

    async def get_run(self, run_id: str) -> RunDetail:
        raise AssertionError

    async def probe(self) -> Health:
        raise AssertionError


async def test_a_soak_on_other_nodes_does_not_hide_the_faults_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.node_queue.fitness.FRESH_S", 0.0)
    now = datetime.now(UTC)
    listing = Listing()
    collector = FaultCollector(listing)
    broken: list[Told] = [("a", "error", LOST), ("a", "error", LOST), ("b", "pass", ""), ("b", "pass", "")]
    listing.runs = [run.model_copy(update={"started_at": now - timedelta(hours=1)}) for run in runs(*broken)]
    assert list((await collector.read()).last) == ["a"]
    passed: Told = ("b", "pass", "")
    soak = runs(*[passed] * 200)
    later = [run.model_copy(update={"run_id": f"portal:s{n}", "started_at": now}) for n, run in enumerate(soak)]
    listing.runs = [*later, *listing.runs]
    assert list((await collector.read()).last) == ["a"]
    listing.is_down = True
    assert list((await collector.read()).last) == ["a"]
    assert listing.asked == 3


async def test_the_runs_are_read_once_for_all_who_ask_within_three_minutes() -> None:
    listing = Listing()
    collector = FaultCollector(listing)
    assert await collector.read() == await collector.read() == Faults({}, {})
    assert listing.asked == 1
