"""What a result says to do next can be done: by the caller, and on the service that the result is of."""

from __future__ import annotations

import re

import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect, ToolCaller

NAMES = re.compile(rf"\b({'|'.join(tool.name for tool in all_tools())})\b")


@pytest.mark.parametrize("tool", ["get_run", "get_failed_cases", "explain_failure"])
@pytest.mark.parametrize("service", ["portal", "factory", "cloud"])
async def test_a_run_is_followed_only_by_tools_that_its_service_can_do(
    service: str, tool: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    able = parse_config(sim.config_toml()).lab().services[service]
    offered = {spec.name for spec in all_tools() if isinstance(able, spec.needs)}
    async with connect(sim.config_toml()) as client:
        failed = (await ask(client, "list_runs", service=service, outcome="fail", limit=1))["runs"][0]
        answer = await ask(client, tool, run_id=failed["run_id"])
    named = set(NAMES.findall(answer.get("next", "")))
    assert named or tool == "get_run"
    assert named <= offered


async def test_what_a_caller_has_not_is_left_out_and_the_rest_stays(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect('[server]\ndeny = ["read_log"]\n' + sim.config_toml()) as client:
        failed = (await ask(client, "list_runs", service="portal", outcome="fail", limit=1))["runs"][0]
        answer = await ask(client, "explain_failure", run_id=failed["run_id"])
    assert "get_artifact" in answer["next"]
    assert "list_runs" in answer["next"]
    assert "read_log" not in answer["next"]


async def test_of_an_id_without_a_service_the_result_says_whose_it_is(
    sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml()) as client:
        failed = (await ask(client, "list_runs", service="portal", outcome="fail", limit=1))["runs"][0]
        answer = await ask(client, "get_run", run_id=failed["run_id"].partition(":")[2])
    assert "read_log" in answer["next"]
