"""Failed cases of many runs: newest first, several at a time, a bounded number, and nothing uncounted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.errors import AuthError, ServiceDown
from testlab_tools.http import RetryPolicy
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server
    from tests.tools.conftest import Origin

Made = Callable[..., StandCloud]
ONCE = RetryPolicy(attempts=1)


@pytest.fixture
def failing(origin: Origin, server_of: Callable[..., Server]) -> Callable[..., list[str]]:
    """A server of so many runs (every third failed) whose failed cases `answer` gives; lists the runs asked for."""

    def put(rows: int, answer: Callable[[int], Any]) -> list[str]:
        server, asked = server_of(rows), list[str]()

        async def reply(request: Any) -> bytes | None:
            request.reply = origin.reply
            if "/failed_case" not in request.target:
                return await server(request)
            run = request.target.split("/")[-2]
            asked.append(run)
            told = answer(UUID(run).int)
            return await told if asyncio.iscoroutine(told) else origin.reply(200, told)

        origin.answer = reply
        return asked

    return put


def case(number: int) -> list[dict[str, Any]]:
    return [{"name": f"case {number}", "assertion_msg": "too low", "attempt": 2}]


async def test_each_failed_run_is_told_with_its_cases(stand_cloud: Made, failing: Callable[..., list[str]]) -> None:
    failing(30, lambda n: [] if n == 27 else [*case(n), {"name": "rail"}])
    found = await stand_cloud().list_failures(RunQuery(), 4)

    told = [(failure.run.unit, failure.case, failure.reason, failure.retried) for failure in found.failures]
    assert told[:3] == [
        ("SN-00030", "case 30", "too low", 1),
        ("SN-00030", "rail", "", 0),
        ("SN-00027", "", "", 0),
    ]
    assert (found.runs, found.more, found.unread) == (4, True, 0)


async def test_only_the_newest_hundred_are_read_and_the_rest_counted(
    stand_cloud: Made, failing: Callable[..., list[str]], origin: Origin
) -> None:
    asked = failing(900, case)
    found = await stand_cloud(max_concurrency=6).list_failures(RunQuery(), 150)

    assert (found.runs, found.more, found.unread) == (150, True, 50)
    assert sorted(UUID(run).int for run in asked) == list(range(603, 901, 3))
    assert [failure.case for failure in found.failures[98:102]] == ["case 606", "case 603", "", ""]
    assert origin.most_open <= 6


async def test_they_are_read_at_the_same_time(
    stand_cloud: Made, failing: Callable[..., list[str]], origin: Origin
) -> None:
    async def answer(n: int) -> bytes:
        await origin.until(lambda: origin.most_open == 5)
        return origin.reply(200, case(n))

    failing(60, answer)
    found = await stand_cloud(max_concurrency=5).list_failures(RunQuery(), 50)
    assert (len(found.failures), found.unread) == (20, 0)


async def test_one_run_that_cannot_be_read_is_counted_and_hides_no_other(
    stand_cloud: Made, failing: Callable[..., list[str]], origin: Origin
) -> None:
    async def broken() -> bytes:
        return origin.reply(500)

    failing(30, lambda n: broken() if n == 27 else case(n))
    found = await stand_cloud(retry=ONCE).list_failures(RunQuery(), 50)
    assert (found.runs, found.unread, len(found.failures)) == (10, 1, 10)
    assert next(f for f in found.failures if f.run.unit == "SN-00027").case == ""


async def test_one_that_does_not_answer_does_not_hold_up_the_rest(
    stand_cloud: Made, failing: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.adapters.standcloud.runs.CASES_SECONDS", 1.0)

    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    failing(30, lambda n: never() if n == 27 else case(n))
    found = await stand_cloud(timeout_seconds=30.0).list_failures(RunQuery(), 50)
    assert (found.runs, found.unread) == (10, 1)


@pytest.mark.parametrize(("status", "error"), [(500, ServiceDown), (401, AuthError)])
async def test_when_none_can_be_read_that_is_an_error(
    status: int, error: type[Exception], stand_cloud: Made, failing: Callable[..., list[str]], origin: Origin
) -> None:
    async def refused() -> bytes:
        return origin.reply(status)

    failing(30, lambda _: refused())
    with pytest.raises(error):
        await stand_cloud(retry=ONCE).list_failures(RunQuery(), 50)


async def test_nothing_failed_asks_for_no_cases(stand_cloud: Made, failing: Callable[..., list[str]]) -> None:
    asked = failing(2, case)
    found = await stand_cloud().list_failures(RunQuery(), 50)
    assert (found.failures, found.runs, found.more, found.unread, asked) == ([], 0, False, 0, [])
