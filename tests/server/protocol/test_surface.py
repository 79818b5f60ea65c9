"""What a client sees of the menu: snapshots beside those of the tools, in both protocol eras, over every transport."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import DiscoverRequest, DiscoverResult, ResourceTemplateReference, TextContent, TextResourceContents

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

SNAPS = Path(__file__).parent / "snaps"
ERAS = [("legacy", "2025-11-25"), ("auto", "2026-07-28")]


async def menu_of(client: Client) -> dict[str, list[dict[str, Any]]]:
    lists = {
        "resources": (await client.list_resources()).resources,
        "templates": (await client.list_resource_templates()).resource_templates,
        "prompts": (await client.list_prompts()).prompts,
    }
    return {
        name: [item.model_dump(by_alias=True, exclude_none=True, exclude={"icons"}, mode="json") for item in items]
        for name, items in lists.items()
    }


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_as_its_snapshots_say(
    mode: str, version: str, sim: SimLab, connect: Connect, with_insight: None
) -> None:
    """`./do snap` writes them anew; read the difference before you commit it."""
    async with connect(sim.config_toml(), mode) as client:
        assert client.protocol_version == version
        assert client.server_capabilities.completions is not None
        menu = await menu_of(client)
    for name, items in menu.items():
        path = SNAPS / f"{name}.json"
        text = json.dumps(items, indent=2, ensure_ascii=False) + "\n"
        if os.environ.get("TESTLAB_SNAP") == "write":
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{name} differ from their snapshot: ./do snap"
    assert {path.stem for path in SNAPS.glob("*.json")} == set(menu)


async def test_nothing_the_lab_wrote_is_in_a_list(
    sim: SimLab, connect: Connect, ask: ToolCaller, with_insight: None
) -> None:
    async with connect(sim.config_toml()) as client:
        before = await menu_of(client)
        node = (await ask(client, "list_nodes"))["nodes"][0]
        run = (await ask(client, "list_runs", outcome="fail", limit=1))["runs"][0]
        assert await menu_of(client) == before
    listed = json.dumps(before)
    for word in (node["node_id"], node["name"], run["run_id"], run["test"]):
        assert word not in listed


async def use(client: Client) -> None:
    """Something of each: a list, a completion, a resource, a prompt."""
    assert {item["name"] for item in (await menu_of(client))["templates"]} >= {"run", "node_screen"}
    run = ResourceTemplateReference(type="ref/resource", uri="testlab://runs/{handle}")
    found = await client.complete(run, {"name": "handle", "value": "portal:"})
    handle = found.completion.values[0]
    encoded = handle.replace(":", "%3A").replace("/", "%2F")
    read = await client.read_resource(f"testlab://runs/{encoded}")
    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    assert json.loads(content.text)["run"]["run_id"] == handle
    prompt = await client.get_prompt("reproduce_failure", {"run_id": handle})
    said = prompt.messages[0].content
    assert isinstance(said, TextContent)
    assert json.dumps(handle) in said.text


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_served_over_stdio(mode: str, version: str, sim: SimLab, spawn: Connect) -> None:
    async with spawn(sim.config_toml(), mode) as client:
        assert client.protocol_version == version
        await use(client)


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_served_over_http(mode: str, version: str, url: str) -> None:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == version
        await use(client)


@pytest.mark.parametrize(("access", "tools"), [("observe", False), ("admin", True)])
async def test_lists_may_be_kept_five_minutes_by_their_own_caller_and_what_is_read_not_at_all(
    access: str, tools: bool, sim: SimLab, connect: Connect
) -> None:
    """SEP-2549. Lists differ by what the caller may do, and change when the server starts anew."""
    async with connect(f'[server]\naccess = "{access}"\n{sim.config_toml()}', "2026-07-28") as client:
        listed: list[Any] = [
            await client.session.send_request(DiscoverRequest(), DiscoverResult),
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
        ]
        read = await client.read_resource("testlab://services")
    assert ("delete_run" in {tool.name for tool in listed[1].tools}) == tools
    for answer in listed:
        assert (answer.ttl_ms, answer.cache_scope) == (300_000, "private")
    assert (read.ttl_ms, read.cache_scope) == (0, "private")
