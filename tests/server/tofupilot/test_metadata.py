"""What was kept beside a run, in v2 its metadata, stands among its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.tofupilot.conftest import Factory


async def test_metadata_of_a_run_stands_among_its_tags(factory: Factory, connect: Connect, ask: ToolCaller) -> None:
    child, serial = factory.serial(), factory.serial()
    factory.record(child)
    metadata = {"oven": "B\u202e", "ambient_c": 23.5, "first": True}
    run = factory.record(serial, revision_number="C", sub_units=[child], metadata=metadata)
    async with connect(factory.config("v2")) as client:
        told = await ask(client, "get_run", run_id=f"factory:{run}", include=["tags"])
    wanted = {"oven": "B", "ambient_c": "23.5", "first": "true", "unit_revision": "C", "sub_units": child}
    assert told["tags"] == wanted
    assert "tags" in told["untrusted"]


async def test_variables_given_to_create_run_come_back_as_tags(
    factory: Factory, connect: Connect, ask: ToolCaller
) -> None:
    arguments = {"procedure_id": "Main board FCT", "serial_number": factory.serial(), "part_number": "UT"}
    async with connect(factory.config("v2")) as client:
        created = await ask(client, "create_run", outcome="pass", variables={"shift": "late"}, **arguments)
        told = await ask(client, "get_run", run_id=created["run_id"], include=["tags"])
    assert told["tags"]["shift"] == "late"
