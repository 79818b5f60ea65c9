"""Test cases in a seeded lab: broken by a revision, bound to a node, flaky or stable."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from testlab_tools.archive.schema import Run
from testlab_tools.statistics.case_history import MAX_RUNS
from testlab_tools.statistics.flakiness import Flakiness, FlakyTest, find_flaky
from testlab_tools.statistics.intervals import runs_to_tell_apart
from testlab_tools.statistics.selection import RunFilter
from tests.tools.statistics.conftest import START, MakeView
from tests.tools.statistics.references import proportion

PORTAL = RunFilter(["portal"])
CHANGED = 90
"""The run of each test that is the first of the new revision."""

Rate = Callable[[int, str], float]


def lab(rates: dict[str, Rate], runs: int = 150, seed: int = 5) -> list[Run]:
    """Each test on three nodes in turn; a rate is the chance to pass, by the number of the run and the node."""
    rng = random.Random(seed)
    found: list[Run] = []
    for test, rate in rates.items():
        for n in range(runs):
            node = f"node-{rng.randint(1, 3)}"
            end = "pass" if rng.random() < rate(n, node) else rng.choice(["fail", "fail", "error"])
            revision = "aaaa" if n < CHANGED else "bbbb"
            at = START + timedelta(hours=6 * n)
            found.append(
                Run("portal", f"portal:{test}/{n}", test, end, at, 10.0, node, revision=revision)  # type: ignore[arg-type]
            )
    return found


RATES: dict[str, Rate] = {
    "broken": lambda n, _: 0.0 if n >= CHANGED else 0.97,
    "bound": lambda _, node: 0.55 if node == "node-2" else 0.99,
    "flaky": lambda _n, _: 0.7,
    "slower": lambda n, _: 0.98 if n < 60 else 0.5,
    **{f"stable {n}": lambda _n, _: 1.0 for n in range(20)},
    **{f"rare {n}": lambda _n, _: 0.97 for n in range(10)},
}


@pytest.fixture
async def found(view_of: MakeView) -> dict[str, FlakyTest]:
    return {test.test: test for test in (await find_flaky(view_of(lab(RATES)), PORTAL, 100, False)).tests}


async def test_a_broken_test_is_told_with_the_run_and_the_revisions_of_the_change(found: dict[str, FlakyTest]) -> None:
    test = found["broken"]
    assert (test.state, test.n, test.passed) == ("broken", 150 - CHANGED, 0)
    assert test.change is not None
    assert (test.change.run_id, test.change.at) == (f"portal:broken/{CHANGED}", START + timedelta(hours=6 * CHANGED))
    assert (test.change.from_revision, test.change.to_revision) == ("aaaa", "bbbb")
    assert [(rate.name, rate.n) for rate in test.revisions] == [("bbbb", 60), ("aaaa", 90)]


@pytest.mark.parametrize(("runs", "state"), [(1, "failed once"), (2, "failing"), (3, "failing"), (4, "broken")])
async def test_a_test_that_never_passed_is_not_called_flaky(view_of: MakeView, runs: int, state: str) -> None:
    (test,) = (await find_flaky(view_of(lab({"dead": lambda _n, _: 0.0}, runs)), PORTAL, 5, False)).tests
    assert (test.state, test.n, test.passed) == (state, runs, 0)


async def test_a_test_that_fails_at_one_node_is_bound_to_it(found: dict[str, FlakyTest]) -> None:
    test = found["bound"]
    assert (test.state, test.worst_node, test.change) == ("node-bound", "node-2", None)
    assert test.nodes[0].name == "node-2"
    assert test.nodes[0].rate < 0.8 < test.nodes[1].rate


async def test_a_flaky_test_has_its_rate_with_an_interval(found: dict[str, FlakyTest]) -> None:
    test = found["flaky"]
    assert (test.state, test.n, test.change) == ("flaky", 150, None)
    assert test.interval == pytest.approx(proportion.proportion_confint(test.passed, 150, method="wilson"), abs=1e-4)
    assert test.interval[0] < 0.7 < test.interval[1]


async def test_a_change_within_one_revision_says_that_the_test_pack_did_not_change(found: dict[str, FlakyTest]) -> None:
    change = found["slower"].change
    assert change is not None
    assert change.from_revision == change.to_revision == "aaaa"
    assert abs(int(change.run_id.rpartition("/")[2]) - 60) < 10


async def test_tests_that_fail_now_and_then_are_not_said_to_have_changed(found: dict[str, FlakyTest]) -> None:
    rare = [test for name, test in found.items() if name.startswith("rare")]
    assert len(rare) > 5
    assert not any(test.change or test.worst_node for test in rare)
    assert {test.state for test in rare} <= {"flaky", "failed once"}


async def test_stable_tests_are_counted_and_the_worst_come_first(view_of: MakeView) -> None:
    answer = await find_flaky(view_of(lab(RATES)), PORTAL, 2, False)
    assert answer.counts["stable"] >= 20
    assert sum(answer.counts.values()) == len(RATES)
    assert [test.test for test in answer.tests] == ["broken", "bound"]
    assert "2 of" in answer.note
    assert "counts has each by its runs since its last change" in answer.note


async def test_a_test_that_was_broken_and_repaired_is_judged_since_the_repair(view_of: MakeView) -> None:
    rates: dict[str, Rate] = {"mended": lambda n, _: 0.0 if 60 <= n < 110 else 0.99}
    (test,) = (await find_flaky(view_of(lab(rates)), PORTAL, 5, True)).tests
    assert test.state in ("stable", "failed once")
    assert test.change is not None
    assert (test.change.run_id, test.change.before) == ("portal:mended/110", pytest.approx(0.54, abs=0.05))


async def test_of_two_revisions_that_may_differ_the_runs_that_would_tell_are_said(view_of: MakeView) -> None:
    rates: dict[str, Rate] = {"unsure": lambda n, _: 0.9 if n < CHANGED else 0.8}
    view = view_of(lab(rates))
    (test,) = (await find_flaky(view, PORTAL, 5, True)).tests
    new, old = test.revisions
    wanted = runs_to_tell_apart(new.rate, old.rate)
    assert wanted is not None
    assert test.more_runs == wanted - min(new.n, old.n) > 0
    (listed,) = (await find_flaky(view, PORTAL, 5, False)).tests
    assert (listed.state, listed.more_runs) == ("flaky", test.more_runs)


@pytest.mark.parametrize(("rate", "other"), [(0.9, 0.8), (0.98, 0.9), (0.5, 0.45), (0.99, 0.97)])
def test_the_runs_that_tell_two_rates_apart_are_those_of_statsmodels(rate: float, other: float) -> None:
    sample_size = proportion.samplesize_proportions_2indep_onetail
    theirs = sample_size(rate - other, other, 0.8, alpha=0.05, alternative="two-sided")
    assert runs_to_tell_apart(rate, other) == pytest.approx(theirs, abs=1)


async def test_of_a_test_with_many_runs_the_newest_are_looked_at(view_of: MakeView) -> None:
    answer: Flakiness = await find_flaky(view_of(lab({"flaky": lambda _n, _: 0.7}, runs=500)), PORTAL, 5, True)
    assert answer.tests[0].n == MAX_RUNS
    assert f"its newest {MAX_RUNS} runs" in answer.note


async def test_nothing_that_ran_is_said(view_of: MakeView) -> None:
    answer = await find_flaky(view_of([]), PORTAL, 5, False)
    assert (answer.tests, answer.counts, answer.note) == ([], {}, "No run in the archive matches.")


async def test_a_node_at_which_all_tests_fail_is_down_and_makes_no_test_flaky(view_of: MakeView) -> None:
    down = 100
    rates: dict[str, Rate] = {
        f"test {n}": lambda n, node: 0.0 if node == "node-3" and n >= down else 1.0 for n in range(12)
    }
    found = await find_flaky(view_of(lab(rates)), PORTAL, 20, False)
    (node,) = found.nodes_down
    assert (node.node, node.passed, node.n) == ("node-3", 0, pytest.approx(12 * 50 / 3, rel=0.3))
    assert abs(node.since - (START + timedelta(hours=6 * down))) < timedelta(hours=24)
    assert (found.counts, found.tests) == ({"stable": 12}, [])


DOWN_AND_BROKEN: dict[str, Rate] = {
    "broken": lambda n, _: 0.0 if n >= CHANGED else 1.0,
    "flaky": lambda n, node: 0.0 if node == "node-3" and n >= 100 else 0.8,
    **{f"test {n}": lambda n, node: 0.0 if node == "node-3" and n >= 100 else 1.0 for n in range(8)},
}


async def test_a_test_asked_alone_is_judged_as_among_all(view_of: MakeView) -> None:
    view = view_of(lab(DOWN_AND_BROKEN))
    every = await find_flaky(view, PORTAL, 20, False)
    assert [node.node for node in every.nodes_down] == ["node-3"]
    for listed in every.tests:
        alone = await find_flaky(view, replace(PORTAL, names={"test": [listed.test]}), 5, True)
        (test,) = alone.tests
        assert alone.nodes_down == every.nodes_down
        told = ("state", "n", "passed", "left_out")
        assert [getattr(test, name) for name in told] == [getattr(listed, name) for name in told]
        assert (test.change and test.change.run_id) == (listed.change and listed.change.run_id)
        assert 0 < test.left_out < 50
        assert f"{test.left_out} runs at nodes in nodes_down" in alone.note


@pytest.mark.parametrize("others", [0, 1, 5])
async def test_a_test_that_fails_everywhere_makes_no_node_down(view_of: MakeView, others: int) -> None:
    rates: dict[str, Rate] = {
        "broken": lambda n, _: 0.0 if n >= CHANGED else 1.0,
        **{f"test {n}": lambda _n, _: 1.0 for n in range(others)},
    }
    found = await find_flaky(view_of(lab(rates)), replace(PORTAL, names={"test": ["broken"]}), 5, True)
    assert found.nodes_down == []
    assert found.tests[0].change is not None
    assert (found.tests[0].n, found.tests[0].change.run_id) == (150 - CHANGED, f"portal:broken/{CHANGED}")


async def test_tests_that_break_everywhere_at_once_make_no_node_down(view_of: MakeView) -> None:
    rates: dict[str, Rate] = {f"test {n}": lambda n, _: 0.0 if n >= CHANGED else 1.0 for n in range(4)}
    found = await find_flaky(view_of(lab(rates)), PORTAL, 5, False)
    assert (found.nodes_down, found.counts) == ([], {"broken": 4})


async def test_a_node_that_comes_to_run_what_is_broken_everywhere_is_not_down(view_of: MakeView) -> None:
    rates: dict[str, Rate] = {
        f"{kind} {n}": (lambda n, _: 0.0 if n >= CHANGED else 1.0) if kind == "broken" else (lambda _n, _: 0.98)
        for kind in ("broken", "good")
        for n in range(4)
    }
    mixed = [
        run
        for number, run in enumerate(lab(rates))
        if run.revision == "aaaa" or number % 6 == 0 or (run.station == "node-3") == run.test.startswith("broken")
    ]
    assert (await find_flaky(view_of(mixed), PORTAL, 5, False)).nodes_down == []
