"""What a client sees in `tools/list`: snapshots, hints, schema dialect, and the token budget."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.commands import tools as commands
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.commands.tools import BUDGETS, TOOL_LIMIT, Budget, count_tokens, describe_tool
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.results import find_untrusted_fields
from testlab_sim import BESIDES
from testlab_tools.models.lab import FailedCases
from testlab_tools.models.nodes import NodeList
from testlab_tools.models.results import RunDetail
from testlab_tools.registry import Picture
from testlab_tools.tools import all_tools
from tests.fixture_types import Connect
from tests.service_samples import SERVICE_SAMPLES
from tests.tool_calls import RACK_TABLE

SNAPS = Path(__file__).parent / "toolsnaps"
NAMES = [tool.name for tool in all_tools()]
LOOKING = {"List", "Explain", "Get", "Grab", "Read", "Watch", "Write"}
CHANGING = {"Answer", "Cancel", "Delete", "End", "Extend", "Find", "Interrupt", "Press", "Record", "Reserve"} | {
    *("Run", "Send", "Start", "Stop", "Switch", "Update"),
}


def every_service(sim: SimLab) -> str:
    """The config of the demo, the services that are simulated besides, and labgrid."""
    besides = [sample for sample in SERVICE_SAMPLES.values() if sample.kind in BESIDES]
    tables = "".join(sample.table(sim.services()[sample.kind]["url"]) for sample in besides)
    return f"{sim.config_toml()}\n{tables}{RACK_TABLE}"


async def listed(sim: SimLab, connect: Connect, extra: str = "") -> dict[str, dict[str, Any]]:
    async with connect('[server]\naccess = "admin"\ntoolsets = ["all"]\n' + every_service(sim) + extra) as client:
        tools = (await client.list_tools()).tools
    return {t.name: t.model_dump(by_alias=True, exclude_none=True, exclude={"icons"}, mode="json") for t in tools}


async def test_every_tool_is_as_its_snapshot_says(sim: SimLab, connect: Connect) -> None:
    """`./do snap` writes them anew; read the difference before you commit it."""
    tools = await listed(sim, connect)
    assert list(tools) == NAMES
    for name, tool in tools.items():
        path = SNAPS / f"{name}.json"
        text = json.dumps(tool, indent=2, ensure_ascii=False) + "\n"
        if os.environ.get("TESTLAB_SNAP") == "write":
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{name} has no snapshot: ./do snap"
        assert path.read_text(encoding="utf-8") == text, f"{name} differs from its snapshot: ./do snap"
    assert {path.stem for path in SNAPS.glob("*.json")} == set(tools)


async def test_the_list_that_costs_are_counted_on_is_the_list_clients_get(sim: SimLab, connect: Connect) -> None:
    tools = await listed(sim, connect)
    services = parse_config(every_service(sim)).connect_services()
    read = [{name: part for name, part in tool.items() if name != "title"} for tool in tools.values()]
    assert [describe_tool(tool, services) for tool in all_tools()] == read


async def test_every_hint_that_means_something_is_said_for_every_tool(sim: SimLab, connect: Connect) -> None:
    """MCP, ToolAnnotations: idempotentHint is "meaningful only when readOnlyHint == false"."""
    for name, tool in (await listed(sim, connect)).items():
        hints = tool["annotations"]
        changes = set() if hints["readOnlyHint"] else {"idempotentHint"}
        assert set(hints) == {"readOnlyHint", "destructiveHint", "openWorldHint"} | changes, name


def test_hints_agree_with_access() -> None:
    for tool in all_tools():
        assert tool.hints.read_only == (tool.access == "observe"), tool.name


async def test_schemas_keep_to_the_dialect_every_client_reads(sim: SimLab, connect: Connect) -> None:
    def walk(node: Any, at: str) -> None:
        if isinstance(node, dict):
            assert not {"anyOf", "oneOf", "allOf", "$ref", "$defs", "title"} & set(node) or at.endswith("properties"), (
                at
            )
            assert node.get("type") not in ("null", None) or at.endswith(("properties", ".value", "items")), at
            assert not isinstance(node.get("type"), list), at
            for key, value in node.items():
                walk(value, f"{at}.{key}")
        elif isinstance(node, list):
            for value in node:
                assert value is not None, at
                walk(value, f"{at}[]") if not isinstance(value, str) else None

    for name, tool in (await listed(sim, connect)).items():
        assert tool["inputSchema"]["additionalProperties"] is False
        for field in ("inputSchema", "outputSchema"):
            if field in tool:
                assert tool[field]["type"] == "object"
                for prop, schema in tool[field]["properties"].items():
                    walk(schema, f"{name}.{prop}")


async def test_no_enum_has_an_empty_text(sim: SimLab, connect: Connect) -> None:
    """Some models' APIs refuse the whole list of tools for one."""

    def enums(node: Any) -> list[list[Any]]:
        if isinstance(node, dict):
            own = [node["enum"]] if isinstance(node.get("enum"), list) else []
            return own + [found for value in node.values() for found in enums(value)]
        return [found for value in node for found in enums(value)] if isinstance(node, list) else []

    found = enums(list((await listed(sim, connect)).values()))
    assert found
    assert [enum for enum in found if "" in enum or not enum] == []


def test_our_own_words_in_an_answer_are_in_the_schema_of_every_tool_that_may_say_them() -> None:
    """A client that makes objects of the schema (fastmcp's `.data`) drops all else."""
    for tool in all_tools():
        if not issubclass(tool.returns, Picture):
            fields = describe_tool(tool)["outputSchema"]["properties"]
            spoken = {name for name in ("note", "next") if name in tool.returns.model_fields}
            assert spoken <= set(fields), tool.name
            assert ("untrusted" in fields) is bool(find_untrusted_fields(tool.returns)), tool.name


def test_every_tool_that_answers_in_fields_publishes_them() -> None:
    for tool in all_tools():
        assert ("outputSchema" in describe_tool(tool)) is not issubclass(tool.returns, Picture), tool.name


def test_a_description_begins_with_a_verb_and_has_at_most_60_words() -> None:
    for tool in all_tools():
        words = tool.description.split()
        assert len(words) <= 60, tool.name
        assert words[0] in LOOKING | CHANGING, f"{tool.name}: is {words[0]!r} an imperative? Then add it above."


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.name)
def test_the_tool_list_keeps_its_token_budget(budget: Budget) -> None:
    assert not budget.excess(), budget.excess()


def test_a_broken_budget_names_the_tools_that_cost_most_and_the_rule_for_a_higher_limit() -> None:
    excess = BUDGETS[0]._replace(limit=100).excess()
    assert re.match(r"everything on: \d+ tokens, \d+ more than its limit of 100. .* cost most: create_run \d+,", excess)
    assert "raise the limit by 500 in BUDGETS" in excess


def test_a_fourth_kind_of_service_does_not_count_as_one_of_the_three(monkeypatch: pytest.MonkeyPatch) -> None:
    three = next(budget for budget in BUDGETS if budget.name == "default, three services")
    monkeypatch.setattr(commands, "known_kinds", lambda: ["stbtester"])
    assert [service.kind for service in three.labs()[0]] == ["stbtester", "tofupilot", "standcloud"]


def test_no_tool_costs_more_than_its_limit() -> None:
    costs = {tool.name: count_tokens(describe_tool(tool)) for tool in all_tools()}
    assert {name: tokens for name, tokens in costs.items() if tokens > TOOL_LIMIT} == {}


def test_whatever_type_a_measured_value_or_a_nodes_configuration_has_it_is_marked_untrusted() -> None:
    assert "value" in find_untrusted_fields(FailedCases)
    assert "value" in find_untrusted_fields(RunDetail)
    assert "detail" in find_untrusted_fields(NodeList)
