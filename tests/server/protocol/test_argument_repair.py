"""Arguments as real clients send them: nulls and empty texts for what was left out, a list as its JSON text."""

from __future__ import annotations

import json

import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.tools import describe_tool
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

LEFT_OUT = [None, ""]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_null_is_an_argument_left_out(mode: str, sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    takes = next(describe_tool(tool) for tool in all_tools() if tool.name == "list_runs")["inputSchema"]["properties"]
    async with connect(sim.config_toml(), mode) as client:
        plain = await ask(client, "list_runs", service="factory")
        nulls = dict.fromkeys(takes, None) | {"service": "factory"}
        assert await ask(client, "list_runs", **nulls) == plain


@pytest.mark.parametrize("nothing", LEFT_OUT)
async def test_an_empty_text_is_no_value_where_a_text_cannot_be_meant(
    nothing: str | None, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        given = {"limit": nothing, "outcome": nothing, "filter": nothing, "cursor": nothing}
        assert len((await ask(client, "list_runs", service="factory", **given))["runs"]) == 20
        nodes = await ask(client, "list_nodes")
        given = {"available": nothing, "node_ids": nothing, "text": nothing, "detail": nothing}
        assert await ask(client, "list_nodes", **given) == nodes
        run = (await ask(client, "list_runs", service="portal", limit=1))["runs"][0]["run_id"]
        assert await ask(client, "read_log", run_id=run, tz=nothing, tail=nothing) == await ask(
            client, "read_log", run_id=run
        )


async def test_a_list_sent_as_its_json_text_is_that_list(
    sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        ids = [node["node_id"] for node in (await ask(client, "list_nodes"))["nodes"][:2]]
        found = await ask(client, "list_nodes", node_ids=json.dumps(ids))
        assert [node["node_id"] for node in found["nodes"]] == ids
        run = (await ask(client, "list_runs", service="factory", limit=1, until="1d"))["runs"][0]["run_id"]
        assert (await ask(client, "get_run", run_id=run, include='["cases"]'))["cases"]
        assert "node_ids should be a valid list" in await refused(client, "list_nodes", node_ids=ids[0])
        assert "node_ids should be a valid list" in await refused(client, "list_nodes", node_ids="[not json")


async def test_a_text_that_looks_like_a_list_stays_a_text_where_a_text_is_meant(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        free = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
        order = {"node_ids": [free], "message": '["soak"]', "duration_minutes": 5}
        assert (await ask(client, "reserve_nodes", **order))["reservations"]
        node = (await ask(client, "list_nodes", node_ids=[free]))["nodes"][0]
    assert node["reservation"]["message"] == '["soak"]'


async def test_nulls_within_what_is_sent_are_left_out_too(fresh_sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        procedure = (await ask(client, "list_catalog"))["found"][0]["id"]
        phase = {"name": "boot", "outcome": "pass", "started_at": None, "measurements": None}
        order = {"procedure_id": procedure, "serial_number": "SN-77", "outcome": "pass", "part_number": "UT"}
        made = await ask(
            client, "create_run", **order, phases=json.dumps([phase]), revision=None, sub_units=None, started_at=""
        )
        assert made["run_id"]


async def test_what_is_required_is_missing_when_it_is_null_or_empty(
    sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        for nothing in LEFT_OUT:
            order = {"node_ids": nothing, "message": "m", "duration_minutes": nothing}
            assert "duration_minutes is missing" in await refused(client, "reserve_nodes", **order)
            tests = {"node_id": "n", "test_pack_revision": "main", "test_cases": nothing}
            assert "test_cases is missing" in await refused(client, "run_tests", **tests)
        assert "has no argument colour" in await refused(client, "list_nodes", colour=None)
