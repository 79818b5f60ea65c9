"""What a client sees in `tools/list`: snapshots, hints, schema dialect, and the token budget."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.listing import BUDGET, TOOL_LIMIT, costs, count, described
from testlab_mcp.results import untrusted_fields
from testlab_tools.catalog import all_tools
from testlab_tools.models import FailedCases, NodeList
from testlab_tools.records import RunDetail
from testlab_tools.registry import Picture

SNAPS = Path(__file__).parent / "toolsnaps"
NAMES = [tool.name for tool in all_tools()]


async def listed(sim: Any, connect: Any, extra: str = "") -> dict[str, dict[str, Any]]:
    async with connect('[server]\naccess = "admin"\ntoolsets = ["all"]\n' + sim.config_toml() + extra) as client:
        tools = (await client.list_tools()).tools
    return {t.name: t.model_dump(by_alias=True, exclude_none=True, mode="json") for t in tools}


async def test_every_tool_is_as_its_snapshot_says(sim: Any, connect: Any) -> None:
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


async def test_the_list_that_costs_are_counted_on_is_the_list_clients_get(sim: Any, connect: Any) -> None:
    tools = await listed(sim, connect)
    assert [described(tool) for tool in all_tools()] == list(tools.values())


async def test_all_four_hints_are_said_for_every_tool(sim: Any, connect: Any) -> None:
    for name, tool in (await listed(sim, connect)).items():
        hints = tool["annotations"]
        assert set(hints) >= {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}, name


def test_hints_agree_with_access() -> None:
    for tool in all_tools():
        assert tool.hints.read_only == (tool.access == "observe"), tool.name


async def test_schemas_keep_to_the_dialect_every_client_reads(sim: Any, connect: Any) -> None:
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


def test_every_tool_that_answers_in_fields_publishes_them() -> None:
    for tool in all_tools():
        assert ("outputSchema" in described(tool)) is not issubclass(tool.returns, Picture), tool.name


def test_a_description_begins_with_a_verb_and_has_at_most_60_words() -> None:
    for tool in all_tools():
        words = tool.description.split()
        assert len(words) <= 60, tool.name
        assert words[0] in {
            "List",
            "Explain",
            "Extend",
            "Interrupt",
            "Press",
            "Grab",
            "Reserve",
            "End",
            "Run",
            "Get",
            "Record",
            "Stop",
            "Read",
            "Write",
            "Update",
            "Delete",
            "Send",
        }, tool.name


@pytest.mark.parametrize("name", list(BUDGET))
def test_the_tool_list_keeps_its_token_budget(name: str) -> None:
    assert costs()[name] <= BUDGET[name]


def test_no_tool_costs_more_than_its_limit() -> None:
    assert {tool.name: n for tool in all_tools() if (n := count(described(tool))) > TOOL_LIMIT} == {}


def test_whatever_type_a_measured_value_or_a_nodes_configuration_has_it_is_marked_untrusted() -> None:
    assert "value" in untrusted_fields(FailedCases)
    assert "value" in untrusted_fields(RunDetail)
    assert "detail" in untrusted_fields(NodeList)


def test_a_tools_schema_says_which_of_its_fields_hold_text_from_the_lab() -> None:
    fields = described(next(tool for tool in all_tools() if tool.name == "read_log"))["outputSchema"]["properties"]
    assert {name for name, field in fields.items() if field.get("description") == "untrusted"} == {"lines"}
    for tool in all_tools():
        if not issubclass(tool.returns, Picture):
            marked = [f for f in described(tool)["outputSchema"]["properties"].values() if "description" in f]
            assert bool(marked) is bool(untrusted_fields(tool.returns)), tool.name
