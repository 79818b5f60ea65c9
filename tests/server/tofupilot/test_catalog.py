"""list_catalog: the procedures, parts, batches and stations there are; enough to record a run, and no station's key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

KINDS = ("procedures", "parts", "batches", "stations")


async def walked(client: Client, ask: ToolCaller, limit: int, **arguments: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await ask(client, "list_catalog", limit=limit, cursor=cursor, **arguments)
        found += page["found"]
        cursor = page.get("cursor", "")
        if not cursor:
            return found
        assert len(page["found"]) == limit
        assert "More follow" in page["note"]


async def test_a_procedure_from_the_list_is_one_that_create_run_takes(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    serial = factory.serial()
    async with connect(factory.config("v2")) as client:
        page = await ask(client, "list_catalog")
        procedure = next(entry for entry in page["found"] if entry["name"] == "Main board FCT")
        arguments = {"serial_number": serial, "outcome": "pass", "part_number": "UT"}
        await ask(client, "create_run", procedure_id=procedure["id"], **arguments)
        plan = await ask(
            client,
            "import_report",
            content='<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>',
            dry_run=True,
            procedure_id=procedure["id"],
            serial_number=serial,
        )
    assert procedure["id"] == f"factory:{factory.procedure}"
    assert [run["procedure"]["name"] for run in factory.runs(serial)] == ["Main board FCT"]
    assert plan["plan"]["procedure"] == factory.procedure
    assert page["next"] == "create_run takes the id."
    assert "name" in page["untrusted"]


async def test_few_procedures_are_told_with_runs_version_and_stations(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    at = {"started_at": "2031-03-01T08:00:00Z", "ended_at": "2031-03-01T08:01:00Z"}
    factory.record(factory.serial(), procedure_version="9.9.1", **at)
    whole = factory.get(f"/v2/procedures/{factory.procedure}")
    factory.clear()
    async with connect(factory.config("v2")) as client:
        (entry,) = (await ask(client, "list_catalog", search="main BOARD"))["found"]
    assert (entry["name"], entry["runs"], entry["version"]) == ("Main board FCT", whole["runs_count"], "9.9.1")
    assert entry["stations"] == [station["name"] for station in whole["stations"]] != []
    assert factory.asked("GET", "/api") == 3


async def test_many_procedures_are_told_by_name_alone_and_the_note_says_so(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    names = [f"Many {n}" for n in range(7)]
    for name in names:
        factory.post("/v2/procedures", name=name)
    factory.clear()
    async with connect(factory.config("v2")) as client:
        page = await ask(client, "list_catalog", search="Many")
        assert factory.asked("GET", "/api") == 1
        assert sorted(entry["name"] for entry in page["found"]) == names
        assert all(set(entry) == {"id", "name"} for entry in page["found"])
        assert "search for 5 or fewer tells their runs" in page["note"]
        (new,) = (await ask(client, "list_catalog", search="Many 3"))["found"]
    assert (new["runs"], new.get("version"), new.get("stations")) == (0, None, None)


async def test_parts_are_told_with_their_revisions(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    part = f"PN-{factory.serial()}"
    for revision in ("A", "B"):
        factory.record(factory.serial(), part_number=part, revision_number=revision)
    async with connect(factory.config("v2")) as client:
        page = await ask(client, "list_catalog", kind="parts", search=part)
    (entry,) = page["found"]
    assert (entry["number"], sorted(entry["revisions"])) == (part, ["A", "B"])
    assert "id" not in entry


async def test_a_batch_is_told_with_its_units(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    batch, serials = f"LOT-{factory.serial()}", [factory.serial() for _ in range(3)]
    for serial in serials:
        factory.record(serial, batch_number=batch)
    async with connect(factory.config("v2")) as client:
        (entry,) = (await ask(client, "list_catalog", kind="batches", search=batch))["found"]
        assert (entry["number"], entry["units"], sorted(entry["serial_numbers"])) == (batch, 3, serials)
        large = await ask(client, "list_catalog", kind="batches", search="LOT-2614")
        some = await ask(client, "list_catalog", kind="batches", search="LOT-26")
    (entry,) = large["found"]
    assert (entry["units"], len(entry["serial_numbers"])) == (156, 50)
    assert "The first 50 of 156 serial numbers." in large["note"]
    assert len(some["found"]) > 10
    assert all(set(entry) == {"number", "units"} for entry in some["found"])


async def test_serial_numbers_of_a_batch_are_sanitized(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    batch = f"LOT-{factory.serial()}"
    factory.record(factory.serial(), batch_number=batch)
    body = factory.get(f"/v2/batches/{batch}")
    body["units"][0]["serial_number"] = "SN\x1b[31m-\u202e<b>" + 3_000 * "9"
    factory.fault(action="status", status=200, body=body, path_prefix=f"/api/v2/batches/{batch}", times=0)
    async with connect(factory.config("v2")) as client:
        (entry,) = (await ask(client, "list_catalog", kind="batches", search=batch))["found"]
    (serial,) = entry["serial_numbers"]
    assert serial.startswith("SN-<b>999")
    assert len(serial) == 2_000


async def test_stations_are_told_with_their_procedures_and_without_their_keys(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    listed = factory.get("/v2/stations")["data"]
    keys = [factory.get(f"/v2/stations/{station['id']}")["api_key"] for station in listed]
    assert all(keys)
    factory.clear()
    async with connect(factory.config("v2")) as client:
        result = await client.call_tool("list_catalog", {"kind": "stations", "limit": 100})
        runs = await ask(client, "list_runs", station=result.structured_content["found"][0]["id"], limit=1)
    said = json.dumps(result.model_dump(mode="json"))
    assert [key for key in keys if key in said] == []
    assert "api_key" not in said
    found = result.structured_content["found"]
    assert {entry["id"]: (entry["name"], entry.get("procedures", [])) for entry in found} == {
        f"factory:{station['id']}": (station["name"], [p["name"] for p in station["procedures"]]) for station in listed
    }
    assert factory.asked("GET", "/api/v2/stations/") == 0
    assert runs["runs"][0]["station"] == found[0]["name"]


@pytest.mark.parametrize("kind", KINDS)
async def test_pages_hold_everything_once(kind: str, factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    wanted = factory.get(f"/v2/{kind}?limit=100")
    assert not wanted["meta"]["has_more"]
    async with connect(factory.config("v2")) as client:
        found = await walked(client, ask, 2, kind=kind)
        assert await walked(client, ask, 100, kind=kind, search="no such thing") == []
    named = [entry.get("id", "").partition(":")[2] or entry["number"] for entry in found]
    assert named == [row["id" if kind in ("procedures", "stations") else "number"] for row in wanted["data"]]
    assert len(named) > 1


async def test_a_cursor_of_other_arguments_is_refused(
    factory: Factory, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(factory.config("v2")) as client:
        cursor = (await ask(client, "list_catalog", kind="stations", limit=2))["cursor"]
        for arguments in (
            {"kind": "parts", "limit": 2, "cursor": cursor},
            {"kind": "stations", "limit": 3, "cursor": cursor},
            {"kind": "stations", "limit": 2, "cursor": cursor, "search": "FVT"},
        ):
            assert "The cursor belongs to other arguments" in await refused(client, "list_catalog", **arguments)
        for wrong in (cursor[:-1], "7"):
            arguments = {"kind": "stations", "limit": 2, "cursor": wrong}
            assert "The cursor is not one this tool gave" in await refused(client, "list_catalog", **arguments)


async def test_v1_which_lists_none_of_these_does_not_offer_it(
    factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(factory.config("v1")) as client:
        assert "list_catalog" not in {tool.name for tool in (await client.list_tools()).tools}
    both = factory.config("v2") + factory.config("v1").partition("\n")[2].partition("\n")[2].replace("factory", "old")
    async with connect(both) as client:
        told = await refused(client, "list_catalog", service="old")
        assert "Service old cannot do this" in told
        assert "factory" in told


async def test_text_of_whoever_named_a_procedure_is_made_plain(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    factory.post("/v2/procedures", name="Plain\u202e\x1b[31m name")
    async with connect(factory.config("v2")) as client:
        (entry,) = (await ask(client, "list_catalog", search="Plain"))["found"]
    assert entry["name"] == "Plain name"
