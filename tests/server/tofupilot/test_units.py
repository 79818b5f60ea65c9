"""Units: what is known of one over all services, what is built into it, and deleting it after a person has agreed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_tools.models.requests import NewRun
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory

VERSIONS = ("v1", "v2")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_unit_is_told_with_its_runs_oldest_first(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    child, serial = factory.serial(), factory.serial()
    inside = factory.record(child, started_at="2026-11-20T06:00:00Z")
    fields = {"revision_number": "B", "batch_number": "LOT-3"}
    ids = [factory.record(serial, started_at=f"2026-11-20T07:0{n}:00Z", **fields) for n in range(3)]
    ids.append(factory.record(serial, sub_units=[child], **fields))
    async with connect(factory.config(version)) as client:
        told = await ask(client, "get_unit", serial_number=serial, limit=5)
        short = await ask(client, "get_unit", serial_number=serial.lower(), limit=2)
    unit, *parts = told["units"]
    assert (unit["service"], unit["serial_number"]) == ("factory", serial)
    told_of_it = (unit.get("part"), unit.get("revision"), unit.get("batch"))
    assert told_of_it == (("UT", "B", "LOT-3") if version == "v2" else (None, None, None))
    assert unit.get("sub_units") == ([child] if version == "v2" else None)
    assert [(part["serial_number"], part["parent"]) for part in parts] == ([(child, serial)] if version == "v2" else [])
    assert ("does not tell sub-units" in unit.get("note", "")) == (version == "v1")
    story = [inside, *ids] if version == "v2" else ids
    assert [run["run_id"].rpartition("/")[2].rpartition(":")[2] for run in told["runs"]] == story
    assert [share["shown"] for share in told["services"]] == [len(story)]
    row = next(row for row in told["procedures"] if "unit" not in row)
    assert (row["attempts"], row["first"], row["last"], row["last_run"]) == (
        4,
        "pass",
        "pass",
        told["runs"][-1]["run_id"],
    )
    told_again = [run["run_id"] for run in told["runs"][-2:]]
    if version == "v1":
        told_again = [handle.replace(serial, serial.lower()) for handle in told_again]
    assert [run["run_id"] for run in short["runs"]] == told_again
    assert f"The last 2 of {len(story)} runs" in short["note"]


async def test_parent_and_sample_are_told(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    factory.record(serial, sub_units=[child])
    async with connect(factory.config("v2")) as client:
        await ask(client, "update_unit", serial_number=child, sample="golden", batch_number="LOT-9")
        told = await ask(client, "get_unit", serial_number=child)
        (unit,) = told["units"]
        assert (unit["parent"], unit["sample"], unit["batch"]) == (serial, "golden", "LOT-9")
        (reason,) = told["reasons"]
        assert (told["ship"], reason) == (
            "do not ship",
            {"kind": "sample", "why": "It is not a production unit (sample: golden)"},
        )
        unit = await ask(client, "update_unit", serial_number=child, sample="production")
        assert "sample" not in unit


async def test_all_services_that_find_runs_by_serial_number_are_asked(
    factory: Factory, connect: Connect, ask: ToolCaller, dead_url: str, no_backoff: None
) -> None:
    async with connect(factory.everything) as client:
        run = (await ask(client, "list_runs", service="cloud", limit=1))["runs"][0]
        told = await ask(client, "get_unit", serial_number=run["unit"])
        assert [share["service"] for share in told["services"]] == ["factory", "cloud", "portal"]
        assert told["services"][-1] == {"service": "portal", "shown": 0, "cannot": "portal keeps no serial numbers"}
        assert run["run_id"] in [found["run_id"] for found in told["runs"]]
        starts = [found["started_at"] for found in told["runs"]]
        assert starts == sorted(starts)
        assert {share["service"] for share in told["services"] if share["shown"]} >= {"cloud"}
    down = f'[services.gone]\nkind = "tofupilot"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(factory.everything + down) as client:
        told = await ask(client, "get_unit", serial_number=run["unit"])
    shares = {share["service"]: share for share in told["services"]}
    assert "cannot be reached" in shares["gone"]["error"]
    assert "gone failed" in told["note"]
    assert "gone did not answer (see services)." in told["unknown"]
    assert "error" not in shares["cloud"]


async def test_a_service_that_fails_only_over_the_unit_is_said(
    factory: Factory, connect: Connect, ask: ToolCaller, no_backoff: None
) -> None:
    serial = factory.serial()
    factory.record(serial)
    factory.fault(status=500, path_prefix="/api/v2/units/", times=0)
    async with connect(factory.config("v2")) as client:
        told = await ask(client, "get_unit", serial_number=serial)
    assert "units" not in told
    assert len(told["runs"]) == 1
    assert (told["ship"], told["unknown"][0]) == ("do not ship", "factory did not answer (see services).")
    assert "HTTP 500" in told["services"][0]["error"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("serial", ["NO-SUCH", "..", "a/../b", "ü ?#%"])
async def test_a_unit_nobody_knows_is_not_found(
    version: str, serial: str, factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(factory.config(version)) as client:
        told = await refused(client, "get_unit", serial_number=serial)
        assert "No service knows a unit" in told or "no serial number" in told
        for tool, more in (("update_unit", {"sub_units": ["X"]}), ("delete_unit", {"service": "factory"})):
            told = await refused(client, tool, serial_number=serial, **more)
            assert "no such" in told or "no serial number" in told


@pytest.mark.parametrize("version", VERSIONS)
async def test_sub_units_are_added_and_adding_again_does_no_harm(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    serial, *children = (factory.serial() for _ in range(3))
    for name in (serial, *children):
        factory.record(name)
    async with connect(factory.config(version)) as client:
        for _ in range(2):
            unit = await ask(client, "update_unit", serial_number=serial, sub_units=children)
            assert sorted(unit["sub_units"]) == sorted(children)
    kept = factory.get(f"/v2/units/{serial}")["children"]
    assert sorted(child["serial_number"] for child in kept) == sorted(children)


async def test_v2_removes_sub_units_and_v1_says_it_cannot(
    factory: Factory, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    factory.record(serial, sub_units=[child])
    async with connect(factory.config("v1")) as client:
        told = await refused(client, "update_unit", serial_number=serial, remove_sub_units=[child])
        assert "only adds sub-units" in told
    async with connect(factory.config("v2")) as client:
        unit = await ask(client, "update_unit", serial_number=serial, remove_sub_units=[child])
        assert "sub_units" not in unit
        told = await refused(client, "update_unit", serial_number=serial, remove_sub_units=[child])
        assert "does not accept the sub-unit (HTTP 400)" in told
        assert "Nothing is to be changed" in await refused(client, "update_unit", serial_number=serial)
    assert factory.get(f"/v2/units/{serial}")["children"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_unit_that_is_part_of_another_is_not_taken_from_it(
    version: str, factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    factory.record(serial)
    factory.record(factory.serial(), sub_units=[child])
    async with connect(factory.config(version)) as client:
        await refused(client, "update_unit", serial_number=serial, sub_units=[child])
        await refused(client, "update_unit", serial_number=serial, sub_units=[serial])
        await refused(client, "update_unit", serial_number=serial, sub_units=["NO-SUCH"])
    assert factory.get(f"/v2/units/{serial}")["children"] == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_update_whose_answer_was_lost_is_made_once_more(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    factory.record(serial)
    factory.fault(action="reset-after", path_prefix=f"/api/{version}/units/", times=1)
    async with connect(factory.config(version)) as client:
        unit = await ask(client, "update_unit", serial_number=serial, sub_units=[child])
    assert unit["sub_units"] == [child]


@pytest.mark.parametrize("version", VERSIONS)
async def test_deleting_a_unit_says_how_many_runs_go_and_waits_for_agreement(
    version: str, factory: Factory, connect: Connect, ask: ToolCaller, refused: RefusedCaller, word_for: RefusedCaller
) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    ids = [factory.record(serial, started_at=f"2026-11-20T07:0{n}:00Z") for n in range(2)]
    factory.record(serial, sub_units=[child])
    async with connect(factory.config(version)) as client:
        for confirm in ("", "factory", child):
            told = await refused(client, "delete_unit", serial_number=serial, service="factory", confirm=confirm)
            assert "with its 3 runs, for good?" in told
            assert ("Its 1 sub-units stay" in told) == (version == "v2")
            assert all(run in told for run in ids)
        assert len(factory.runs(serial)) == 3
        unit = {"serial_number": serial, "service": "factory"}
        done = await ask(client, "delete_unit", **unit, confirm=await word_for(client, "delete_unit", **unit))
        assert (done["deleted"], done["runs"]) == (serial, 3)
    assert factory.status(f"/v2/units/{serial}") == 404
    assert factory.status(f"/v2/runs/{ids[0]}") == 404
    assert factory.status(f"/v2/units/{child}") == 200


@pytest.mark.parametrize("version", VERSIONS)
async def test_more_runs_than_a_page_are_counted(
    version: str, factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    serial = factory.serial()
    for n in range(60):
        factory.record(serial, started_at=f"2026-11-20T07:{n:02d}:00Z")
    async with connect(factory.config(version)) as client:
        told = await refused(client, "delete_unit", serial_number=serial, service="factory")
    assert "with its 60 runs" in told


@pytest.mark.parametrize("version", VERSIONS)
async def test_deleting_a_run_says_what_goes_and_waits_for_agreement(
    version: str,
    factory: Factory,
    adapter: Callable[..., Any],
    new_run: Callable[..., NewRun],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
) -> None:
    run = new_run()
    async with adapter(version) as service:
        created = await service.create_run(run)
        await service.attach(created.run_id.partition(":")[2], "scope.png", b"PNG")
    async with connect(factory.config(version)) as client:
        told = await refused(client, "delete_run", run_id=created.run_id)
        assert "(fail, 2026-11-20T08:00:00Z) with its 2 phases, 6 measurements and " in told
        assert ("1 attachments" if version == "v2" else "any attachments (not counted)") in told
        assert len(factory.runs(run.serial_number)) == 1
        done = await ask(client, "delete_run", run_id=created.run_id, confirm=created.run_id)
        assert done["deleted"] == created.run_id
        told = await refused(client, "delete_run", run_id=created.run_id, confirm=created.run_id)
        assert "no such run" in told
    assert factory.runs(run.serial_number) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tool", ["delete_run", "delete_unit"])
@pytest.mark.parametrize("fault", ["reset-after", "reset"])
async def test_a_deletion_whose_answer_was_lost_is_looked_up(
    version: str,
    tool: str,
    fault: str,
    factory: Factory,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    word_for: RefusedCaller,
) -> None:
    serial = factory.serial()
    run = factory.record(serial)
    handle = f"factory:{run if version == 'v2' else f'{serial}/{run}'}"
    by_run = {"run_id": handle, "confirm": handle}
    arguments = by_run if tool == "delete_run" else {"serial_number": serial, "service": "factory"}
    if tool == "delete_unit":
        async with connect(factory.config(version)) as client:
            arguments["confirm"] = await word_for(client, tool, **arguments)
    factory.fault(action=fault, method="DELETE", times=1)
    async with connect(factory.config(version)) as client:
        if fault == "reset-after":
            assert (await ask(client, tool, **arguments))["deleted"] in (handle, serial)
        else:
            assert "is still there. " in await refused(client, tool, **arguments)
            await ask(client, tool, **arguments)
    assert factory.asked("DELETE", "/api") == (1 if fault == "reset-after" else 2)
    assert factory.status(f"/v2/runs/{run}") == 404


async def test_a_run_whose_id_v1_does_not_tell_cannot_be_deleted(
    factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(factory.config("v1")) as client:
        told = await refused(client, "delete_run", run_id="factory:UT-1/2026-11-20T08:00:00+00:00")
    assert "does not tell this run's id" in told


@pytest.mark.parametrize("version", VERSIONS)
async def test_below_admin_nothing_is_deleted_and_below_operate_nothing_changed(
    version: str, factory: Factory, connect: Connect, refused: RefusedCaller
) -> None:
    serial = factory.serial()
    factory.record(serial)
    async with connect(factory.config(version, access="operate")) as client:
        told = await refused(client, "delete_unit", serial_number=serial, service="factory", confirm=serial)
        assert "Not allowed" in told
    async with connect(factory.config(version, access="observe")) as client:
        assert "Not allowed" in await refused(client, "update_unit", serial_number=serial, sub_units=["X"])
    assert len(factory.runs(serial)) == 1


@pytest.mark.parametrize("answer", ["accept", "decline"])
async def test_a_person_sees_whose_unit_it_is_before_it_is_deleted(
    answer: Literal["accept", "decline"], factory: Factory, ask: ToolCaller, refused: RefusedCaller
) -> None:
    asked: list[str] = []

    async def decide(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=answer, content={"go_ahead": True} if answer == "accept" else None)

    serial = factory.serial()
    run = factory.record(serial)
    read = parse_config(factory.config("v2"))
    server = build_server(read.lab(), policy_of(read), read.folders())
    async with Client(server, elicitation_callback=decide) as client:
        call = ask if answer == "accept" else refused
        await call(client, "delete_unit", serial_number=serial, service="factory", confirm=serial)
    assert asked == [f'Delete a unit of factory with its 1 run, for good?\nRuns: {run!r}\nUnit: "{serial}"\nPart: "UT"']
    assert factory.status(f"/v2/units/{serial}") == (404 if answer == "accept" else 200)
