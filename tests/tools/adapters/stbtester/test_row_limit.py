"""Lists and reports go past the portal's limit of rows, whatever order it gives to runs that began at one moment."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testlab_tools.adapters.stbtester.adapter import StbTester
from testlab_tools.errors import BadReply
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, tzinfo=UTC)
LIMIT = 10


class Rows:
    """A portal's results. It lists the first LIMIT that match the dates of a filter, and looks at nothing else in it.

    `seconds` says when each began; those of one moment come in any order, another each time.
    """

    def __init__(self, seconds: list[float]) -> None:
        self.dice = random.Random(7)
        self.rows = [
            {
                "result_id": f"/{'rare' if n % 7 == 0 else 'node'}/0/{n}/x",
                "job_uid": f"/node/0/{n}",
                "start_time": (START + timedelta(seconds=second)).isoformat(),
                "test_case": "tests/a.py::test",
                "result": "pass",
            }
            for n, second in enumerate(seconds)
        ]

    async def answer(self, asked: Any) -> bytes:
        target = urlsplit(asked.target)
        if target.path.endswith("/nodes"):
            return self.reply(200, [{"node_id": node, "available": True, "online": True} for node in ("rare", "node")])
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        found = [row for row in self.rows if all(holds(term, row) for term in query.get("filter", "").split())]
        self.dice.shuffle(found)
        found.sort(key=lambda row: row["start_time"], reverse=query["sort"] == "date:desc")
        page = found[:LIMIT]
        if not target.path.endswith(".csv"):
            return self.reply(200, page)
        return self.reply(200, "".join(["id\r\n", *(f"{row['result_id']}\r\n" for row in page)]).encode())

    reply: Callable[..., bytes]


def holds(term: str, row: dict[str, str]) -> bool:
    """Dates as the portal documents them: one that is precise to the second stands for the whole of it."""
    found = re.fullmatch(r"date:(>=|<=|>|<)(.*)", term)
    if found is None:
        return True
    first = datetime.fromisoformat(found[2])
    last = first if "." in found[2] else first + timedelta(microseconds=999_999)
    start = datetime.fromisoformat(row["start_time"])
    return {">=": start >= first, "<=": start <= last, ">": start > last, "<": start < first}[found[1]]


SPREADS = {
    "one each second": [float(n) for n in range(60)],
    "two at once": [float(n // 2) for n in range(60)],
    "nine at once": [5.0 * (n // 9) for n in range(60)],
    "nine at once, the rest apart": [0.25] * 9 + [5.0 + n for n in range(40)],
}
CROWDED = {"within one second": [n / 1000 for n in range(60)], "nine each second": [float(n // 9) for n in range(60)]}


@pytest.fixture
def portal(origin: Origin, client_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., StbTester]:
    for module in ("runs", "export"):
        monkeypatch.setattr(f"testlab_tools.adapters.stbtester.{module}.ROW_LIMIT", LIMIT)

    def made(rows: Rows) -> StbTester:
        rows.reply = origin.reply
        origin.answer = rows.answer
        return StbTester("portal", client_of(origin.url))

    return made


async def walked(portal: StbTester, query: RunQuery, limit: int) -> list[str]:
    seen: list[str] = []
    after = ""
    while True:
        page = await portal.list_runs(query, limit, after)
        seen += [run.run_id.removeprefix("portal:") for run in page.runs]
        if not page.more:
            return seen
        assert page.runs, "a page that others follow is not empty"
        after = page.runs[-1].position


@pytest.mark.parametrize("limit", [1, 3, 9, 25])
@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("spread", SPREADS)
async def test_pages_hold_every_run_once_and_in_order(
    spread: str, oldest_first: bool, limit: int, portal: Callable[..., StbTester]
) -> None:
    rows = Rows(SPREADS[spread])
    seen = await walked(portal(rows), RunQuery(oldest_first=oldest_first), limit)

    starts = {row["result_id"]: row["start_time"] for row in rows.rows}
    assert sorted(seen) == sorted(starts)
    assert [starts[run] for run in seen] == sorted(starts.values(), reverse=not oldest_first)


async def test_runs_that_few_rows_of_a_list_match_are_found_all_the_same(portal: Callable[..., StbTester]) -> None:
    rows = Rows(SPREADS["two at once"])
    seen = await walked(portal(rows), RunQuery(station="rare"), 4)

    assert sorted(seen) == sorted(row["result_id"] for row in rows.rows if row["result_id"].startswith("/rare/"))


@pytest.mark.parametrize("spread", [*SPREADS, *CROWDED])
async def test_a_report_holds_every_run_once(spread: str, portal: Callable[..., StbTester]) -> None:
    rows, written = Rows({**SPREADS, **CROWDED}[spread]), bytearray()

    async def write(data: bytes) -> None:
        written.extend(data)

    facts = await portal(rows).export_runs(RunQuery(until=START + timedelta(hours=1)), "csv", write)
    header, *ids = written.decode().split()
    assert header == "id"
    assert sorted(ids) == sorted(row["result_id"] for row in rows.rows)
    assert (facts.runs, facts.listed) == (len(ids), len(ids))
    assert facts.pages > 4


async def test_a_list_that_cannot_go_on_says_so(portal: Callable[..., StbTester]) -> None:
    """Its positions are sent to the second: not all portals may read more. 2,000 runs never begin in one."""
    with pytest.raises(BadReply, match=r"no more than 10 results at a time.*Narrow the question"):
        await walked(portal(Rows(CROWDED["within one second"])), RunQuery(), 3)


async def test_more_runs_at_one_moment_than_a_list_holds_are_told_and_not_left_out(
    portal: Callable[..., StbTester],
) -> None:
    async def write(data: bytes) -> None:
        pass

    full = portal(Rows([0.0] * (LIMIT + 1)))
    with pytest.raises(BadReply, match="no more than 10 results at a time"):
        await full.list_runs(RunQuery(), 5)
    with pytest.raises(BadReply, match="no more than 10 results at a time"):
        await full.export_runs(RunQuery(), "csv", write)


async def test_a_report_that_differs_from_the_list_is_told_by_its_counts(
    portal: Callable[..., StbTester], origin: Origin
) -> None:
    rows = Rows([1.0, 2.0, 3.0])
    made = portal(rows)

    async def fewer(asked: Any) -> bytes:
        return origin.reply(200, b"id\r\n1\r\n2\r\n") if ".csv" in asked.target else await rows.answer(asked)

    async def write(data: bytes) -> None:
        pass

    origin.answer = fewer
    assert (await made.export_runs(RunQuery(), "csv", write))[:3] == (2, 3, 1)
