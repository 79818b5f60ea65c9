"""What a client sees of the menu: snapshots beside those of the tools, in both protocol eras, over every transport."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ResourceTemplateReference

SNAPS = Path(__file__).parent / "snaps"
ERAS = [("legacy", "2025-11-25"), ("auto", "2026-07-28")]


async def menu_of(client: Client) -> dict[str, list[dict[str, Any]]]:
    lists = {
        "resources": (await client.list_resources()).resources,
        "templates": (await client.list_resource_templates()).resource_templates,
        "prompts": (await client.list_prompts()).prompts,
    }
    return {
        name: [item.model_dump(by_alias=True, exclude_none=True, mode="json") for item in items]
        for name, items in lists.items()
    }


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_as_its_snapshots_say(
    mode: str, version: str, sim: Any, connect: Any, with_insight: None
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


async def test_nothing_the_lab_wrote_is_in_a_list(sim: Any, connect: Any, ask: Any, with_insight: None) -> None:
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
    assert json.loads(read.contents[0].text)["run"]["run_id"] == handle
    prompt = await client.get_prompt("reproduce_failure", {"run_id": handle})
    assert json.dumps(handle) in prompt.messages[0].content.text


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_served_over_stdio(mode: str, version: str, sim: Any, spawn: Any) -> None:
    async with spawn(sim.config_toml(), mode) as client:
        assert client.protocol_version == version
        await use(client)


@pytest.fixture(scope="module")
def url(sim: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path: Path = tmp_path_factory.mktemp("http") / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(path), "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stderr
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", process.stderr.readline())
        assert found
        yield found[0]
        process.terminate()
        assert process.wait(timeout=8) == 0


@pytest.mark.parametrize(("mode", "version"), ERAS)
async def test_the_menu_is_served_over_http(mode: str, version: str, url: str) -> None:
    async with Client(url, mode=mode) as client:
        assert client.protocol_version == version
        await use(client)
