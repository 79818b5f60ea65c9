"""Which services there are, and what each can do, is known before the first call."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect

ERAS = ["legacy", "auto"]


async def choices(client: Client) -> Mapping[str, list[str] | None]:
    """The services that each tool's `service` offers, of the tools that have it."""
    tools = (await client.list_tools()).tools
    return {
        tool.name: tool.input_schema["properties"]["service"].get("enum")
        for tool in tools
        if "service" in tool.input_schema["properties"]
    }


@pytest.mark.parametrize("era", ERAS)
async def test_a_tools_service_is_one_of_those_that_can_do_it(era: str, sim: SimLab, connect: Connect) -> None:
    async with connect('[server]\naccess = "admin"\n' + sim.config_toml(), era) as client:
        offered = await choices(client)
    assert offered["list_runs"] == ["portal", "factory", "cloud"]
    assert offered["get_unit"] == ["factory", "cloud"]
    assert offered["create_run"] == ["factory"]
    assert all(offered.values()), offered


@pytest.mark.parametrize("era", ERAS)
async def test_the_instructions_say_what_each_service_has_and_what_it_cannot(
    era: str, sim: SimLab, connect: Connect
) -> None:
    one = sim.services()["tofupilot"]
    old = f'[services.old]\nkind = "tofupilot"\nurl = "{one["url"]}"\ntoken = "{one["token"]}"\napi_version = "v1"\n'
    async with connect(sim.config_toml() + old, era) as client:
        lines = (client.instructions or "").splitlines()
    told = {line.partition(" ")[0]: line for line in lines[1:]}
    assert list(told) == ["portal", "factory", "cloud", "old"]
    assert "nodes, reservations" in told["portal"]
    assert "units" not in told["portal"]
    assert "units by serial number" in told["factory"]
    assert "lists runs only by unit" in told["old"]
