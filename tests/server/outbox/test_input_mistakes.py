"""A mistake that is told at once leaves nothing behind; what is parked can be discarded; and no answer points to a tool
that its caller does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant

ELSEWHERE = "PSU12-000001"
"""Built into another unit of the simulated plant."""
VERSIONS = pytest.mark.parametrize("version", ["v2", "v1"])


@VERSIONS
@pytest.mark.parametrize("mistake", [{"procedure_id": "no such"}, {"sub_units": ["SN-NOWHERE"]}])
async def test_a_mistake_told_at_once_is_not_parked(
    mistake: dict[str, Any],
    version: str,
    plant: Plant,
    sqlite: str,
    connect: Connect,
    refused: RefusedCaller,
    ask: ToolCaller,
) -> None:
    async with connect(plant.config(sqlite, version)) as client:
        told = await refused(client, "create_run", **plant.run("SN-1", **mistake))
        assert "no such" in told
        assert "parked" not in told
        listed = await ask(client, "list_deliveries")
        assert (listed["waiting"], listed["parked"], listed["delivered"]) == (0, 0, 0)
    assert plant.serials() == []


async def test_a_parked_delivery_is_discarded_once_somebody_has_agreed(
    plant: Plant, sqlite: str, connect: Connect, refused: RefusedCaller, ask: ToolCaller, tmp_path: Path
) -> None:
    async with connect(plant.config(sqlite).replace("[audit]\nenabled = false\n", "")) as client:
        await refused(client, "create_run", **plant.run("SN-1", sub_units=[ELSEWHERE]))
        (parked,) = (await ask(client, "list_deliveries"))["deliveries"]
        given = {"delivery_id": parked["delivery_id"], "discard": True}
        assert "Discard the parked run" in await refused(client, "release_delivery", **given)
        assert (await ask(client, "list_deliveries"))["parked"] == 1
        gone = await ask(client, "release_delivery", **given, confirm=parked["delivery_id"])
        assert gone["state"] == "discarded"
        assert (await ask(client, "list_deliveries"))["deliveries"] == []
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [line["tool"] for line in lines if parked["delivery_id"] in json.dumps(line)][-1] == "release_delivery"
    assert plant.serials() == []


async def test_an_answer_names_no_tool_that_its_caller_does_not_have(
    plant: Plant, sqlite: str, connect: Connect, refused: RefusedCaller, ask: ToolCaller
) -> None:
    config = plant.config(sqlite).replace('toolsets = ["all"]', 'toolsets = ["production"]')
    async with connect(config) as client:
        told = await refused(client, "create_run", **plant.run("SN-1", sub_units=[ELSEWHERE]))
        assert "parked as delivery" in told
        plant.trouble(action="status", status=503)
        queued = await ask(client, "create_run", **plant.run("SN-2"))
        assert queued["next"] == "Do not give it again."
        for answer in (told, *queued.values()):
            assert "release_delivery" not in answer
            assert "list_deliveries" not in answer
