"""What the lists of runs, phases and measurements of v2 are asked, and what is made of odd replies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from testlab_tools.adapters.tofupilot.adapter import TofuPilotV2
from testlab_tools.errors import NotFound
from testlab_tools.models.requests import RunQuery

if TYPE_CHECKING:
    from tests.tools.conftest import Origin

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
PROCEDURES = ("p-1", "p-2")


def run_id(n: int) -> str:
    return f"0196434d-e8f7-7ce1-81f7-0000{n:08}"


def run(n: int, **fields: Any) -> dict[str, Any]:
    began = START - timedelta(minutes=n)
    return {
        "id": run_id(n),
        "started_at": began.isoformat(),
        "ended_at": (began + timedelta(seconds=50)).isoformat(),
        "outcome": "FAIL",
        "procedure": {"id": PROCEDURES[n % 2], "name": f"Test {n % 2}", "version": {"id": "v", "tag": "1.0"}},
        "unit": {"id": "u", "serial_number": f"SN-{n}", "sample": None},
        **fields,
    }


def phase(n: int, **fields: Any) -> dict[str, Any]:
    row = {"id": f"ph-{n}", "name": "power", "outcome": "FAIL", "retry_count": 0, "is_final_attempt": True}
    return {**row, "run_id": run_id(n), "started_at": run(n)["started_at"], **fields}


def measurement(n: int, **fields: Any) -> dict[str, Any]:
    row = {"id": f"m-{n}", "phase_name": "power", "measurement_name": "rail", "measurement_outcome": "FAIL"}
    return {**row, "run_id": run_id(n), "value": n, "started_at": run(n)["started_at"], **fields}


class Server:
    """Its lists by noun, in pages of `page` rows: `/v2/phases` and `/v2/measurements` give a procedure's."""

    def __init__(self, page: int, **rows: list[dict[str, Any]]) -> None:
        self.page = page
        self.rows = {"runs": [], "phases": [], "measurements": [], "logs": [], **rows}
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    async def answer(self, asked: Any) -> bytes:
        target = urlsplit(asked.target)
        noun, query = target.path.rpartition("/")[2], parse_qs(target.query)
        self.asked.append((noun, query))
        rows = self.rows[noun]
        if wanted := query.get("procedure_id"):
            rows = [row for row in rows if PROCEDURES[int(row["run_id"][-8:]) % 2] == wanted[0]]
        at = int(query.get("cursor", ["0"])[0])
        after = at + self.page if at + self.page < len(rows) else None
        meta = {"has_more": after is not None, "next_cursor": after}
        return self.reply(200, {"data": rows[at : at + self.page], "meta": meta})

    reply: Callable[..., bytes]

    def queries(self, *nouns: str) -> list[dict[str, list[str]]]:
        return [query for noun, query in self.asked if noun in nouns]


@pytest.fixture
def factory(origin: Origin, client_of: Callable[..., Any]) -> Callable[[Server], TofuPilotV2]:
    def made(server: Server) -> TofuPilotV2:
        server.reply = origin.reply
        origin.answer = server.answer
        return TofuPilotV2("factory", client_of(origin.url))

    return made


async def test_every_list_of_phases_or_measurements_says_what_of_retries(factory: Callable[..., TofuPilotV2]) -> None:
    numbers = range(130)
    server = Server(40, runs=[run(n) for n in numbers], phases=[phase(n) for n in numbers])
    found = await factory(server).list_failures(RunQuery(), 200)
    asked = server.queries("phases", "measurements")
    assert [query["exclude_retries"] for query in asked] == [["true"]] * len(asked)
    assert {query["procedure_id"][0] for query in asked} == set(PROCEDURES)
    assert (found.runs, len(found.failures), len(asked)) == (130, 130, 6)


async def test_attempts_before_the_last_are_left_out_by_whatever_server(factory: Callable[..., TofuPilotV2]) -> None:
    early = phase(0, id="ph-early", is_final_attempt=False)
    last = phase(0, retry_count=2)
    values = [measurement(0, id="m-early", value=9, is_final_attempt=False), measurement(0, value=7)]
    found = await factory(Server(9, runs=[run(0)], phases=[early, last], measurements=values)).list_failures(
        RunQuery(), 5
    )
    (failure,) = found.failures
    assert (failure.case, failure.reason, failure.retried, failure.revision) == ("power", "rail is 7", 2, "1.0")


async def test_rows_that_have_moved_to_the_next_page_count_once(factory: Callable[..., TofuPilotV2]) -> None:
    runs, phases = [run(n) for n in (0, 2, 2, 4)], [phase(n) for n in (0, 2, 2, 4)]
    values = [measurement(n) for n in (0, 2, 2, 4)]
    found = await factory(Server(2, runs=runs, phases=phases, measurements=values)).list_failures(RunQuery(), 50)
    assert [(f.run.run_id, f.reason) for f in found.failures] == [
        (f"factory:{run_id(0)}", "rail is 0"),
        (f"factory:{run_id(2)}", "rail is 2"),
        (f"factory:{run_id(4)}", "rail is 4"),
    ]
    assert (found.runs, found.more) == (3, False)


@pytest.mark.parametrize(("count", "named"), [(100, 50), (102, 0)])
async def test_few_units_are_named_in_the_question_and_many_are_not(
    count: int, named: int, factory: Callable[..., TofuPilotV2]
) -> None:
    server = Server(200, runs=[run(n) for n in range(count)])
    await factory(server).list_failures(RunQuery(), 200)
    assert {len(query.get("serial_numbers", [])) for query in server.queries("phases", "measurements")} == {named}


async def test_the_span_holds_the_starts_of_runs_and_of_their_phases(factory: Callable[..., TofuPilotV2]) -> None:
    server = Server(9, runs=[run(0), run(60)])
    await factory(server).list_failures(RunQuery(since=START - timedelta(days=9), until=START + timedelta(hours=2)), 9)
    for query in server.queries("phases", "measurements"):
        assert query["started_after"] == ["2026-11-20T06:59:59.000Z"]
        assert query["started_before"] == ["2026-11-20T08:00:51.000Z"]


async def test_logs_are_asked_for_many_runs_at_once_and_only_for_those_that_need_them(
    factory: Callable[..., TofuPilotV2],
) -> None:
    numbers = range(120)
    phases = [phase(n) for n in numbers if n != 7]
    explained = [measurement(n) for n in numbers if n % 10 and n != 7]
    line = {"level": "ERROR", "created_at": START.isoformat(), "source_file": None, "line_number": None}
    logs = [{**line, "message": text, "run": {"id": run_id(7)}} for text in ("first", "last")]
    server = Server(200, runs=[run(n) for n in numbers], phases=phases, measurements=explained, logs=logs)
    found = await factory(server).list_failures(RunQuery(), 200)
    (query,) = server.queries("logs")
    assert sorted(query["run_ids"]) == sorted(run_id(n) for n in numbers if n % 10 == 0 or n == 7)
    assert query["levels"] == ["ERROR", "CRITICAL"]
    assert [(f.case, f.reason) for f in found.failures if f.run.run_id == f"factory:{run_id(7)}"] == [("", "last")]


async def test_a_server_that_does_not_list_phases_is_told_so(
    origin: Origin, factory: Callable[..., TofuPilotV2]
) -> None:
    server = Server(9, runs=[run(0)])
    made = factory(server)

    async def without(asked: Any) -> bytes:
        return origin.reply(404) if "/phases" in asked.target else await server.answer(asked)

    origin.answer = without
    with pytest.raises(NotFound, match=r"no such list of phases.*get_failed_cases explains runs one by one"):
        await made.list_failures(RunQuery(), 5)


async def test_a_phase_that_does_not_say_when_it_began_is_told_all_the_same(
    factory: Callable[..., TofuPilotV2],
) -> None:
    rows = [phase(0, started_at=None)]
    (failure,) = (await factory(Server(9, runs=[run(0)], phases=rows)).list_failures(RunQuery(), 5)).failures
    assert failure.case == "power"
