"""The same failure in other runs: what counts as the same, and what is said of those that cannot be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testlab_tools.capabilities import Failure, FailureArchive, Failures, Health, RunArchive, Runs
from testlab_tools.explain.collect import MAX_READ_RUNS, collect_similar
from testlab_tools.explain.compare import SimilarFailures, count_similar, normalise_first_line
from testlab_tools.models.lab import Case, FailedRun, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail

START = datetime(2026, 11, 20, tzinfo=UTC)


def run(n: int, **fields: Any) -> Run:
    given = {"outcome": "fail", "test": "FCT", "unit": f"SN-{n}", "station": f"S-{n % 2}", **fields}
    return Run(run_id=f"factory:{n}", started_at=START + timedelta(hours=n), **given)


def case(name: str, reason: str = "") -> Case:
    return Case(case=name, outcome="fail", reason=reason)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("rail_5v 5.31 V is above 5.1 V", "rail_5v 5.12 V is above 5.1 V"),
        ("Timed out after 30 s\nmore", "Timed out  after 31.5 s\nother"),
        ("object at 0x7f21bc", "OBJECT at 0xdeadbeef"),
        ("run 0196434de8f77ce1 lost", "run 019643ffe8f77cff lost"),
    ],
)
def test_messages_are_the_same_but_for_their_numbers(one: str, another: str) -> None:
    assert normalise_first_line(one) == normalise_first_line(another)


@pytest.mark.parametrize(
    ("one", "another"), [("No video", "No audio"), ("tuner_lock is False", "eth_link is False"), ("", "No video")]
)
def test_messages_of_other_words_are_not(one: str, another: str) -> None:
    assert normalise_first_line(one) != normalise_first_line(another)


@pytest.mark.parametrize(
    ("own", "other", "alike"),
    [
        (("rails", "rail 5.1 high"), ("rails", "rail 5.9 high"), 1),
        (("rails", "rail 5.1 high"), ("tuner", "rail 5.9 high"), 0),
        (("rails", "rail 5.1 high"), ("rails", "rail lost"), 0),
        (("rails", "rail 5.1 high"), ("rails", ""), 1),
        (("rails", "rail 5.1 high"), ("", "rail 4.9 high"), 1),
        (("rails", "rail 5.1 high"), ("", ""), 0),
        (("rails", ""), ("rails", "anything"), 1),
    ],
)
def test_the_same_is_the_same_step_with_the_same_message_as_far_as_both_are_told(
    own: tuple[str, str], other: tuple[str, str], alike: int
) -> None:
    found = count_similar([Failure(run(1), *other)], run(0), [case(*own)])
    assert (found.failed, found.alike) == (1, alike)


def test_units_stations_and_revisions_are_counted_once_and_the_newest_three_are_named() -> None:
    failures = [Failure(run(n % 7, unit=f"sn-{n % 3}"), "rails", f"high {n}", f"2.{n % 2}.0") for n in range(1, 15)]
    found = count_similar(failures, run(0), [case("rails", "high 0")])
    assert (found.failed, found.alike, found.units, found.stations, found.revisions) == (6, 6, 3, 2, 2)
    assert found.run_ids == ["factory:6", "factory:5", "factory:4"]
    assert (found.first_at, found.last_at) == (run(1).started_at, run(6).started_at)


def test_how_the_list_words_the_runs_own_failure_is_what_others_are_compared_with() -> None:
    failures = [Failure(run(n), "rails", f"rail_5v above 5.{n}") for n in range(3)]
    found = count_similar(failures, run(0), [case("rails", "rail_5v = 5.31 failed x <= 5.1")])
    assert (found.failed, found.alike) == (2, 2)


async def same_failure(archive: RunArchive, run: Run, cases: list[Case]) -> SimilarFailures:
    similar = await collect_similar(archive, run)
    return count_similar(similar.failures, run, cases, similar.more)


class Shelf(RunArchive):
    """Failed runs of one test, told without their cases in lists; half of the runs failed in `rails`."""

    kind = "shelf"

    def __init__(self, count: int) -> None:
        super().__init__("factory")
        self.count = count
        self.read: list[str] = []
        self.queries: list[RunQuery] = []

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        self.queries.append(query)
        return Runs([run(n) for n in range(self.count)] if query.outcome == "fail" else [], more=False)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        self.read.append(run_id)
        n = int(run_id)
        return [FailedRun(**run(n).model_dump(), cases=[case("rails" if n % 2 else "tuner", f"high {n}")])]

    async def probe(self) -> Health:
        return Health(self.name)

    async def get_run(self, run_id: str) -> RunDetail:
        raise AssertionError("not asked for")


class Drawer(Shelf, FailureArchive):
    """The same, with a list of failures."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        self.queries.append(query)
        found = [Failure(run(n), "rails" if n % 2 else "tuner", f"high {n}") for n in range(self.count)]
        return Failures(found, self.count, more=True)


async def test_where_lists_do_not_say_what_failed_the_newest_runs_are_read_and_the_rest_is_said() -> None:
    shelf = Shelf(40)
    found = await same_failure(shelf, run(0), [case("rails", "high 5")])
    assert sorted(map(int, shelf.read)) == list(range(40 - MAX_READ_RUNS, 40))
    assert (found.failed, found.alike) == (39, MAX_READ_RUNS // 2)
    assert f"What failed in {39 - MAX_READ_RUNS} of them is not told" in found.note


async def test_a_service_that_lists_failures_is_asked_once_for_the_time_around_the_run() -> None:
    drawer = Drawer(40)
    found = await same_failure(drawer, run(1), [])
    assert (found.failed, found.alike, drawer.read) == (39, 19, [])
    assert "there are more" in found.note
    (query,) = drawer.queries
    assert query.since
    assert query.until
    assert query.since < run(1).started_at < query.until


async def test_other_tests_of_a_similar_name_do_not_count() -> None:
    shelf = Shelf(5)
    found = await same_failure(shelf, run(0, test="FC"), [case("rails", "high 5")])
    assert (found.failed, found.alike) == (0, 0)
