"""Lists are whole and without doubles whatever a server makes of limit and offset, and read no further than needed."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.adapters.standcloud.adapter import StandCloud
from testlab_tools.capabilities import Runs
from testlab_tools.errors import BadInput, BadReply, ServiceDown
from testlab_tools.models.requests import RunQuery
from testlab_tools.paging import list_merged

if TYPE_CHECKING:
    from tests.tools.adapters.standcloud.conftest import Server
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, tzinfo=UTC)
MANNERS: dict[str, dict[str, Any]] = {
    "pages": {},
    "ignores both": {"limits": False, "offsets": False},
    "ignores the limit": {"limits": False},
    "ignores the offset": {"offsets": False},
    "gives few where none is asked for": {"unasked": 50},
    "caps pages": {"cap": 50},
    "refuses a large limit": {"refuse_over": 100},
    "refuses any limit": {"refuse_over": 0},
    "takes limit for a key of dut.info": {"limit_is_a_filter": True},
}


async def all_pages(cloud: StandCloud, query: RunQuery, limit: int) -> list[str]:
    """The serial numbers of every page, one after the other."""
    seen: list[str] = []
    after, more = "", True
    while more:
        page: Runs = await cloud.list_runs(query, limit, after)
        assert len(page.runs) <= limit
        seen += [run.unit for run in page.runs]
        after, more = page.runs[-1].position if page.runs else "", page.more
    return seen


def serials(numbers: Any) -> list[str]:
    return [f"SN-{n:05}" for n in numbers]


@pytest.mark.parametrize("manners", MANNERS.values(), ids=MANNERS)
@pytest.mark.parametrize("count", [0, 1, 50, 99, 100, 101, 230])
async def test_every_run_comes_once_newest_first(
    count: int, manners: dict[str, Any], stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    cloud = stand_cloud(server_of(count, **manners))

    assert await all_pages(cloud, RunQuery(), 60) == serials(range(count, 0, -1))
    assert await all_pages(cloud, RunQuery(oldest_first=True), 60) == serials(range(1, count + 1))


@pytest.mark.parametrize("manners", MANNERS.values(), ids=MANNERS)
@pytest.mark.parametrize("since", [0, 90], ids=["all", "since"])
async def test_a_total_is_the_same_whatever_the_limit_and_exact_on_the_last_page(
    since: int, manners: dict[str, Any], stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    cloud = stand_cloud(server_of(230, **manners))
    query = RunQuery(since=START + timedelta(minutes=since))
    count = 230 - max(0, since - 1)
    for limit in (7, 20, 99, 100, 101, 200):
        cursor, last = "", None
        while last is None or cursor:
            page = await list_merged([cloud], query, limit, cursor, "q")
            (last,), cursor = page.services, page.cursor
            assert last.total is not None
            assert last.total <= count if last.at_least else last.total == count
        assert (last.total, last.at_least) == (count, False)


@pytest.mark.parametrize("order", ["newest first", "oldest first", "any"])
async def test_the_order_of_the_server_does_not_matter(
    order: str, stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any], row_of: Callable[..., Any]
) -> None:
    numbers = list(range(1, 251))
    {"newest first": numbers.reverse, "oldest first": numbers.sort, "any": lambda: random.Random(7).shuffle(numbers)}[
        order
    ]()
    cloud = stand_cloud(server_of([row_of(n) for n in numbers]))

    assert await all_pages(cloud, RunQuery(), 40) == serials(range(250, 0, -1))
    assert await all_pages(cloud, RunQuery(oldest_first=True), 40) == serials(range(1, 251))


async def test_runs_of_one_moment_are_not_lost_between_pages(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any], row_of: Callable[..., Any]
) -> None:
    dice = random.Random(7)
    same = [row_of(n, start_time=(START + timedelta(minutes=n // 37)).isoformat()) for n in range(400)]
    same.sort(key=lambda one: (one["start_time"], dice.random()), reverse=True)
    cloud = stand_cloud(server_of(same))

    seen = await all_pages(cloud, RunQuery(), 30)
    assert sorted(seen) == serials(range(400))


async def test_the_newest_of_many_runs_cost_one_page(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    server = server_of(5000)
    page = await stand_cloud(server).list_runs(RunQuery(), 20)

    assert [run.unit for run in page.runs] == serials(range(5000, 4980, -1))
    assert server.asked == [{"limit": "100", "offset": "0"}]
    assert (page.more, page.total, page.at_least) == (True, 100, True)


async def test_a_later_page_goes_on_where_the_one_before_ended(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    server = server_of(5000)
    cloud = stand_cloud(server)
    query = RunQuery(until=START + timedelta(minutes=1000))
    first = await cloud.list_runs(query, 20)
    server.asked.clear()
    second = await cloud.list_runs(query, 20, first.runs[-1].position)

    assert [run.unit for run in second.runs] == serials(range(979, 959, -1))
    assert len(server.asked) == 1


async def test_a_span_of_time_is_read_to_its_beginning_and_counted(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    server = server_of(5000)
    since = START + timedelta(minutes=4700)
    page = await stand_cloud(server).list_runs(RunQuery(since=since), 500)

    assert (page.total, page.at_least, page.more) == (301, False, False)
    assert len(server.asked) == 2
    assert all(set(asked) == {"limit", "offset"} for asked in server.asked), "no parameter for time is documented"


async def test_rows_that_move_up_while_they_are_read_are_not_lost(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    server = server_of(300, shrinks=True)
    page = await stand_cloud(server).list_runs(RunQuery(oldest_first=True), 500)

    units = [run.unit for run in page.runs]
    assert "limit" not in server.asked[-1]
    assert units == serials(range(1, len(server.rows) + 1))


async def test_starts_in_epoch_seconds_are_in_order_too(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Server], row_of: Callable[..., dict[str, Any]]
) -> None:
    rows = [row_of(n, start_time=int((START + timedelta(minutes=n)).timestamp())) for n in range(150)]
    random.Random(7).shuffle(rows)
    assert await all_pages(stand_cloud(server_of(rows)), RunQuery(), 40) == serials(range(149, -1, -1))


async def test_a_list_that_cannot_be_read_to_its_end_is_not_told_as_whole(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any]
) -> None:
    cloud = stand_cloud(server_of(230, offsets=False, cap=100, unasked=50))
    assert len((await cloud.list_runs(RunQuery(), 20)).runs) == 20
    for question in (RunQuery(oldest_first=True), RunQuery(until=START)):
        with pytest.raises(BadReply, match="only a part of its list, and no way to the rest"):
            await cloud.list_runs(question, 20)
    assert [run.unit for run in (await cloud.list_runs(RunQuery(unit="SN-00001"), 20)).runs] == ["SN-00001"]


async def test_a_cursor_of_another_version_is_refused(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Server]
) -> None:
    with pytest.raises(BadInput, match="Leave it out to start again"):
        await stand_cloud(server_of(3)).list_runs(RunQuery(), 20, "2026-11-20T00:00:00+00:00 id")


async def test_a_single_object_is_a_list_of_one(
    origin: Origin, stand_cloud: Callable[..., StandCloud], row_of: Callable[..., dict[str, Any]]
) -> None:
    origin.answers(origin.reply(200, row_of(3)))
    page = await stand_cloud().list_runs(RunQuery(), 20)

    assert [run.unit for run in page.runs] == ["SN-00003"]


async def test_a_body_beyond_the_bound_fails_and_says_what_to_ask_instead(
    stand_cloud: Callable[..., StandCloud], server_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.http.client.MAX_BODY_BYTES", 2**20)
    cloud = stand_cloud(server_of(5000, limits=False))

    with pytest.raises(BadReply, match=r"sent more than 1 MB\. It was cut off\. Ask for less: a shorter span"):
        await cloud.list_runs(RunQuery(), 20)


async def test_a_list_that_does_not_end_in_time_is_an_error_and_not_a_part(
    stand_cloud: Callable[..., StandCloud],
    server_of: Callable[..., Any],
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testlab_tools.adapters.standcloud.client.LIST_SECONDS", 0.3)
    cloud = stand_cloud(server_of(100_000, cap=10), timeout_seconds=2.0)

    with pytest.raises(ServiceDown, match=r"not read to its end .* Narrow the question"):
        await cloud.list_runs(RunQuery(oldest_first=True), 20)
