"""Whatever is answered after the work was done, or before it, a write is there once, and nothing else is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.strict.conftest import Strict

PAGE = "<!DOCTYPE html><html><body>Bad gateway</body></html>"
AFTER: list[tuple[int, Any]] = [
    *((status, PAGE) for status in (200, 302, 400, 403, 404, 409, 422, 408, 429, 500, 501, 502, 503, 504, 507, 520)),
    *((status, {"message": "Internal error"}) for status in (404, 429, 500, 503)),
    (200, {}),
    (200, {"status": "ok"}),
    (204, ""),
]
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])
DURABLE = pytest.mark.parametrize("durable", [True, False], ids=["durable", "at once"])
ATML = (
    '<tr:TestResults xmlns:tr="urn:IEEE-1636.1:2011:01:TestResults"><tr:ResultSet ID="1" name="Main" '
    'startDateTime="2024-09-05T08:38:17.115Z" endDateTime="2024-09-05T08:39:17Z"><tr:Outcome value="Passed"/>'
    '</tr:ResultSet><tr:UUT><c:SerialNumber xmlns:c="urn:c">SN-1</c:SerialNumber></tr:UUT></tr:TestResults>'
)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, no_backoff: None) -> None:
    """Without the pauses that are left to a service."""
    monkeypatch.setattr("testlab_tools.adapters.tofupilot.client.LOOKS", (0.0,))
    monkeypatch.setattr("testlab_tools.outbox.delivery.RetrySchedule.pause", lambda self, attempts, error: 0.01)


@pytest.fixture
def serials() -> Iterator[str]:
    return (f"SN-{number}" for number in range(1, 1000))


@DURABLE
@VERSIONS
async def test_a_run_is_recorded_once_whatever_is_answered_after_the_work(
    version: str,
    durable: bool,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    serials: Iterator[str],
    connect: Connect,
    ask: ToolCaller,
) -> None:
    async with connect(strict.config(version, durable)) as client:
        for status, body in AFTER:
            serial = next(serials)
            strict.trouble("POST", f"/api/{version}/runs", status, body)
            created = await ask(client, "create_run", **run_of(serial))
            assert len(strict.of(serial)) == 1, (status, body)
            read = await ask(client, "get_run", run_id=created["run_id"])
            assert (read["run"]["unit"], read["run"]["outcome"]) == (serial, "pass")


@VERSIONS
async def test_a_run_that_is_not_there_is_delivered_once_whatever_was_answered_in_its_place(
    version: str,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    serials: Iterator[str],
    connect: Connect,
    ask: ToolCaller,
) -> None:
    async with connect(strict.config(version, durable=True)) as client:
        for status, body in AFTER:
            serial = next(serials)
            strict.trouble("POST", f"/api/{version}/runs", status, body, after=False)
            created = await ask(client, "create_run", **run_of(serial))
            assert created["run_id"], (status, body)
            assert len(strict.of(serial)) == 1, (status, body)


async def test_v1_without_deliveries_says_that_the_run_is_not_there_and_how_to_go_on(
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    serials: Iterator[str],
    connect: Connect,
    refused: RefusedCaller,
) -> None:
    async with connect(strict.config("v1")) as client:
        for status, body in AFTER:
            serial = next(serials)
            strict.trouble("POST", "/api/v1/runs", status, body, after=False)
            told = await refused(client, "create_run", **run_of(serial))
            assert f"answered {status}, and the run is not there" in told or (
                "did not answer, and the run is not there" in told
            ), (status, body)
            assert strict.of(serial) == []


@DURABLE
@VERSIONS
async def test_a_run_whose_look_up_fails_as_well_is_not_told_as_recorded_nor_as_not(
    version: str,
    durable: bool,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
) -> None:
    async with connect(strict.config(version, durable)) as client:
        strict.trouble("POST", f"/api/{version}/runs", 500, PAGE, times=2)
        strict.trouble("GET", f"/api/{version}/runs", 404, PAGE, times=3)
        if durable:
            created = await ask(client, "create_run", **run_of("SN-1"))
            assert created.get("run_id") or created["queued"]
        else:
            told = await refused(client, "create_run", **run_of("SN-1"))
            assert "is not known: the answer was lost" in told
            assert "Do not record it again before list_runs" in told
    assert len(strict.of("SN-1")) == 1


def attaching(version: str) -> list[tuple[str, str]]:
    """The requests by which a file comes to be with a run."""
    first = "/api/v1/uploads/initialize" if version == "v1" else "/api/v2/runs/"
    last = "/api/v1/uploads/sync" if version == "v1" else "/api/v2/attachments/"
    return [("POST", first), ("PUT", "/store/"), ("POST", last)]


@DURABLE
@VERSIONS
async def test_a_file_is_kept_once_whatever_is_answered_after_the_work_or_said_to_be_in_doubt(
    version: str,
    durable: bool,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    serials: Iterator[str],
    connect: Connect,
    ask: ToolCaller,
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    async with connect(strict.config(version, durable)) as client:
        for method, path in attaching(version):
            for status, body in AFTER:
                if method == "PUT" and status < 300:
                    continue  # it is stored, and the store says so in any words
                serial = next(serials)
                strict.trouble(method, path, status, body)
                created = await ask(client, "create_run", **run_of(serial), attachments=["a.txt"])
                strict.troubles.clear()
                (run,) = strict.of(serial)
                assert len(run["files"]) <= 1, (method, path, status, body)
                note = created.get("note", "")
                if not run["files"]:
                    assert "a.txt" in note or "1 attachments" in note, (method, path, status, body)
                elif "sync" not in path:
                    assert "Not attached" not in note, (method, path, status, body)
                elif status not in (200, 204) or body == PAGE:
                    assert "is not known" in note, (method, path, status, body)


async def test_v1_parks_a_file_that_may_be_there_and_a_person_releases_it(
    strict: Strict, run_of: Callable[..., dict[str, Any]], connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc")
    (tmp_path / "b.txt").write_bytes(b"abcd")
    config = strict.config("v1", durable=True).replace("[server]\n", '[server]\ntoolsets = ["all"]\n')
    async with connect(config) as client:
        strict.trouble("POST", "/api/v1/uploads/sync", 503, PAGE, after=False)
        created = await ask(client, "create_run", **run_of("SN-1"), attachments=["a.txt", "b.txt"])
        (run,) = strict.runs
        assert [file["name"] for file in run["files"]] == ["b.txt"]
        assert "Whether factory keeps a file with the run is not known" in created["note"]
        (parked,) = (await ask(client, "list_deliveries"))["deliveries"]
        assert parked["state"] == "parked"
        await ask(client, "release_delivery", delivery_id=parked["delivery_id"])
    assert sorted(file["name"] for file in run["files"]) == ["a.txt", "b.txt"]


async def test_v2_sends_a_file_again_only_when_the_run_does_not_have_it(
    strict: Strict, run_of: Callable[..., dict[str, Any]], connect: Connect, ask: ToolCaller, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"abc")
    config = strict.config("v2", durable=True).replace("[server]\n", '[server]\ntoolsets = ["all"]\n')
    async with connect(config) as client:
        strict.trouble("PUT", "/store/", 503, "", times=2)
        strict.trouble("PUT", "/store/", 503, "", times=2, after=False)
        await ask(client, "create_run", **run_of("SN-1"), attachments=["a.txt", "b.txt"])
        async with asyncio.timeout(20):
            while not (await ask(client, "list_deliveries"))["delivered"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    files = sorted((file["name"], file["data"]) for file in strict.runs[0]["files"] if file["data"])
    assert files == [("a.txt", b"abc"), ("b.txt", b"abc")]


@VERSIONS
async def test_a_report_is_imported_once_whatever_is_answered_after_the_work(
    version: str,
    strict: Strict,
    serials: Iterator[str],
    connect: Connect,
    ask: ToolCaller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = "/api/v1/import" if version == "v1" else "/api/v2/imports/structured"
    take = strict.answer
    monkeypatch.setattr(strict, "answer", lambda method, target, data: take(method, target, read(data)))
    async with connect(strict.config(version, durable=True)) as client:
        for status, body in AFTER:
            serial = next(serials)
            strict.trouble("POST", path, status, body)
            told = await ask(client, "import_report", content=ATML.replace("SN-1", serial), service="factory")
            assert len(strict.of(serial)) == 1, (status, body)
            (run_id,) = told["run_ids"]
            assert (await ask(client, "get_run", run_id=run_id))["run"]["unit"] == serial


def read(data: bytes) -> bytes:
    """A report as the stand-in reads it: its serial number."""
    if b"SerialNumber" not in data:
        return data
    return json.dumps({"serial": data.partition(b'"urn:c">')[2].partition(b"<")[0].decode()}).encode()


@pytest.mark.parametrize("tool", ["delete_run", "delete_unit"])
@VERSIONS
async def test_a_deletion_is_looked_up_whatever_is_answered(
    version: str,
    tool: str,
    strict: Strict,
    run_of: Callable[..., dict[str, Any]],
    serials: Iterator[str],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    word_for: RefusedCaller,
) -> None:
    async with connect(strict.config(version)) as client:
        for status, body in AFTER:
            for after in (True, False):
                serial = next(serials)
                handle = (await ask(client, "create_run", **run_of(serial)))["run_id"]
                strict.record(serial, passed=False)
                strict.trouble("DELETE", f"/api/{version}/", status, body, after=after)
                arguments = {"run_id": handle} if tool == "delete_run" else {"serial_number": serial}
                arguments |= {"service": "factory"} if tool == "delete_unit" else {}
                confirm = handle if tool == "delete_run" else await word_for(client, tool, **arguments)
                if after:
                    await ask(client, tool, **arguments, confirm=confirm)
                    assert len(strict.of(serial)) == (1 if tool == "delete_run" else 0)
                elif status == 204:
                    strict.troubles.clear()  # the document of no version has it, and no reply of a service is so short
                else:
                    assert "is still there" in await refused(client, tool, **arguments, confirm=confirm), status
                    assert len(strict.of(serial)) == 2


@VERSIONS
async def test_a_sub_unit_is_added_once_whatever_is_answered_after_the_work(
    version: str, strict: Strict, serials: Iterator[str], connect: Connect, ask: ToolCaller
) -> None:
    method = "PATCH" if version == "v1" else "PUT"
    async with connect(strict.config(version)) as client:
        for status, body in AFTER:
            serial, child = next(serials), next(serials)
            strict.record(serial)
            strict.record(child)
            strict.trouble(method, f"/api/{version}/units/", status, body)
            told = await ask(client, "update_unit", serial_number=serial, sub_units=[child])
            assert told["sub_units"] == strict.units[serial]["children"] == [child]


async def test_a_unit_that_was_changed_is_told_so_though_it_cannot_be_read_back(
    strict: Strict, connect: Connect, ask: ToolCaller
) -> None:
    strict.record("SN-1")
    strict.record("SN-2")
    strict.trouble("GET", "/api/v2/units/", 500, PAGE, after=False)
    async with connect(strict.config("v2")) as client:
        told = await ask(client, "update_unit", serial_number="SN-1", sub_units=["SN-2"])
    assert strict.units["SN-1"]["children"] == ["SN-2"]
    assert "All that was asked for was changed; the unit could not be read back" in told["note"]
