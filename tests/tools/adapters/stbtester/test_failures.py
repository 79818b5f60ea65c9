"""The failures of many results: each row says all, and no list is longer than the portal's limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testlab_tools.adapters.stbtester.adapter import StbTester
from testlab_tools.errors import NotFound, ServiceDown, Unsupported
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, tzinfo=UTC)
LIMIT = 10
CYCLE = ("pass", "fail", "pass", "error", "pass", "pass", "fail")


def result(n: int) -> dict[str, Any]:
    outcome = CYCLE[n % len(CYCLE)]
    return {
        "result_id": f"/node-{n % 2}/0/{n}/x",
        "job_uid": f"/node-{n % 2}/0/{n}",
        "start_time": (START - timedelta(minutes=n)).isoformat(),
        "end_time": (START - timedelta(minutes=n) + timedelta(seconds=30)).isoformat(),
        "test_case": f"tests/a.py::test_{n % 3}",
        "test_pack_sha": f"{n:040x}",
        "result": outcome,
        "failure_reason": None if outcome == "pass" else f"No\u202e match {n}",
    }


@pytest.fixture
def asked() -> list[str]:
    """The filters that the portal was asked."""
    return []


@pytest.fixture
def portal(
    origin: Origin, client_of: Callable[..., Any], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., StbTester]:
    """A portal with so many results, one a minute; its lists are cut after LIMIT rows."""
    monkeypatch.setattr("testlab_tools.adapters.stbtester.runs.ROW_LIMIT", LIMIT)

    def made(count: int) -> StbTester:
        rows = [result(n) for n in range(count)]

        async def answer(request: Any) -> bytes:
            target = urlsplit(request.target)
            if target.path.endswith("/nodes"):
                return origin.reply(200, [{"node_id": "node-1", "available": True, "online": True}])
            query = parse_qs(target.query)
            terms = query.get("filter", [""])[0].split()
            asked.append(query["sort"][0] + " " + " ".join(terms))
            return origin.reply(200, [row for row in rows if all(holds(term, row) for term in terms)][:LIMIT])

        origin.answer = answer
        return StbTester("portal", client_of(origin.url))

    return made


def holds(term: str, row: dict[str, Any]) -> bool:
    key, _, value = term.replace('"', "").partition(":")
    if key == "date":
        moment = datetime.fromisoformat(value.lstrip("<>="))
        start = datetime.fromisoformat(row["start_time"])
        return start <= moment if value.startswith("<=") else start >= moment
    return value in {"result": row["result"], "testcase": row["test_case"], "node": row["result_id"]}[key]


def failing(count: int) -> list[int]:
    return [n for n in range(count) if CYCLE[n % len(CYCLE)] != "pass"]


async def test_a_result_that_did_not_pass_is_a_failure_with_its_reason_and_its_commit(
    portal: Callable[..., StbTester],
) -> None:
    found = await portal(4).list_failures(RunQuery(), 10)
    told = [(f.run.run_id, f.run.outcome, f.case, f.reason, f.revision, f.retried) for f in found.failures]
    assert told == [
        ("portal:/node-1/0/1/x", "fail", "tests/a.py::test_1", "No match 1", f"{1:040x}", 0),
        ("portal:/node-1/0/3/x", "error", "tests/a.py::test_0", "No match 3", f"{3:040x}", 0),
    ]
    run = found.failures[0].run
    assert (run.test, run.station, run.job_uid, run.duration_s) == (
        "tests/a.py::test_1",
        "node-1",
        "portal:/node-1/0/1",
        30,
    )
    assert (found.runs, found.more, found.unread) == (2, False, 0)


@pytest.mark.parametrize("limit", [1, 7, 12, 25])
async def test_the_newest_are_found_past_the_limit_of_rows(limit: int, portal: Callable[..., StbTester]) -> None:
    found = await portal(70).list_failures(RunQuery(), limit)
    wanted = [f"portal:/node-{n % 2}/0/{n}/x" for n in failing(70)]
    assert [failure.run.run_id for failure in found.failures] == wanted[:limit]
    assert (found.runs, found.more) == (limit, True)


async def test_all_are_told_when_there_are_no_more(portal: Callable[..., StbTester]) -> None:
    found = await portal(70).list_failures(RunQuery(), 200)
    assert (len(found.failures), found.more) == (len(failing(70)), False)


async def test_where_one_list_ends_early_nothing_beyond_it_is_told(
    portal: Callable[..., StbTester], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures are twice as many as errors, so their list reaches less far back."""
    monkeypatch.setattr("testlab_tools.adapters.stbtester.runs.REQUESTS", 1)
    found = await portal(140).list_failures(RunQuery(), 200)
    wanted = [f"portal:/node-{n % 2}/0/{n}/x" for n in failing(140)]
    assert [failure.run.run_id for failure in found.failures] == wanted[: len(found.failures)]
    assert 9 < found.runs < len(wanted)
    assert found.more


async def test_the_question_goes_into_the_search(portal: Callable[..., StbTester], asked: list[str]) -> None:
    query = RunQuery(test="test_1", station="node-1", outcome="error", oldest_first=True)
    found = await portal(70).list_failures(query, 50)
    assert found.failures
    assert {(f.case, f.run.station, f.run.outcome) for f in found.failures} == {
        ("tests/a.py::test_1", "node-1", "error")
    }
    assert {request.partition(" date:")[0] for request in asked} == {
        'date:desc result:error node:"node-1" testcase:"test_1"'
    }


async def test_what_results_do_not_carry_or_know_is_said(portal: Callable[..., StbTester]) -> None:
    with pytest.raises(Unsupported, match="serial number or part"):
        await portal(1).list_failures(RunQuery(unit="SN-1"), 5)
    with pytest.raises(NotFound, match="no node of that name"):
        await portal(1).list_failures(RunQuery(station="node-9"), 5)


async def test_nothing_failed_is_an_empty_answer_and_an_outage_is_not(
    portal: Callable[..., StbTester], origin: Origin
) -> None:
    made = portal(1)
    assert await made.list_failures(RunQuery(), 5) == ([], 0, False, 0)
    origin.answers(origin.reply(500))
    with pytest.raises(ServiceDown):
        await made.list_failures(RunQuery(), 5)
