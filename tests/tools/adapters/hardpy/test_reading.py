"""What a stand keeps: read as it comes, whole or not at all; what is not known is said so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from testlab_tools.adapters.hardpy import rows
from testlab_tools.adapters.hardpy.adapter import Settings
from testlab_tools.adapters.hardpy.rows import BrokenRows, NotRows, read_rows
from testlab_tools.adapters.hardpy.store import StateStore
from testlab_tools.errors import BadReply, Conflict, NotFound, Unsupported
from testlab_tools.models.requests import RunQuery, TestOrder

if TYPE_CHECKING:
    from testlab_tools.adapters.hardpy.adapter import HardPy
    from tests.tools.adapters.hardpy.conftest import Panel

DOCUMENTS = [{"_id": str(number), "text": 'é "}],{" \\' * number, "list": [{}, []]} for number in range(5)]
ROWS = {"rows": [{"id": doc["_id"], "doc": doc} for doc in DOCUMENTS], "total_rows": 5}


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
async def test_documents_are_read_however_they_come(size: int, indent: int | None) -> None:
    body = json.dumps(ROWS, ensure_ascii=False, indent=indent).encode()
    assert [row async for row in read_rows(pieces(body, size))] == DOCUMENTS


async def test_a_large_row_that_comes_in_many_pieces_is_decoded_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    decode = rows._decode

    def noted(text: str, at: int) -> Any:
        looked_at.append(len(text) - at)
        return decode(text, at)

    monkeypatch.setattr(rows, "_decode", noted)
    documents = [{"_id": "1", "texts": {f"name{n}": "{}" * 50 for n in range(500)}}, {"_id": "2"}]
    body = json.dumps({"rows": [{"doc": document} for document in documents]}).encode()
    assert [row async for row in read_rows(pieces(body, 256))] == documents
    assert sum(looked_at) < 5 * len(body)


@pytest.mark.parametrize("cut", [30, 100, 200, 280])
async def test_rows_that_break_off_are_not_the_whole(cut: int) -> None:
    body = json.dumps(ROWS).encode()[:cut]
    with pytest.raises(BrokenRows):
        _ = [row async for row in read_rows(pieces(body, 16))]


@pytest.mark.parametrize(
    "body", [b'{"rows":[{"id":1}]}', b'{"rows":[7]}', b'{"rows":[{"doc":[]}]}', b'{"rows":[{"doc":' + b"[" * 100_000]
)
async def test_rows_without_documents_are_broken(body: bytes) -> None:
    with pytest.raises(BrokenRows):
        _ = [row async for row in read_rows(pieces(body, 4096))]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error":"x"}', b"<html>" * 1000, b'{"rows":{}}'])
async def test_anything_else_is_no_list_of_rows(body: bytes) -> None:
    with pytest.raises(NotRows):
        _ = [row async for row in read_rows(pieces(body, 16))]


async def test_who_asks_for_a_run_at_once_shares_one_reading(bench: HardPy, panel: Panel) -> None:
    run_id = (await bench.list_runs(RunQuery(), 1)).runs[0].run_id.rpartition(":")[2]
    before = panel.count("/api/json_data")
    one, other, _ = await asyncio.gather(bench.get_run(run_id), bench.get_run(run_id), bench.get_failures(run_id))
    assert one == other
    assert panel.count("/api/json_data") == before + 1
    await bench.get_run(run_id)
    assert panel.count("/api/json_data") == before + 2


async def test_who_asks_for_a_run_that_ended_while_another_looked_for_it_looks_again(
    bench: HardPy, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = (await bench.list_runs(RunQuery(), 1)).runs[0].run_id.rpartition(":")[2]
    look, looking, ended = vars(StateStore)["_find_run"], asyncio.Event(), asyncio.Event()

    async def find(store: StateStore, wanted: str) -> Any:
        if ended.is_set():
            return await look(store, wanted)
        looking.set()
        await ended.wait()  # this reading has passed the place where the run then is
        return None

    monkeypatch.setattr(StateStore, "_find_run", find)
    early = asyncio.ensure_future(bench.get_run(run_id))
    await looking.wait()
    late = asyncio.ensure_future(bench.get_run(run_id))
    for _ in range(3):
        await asyncio.sleep(0)  # it shares the reading
    ended.set()
    assert (await late).run.run_id.endswith(run_id)
    with pytest.raises(NotFound, match="has no such run"):
        await early


async def test_runs_are_filtered_counted_and_paged_whole(bench: HardPy) -> None:
    every = await bench.list_runs(RunQuery(), 500)
    assert every.total == len(every.runs) == 120
    assert every.by_outcome is not None
    assert sum(every.by_outcome.values()) == 120
    found: list[str] = []
    after = ""
    while True:
        page = await bench.list_runs(RunQuery(), 50, after)
        found += [run.run_id for run in page.runs]
        after = page.runs[-1].position
        if not page.more:
            break
    assert found == [run.run_id for run in every.runs]
    failed = await bench.list_runs(RunQuery(outcome="fail"), 500)
    assert failed.total == every.by_outcome["fail"]
    one = failed.runs[0]
    assert [run.run_id for run in (await bench.list_runs(RunQuery(unit=one.unit), 5)).runs] == [one.run_id]
    assert "must be whole" in (await bench.list_runs(RunQuery(test="fct 2", explain_empty=True), 5)).note
    assert (await bench.list_runs(RunQuery(station="bench"), 1)).total == 120


async def test_a_page_goes_on_where_a_run_has_gone(bench: HardPy, panel: Panel) -> None:
    page = await bench.list_runs(RunQuery(), 10)
    gone = page.runs[-1]
    panel.stand.runs = [run for run in panel.stand.runs if run["_id"] != bench.native(gone.run_id)]
    rest = await bench.list_runs(RunQuery(), 200, gone.position)
    assert len(rest.runs) == 110


async def test_a_status_that_hardpy_does_not_have_is_not_guessed(
    bench: HardPy, documents: list[dict[str, Any]]
) -> None:
    documents[-1]["status"] = "paused"
    listed = await bench.list_runs(RunQuery(), 500)
    assert (len(listed.runs), listed.at_least) == (119, True)
    assert "left out" in listed.note
    with pytest.raises(BadReply, match="How it ended is not known"):
        await bench.get_run(documents[-1]["_id"])


async def test_a_run_that_tested_nothing_is_placed_where_it_ended(
    bench: HardPy, documents: list[dict[str, Any]]
) -> None:
    documents[-1] |= {"start_time": None, "modules": {}, "status": "failed", "alert": "No tests collected", "name": "x"}
    documents[-1].pop("caused_dut_failure_id", None)
    (run,) = (await bench.list_runs(RunQuery(), 1)).runs
    assert (run.outcome, run.reason, run.job_uid) == ("fail", "No tests collected", "")


async def test_measurements_are_told_with_limits_and_unjudged_ones_as_unset(
    bench: HardPy, documents: list[dict[str, Any]]
) -> None:
    rail = documents[-1]["modules"]["test_1_power"]["cases"]["test_rail"]
    rail["measurements"].append({"type": "numeric", "name": "seen", "value": 7, "result": None})
    whole = await bench.get_run(documents[-1]["_id"])
    (case,) = [case for case in whole.cases if case.case == "Power: 5 V rail"]
    assert [(m.name, m.outcome, m.lower, m.upper) for m in case.measurements][1] == ("seen", "unset", None, None)
    assert (case.measurements[0].lower, case.measurements[0].upper) == (4.75, 5.25)
    pages = [page async for page in bench.read_measurements("Final test", "rail_5v")]
    assert sum(len(page.rows) for page in pages) == 120


async def test_of_a_panel_on_couchdb_only_its_state_is_told(bench: HardPy, panel: Panel) -> None:
    panel.stand.store = "couchdb"
    (node,) = await bench.list_nodes()
    assert node.state == "free"
    assert "CouchDB" in node.why
    for asked in (bench.list_runs(RunQuery(), 5), bench.get_node_job("bench"), bench.list_test_cases("current")):
        with pytest.raises(Unsupported, match="CouchDB"):
            await asked
    with pytest.raises(Unsupported):
        await bench.run_tests("bench", TestOrder("current", ("a::b",)))
    assert panel.count("/api/start") == panel.count("/api/collect") == 0


async def test_tests_are_not_collected_while_others_run(bench: HardPy, panel: Panel) -> None:
    assert len(await bench.list_test_cases("current")) == 5
    panel.begin("test_3_operator::test_led")
    assert len(await bench.list_test_cases("current")) == 5
    bench._known_until = 0.0  # pyright: ignore[reportPrivateUsage] - as half a minute later
    with pytest.raises(Conflict):
        await bench.list_test_cases("current")


async def test_what_answers_secrets_is_never_asked(bench: HardPy, panel: Panel) -> None:
    await bench.probe()
    await bench.list_nodes()
    await bench.get_node("bench", detail=True)
    await bench.list_test_cases("current")
    await bench.run_tests("bench", TestOrder("current", ("test_1_power::test_rail",)))
    await bench.list_runs(RunQuery(), 5)
    assert not {"/api/hardpy_config", "/api/couch", "/api/database_document_id", "/api/storage_status"} & {
        path for _, path in panel.asked
    }


async def test_there_is_one_node_and_one_revision(bench: HardPy) -> None:
    with pytest.raises(NotFound, match="bench:bench"):
        await bench.get_node("other")
    with pytest.raises(NotFound, match="'current'"):
        await bench.list_test_cases("main")


@pytest.mark.parametrize("url", ["http://stand.example", "http://192.168.1.7:8000", "http://[fe80::1]:8000"])
def test_plain_http_to_another_machine_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(ValidationError, match="no sign-in"):
        Settings.model_validate({"kind": "hardpy", "url": url})
    assert Settings.model_validate({"kind": "hardpy", "url": url, "allow_insecure": True}).url == url


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000", "https://stand.example"]
)
def test_this_machine_and_https_are_taken(url: str) -> None:
    assert Settings.model_validate({"kind": "hardpy", "url": url}).url == url
