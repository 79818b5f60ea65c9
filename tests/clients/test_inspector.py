"""The official MCP Inspector 2.12.0, on its command line: both transports, the old protocol era and the modern one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from testlab_tools.services import known_kinds, load_kind
from testlab_tools.tools import all_tools

TOOL_ERROR = 5
"""The Inspector's exit code when a tool answers with isError."""

SKILLS = ("may-this-unit-ship", "morning-triage", "record-production-results", "reproduce-on-free-node")

Inspect = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["stdio", "http"])
def target(request: pytest.FixtureRequest) -> list[str]:
    """How the Inspector is told where our server is."""
    if request.param == "http":
        return [request.getfixturevalue("server_url"), "--transport", "http"]
    program, word, _, config = request.getfixturevalue("server_command")
    return [program, word, "-e", f"TESTLAB_MCP_CONFIG={config}"]  # --config would be the Inspector's own


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_every_tool_passes_the_strict_schema_check(
    inspect: Inspect, server_command: list[str], tmp_path: Path, era: str
) -> None:
    everything = tmp_path / "config.toml"
    text = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'
    for kind in known_kinds():
        keys = {"kind": kind, **load_kind(kind).Settings.example}
        text += f"[services.{kind}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    everything.write_text(text, encoding="utf-8")
    target = [*server_command[:2], "-e", f"TESTLAB_MCP_CONFIG={everything}"]
    done = inspect(*target, "--protocol-era", era, "--method", "tools/list", "--strict", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer.get("schemaFindings", []) == []
    assert [tool["name"] for tool in answer["result"]["tools"]] == [tool.name for tool in all_tools()]


def test_the_strict_schema_check_finds_what_some_clients_cannot_read(inspect: Inspect, tmp_path: Path) -> None:
    """Which shows that it is made."""
    server = tmp_path / "server.py"
    server.write_text(
        "from typing import Any\n"
        "from mcp.server.mcpserver import MCPServer\n"
        "server = MCPServer('plain')\n"
        "@server.tool()\n"
        "def find(anything: Any) -> str: return ''\n"
        "server.run()\n",
        encoding="utf-8",
    )
    done = inspect(sys.executable, str(server), "--method", "tools/list", "--strict", "--format", "json")
    (found,) = json.loads(done.stdout)["schemaFindings"]
    assert found["toolName"] == "find"


def test_every_skill_is_what_its_entry_says(inspect: Inspect, target: list[str]) -> None:
    """SEP-2640, as the Inspector reads it: frontmatter, digest and size of each file."""
    listing = ("--protocol-era", "modern", "--method", "skills/list", "--verify", "--format", "json")
    done = inspect(*target, *listing)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in SKILLS if name not in done.stdout] == []


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_tool_answers_with_what_the_lab_says(
    inspect: Inspect, target: list[str], era: str, ask: Callable[..., httpx2.Response]
) -> None:
    call = ("--method", "tools/call", "--tool-name", "list_nodes", "--format", "json")
    done = inspect(*target, "--protocol-era", era, *call)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)["result"]
    nodes = ask("stbtester", "/api/v2/nodes").json()
    assert answer["structuredContent"]["total"] == len(nodes)
    listed = {node["node_id"].partition(":")[2] for node in answer["structuredContent"]["nodes"]}
    assert listed <= {node["node_id"] for node in nodes}
    assert listed
    assert all(node_id in answer["content"][0]["text"] for node_id in listed)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_tools_refusal_ends_the_inspector_with_its_tool_error_code(
    inspect: Inspect, target: list[str], era: str
) -> None:
    call = (
        "--method",
        "tools/call",
        "--tool-name",
        "get_failed_cases",
        "--tool-arg",
        "run_id=portal:/stb-tester-000000000000/0a00/1/never",
        "--format",
        "json",
    )
    done = inspect(*target, "--protocol-era", era, *call)
    assert done.returncode == TOOL_ERROR, done.stdout + done.stderr
    answer = json.loads(done.stdout)["result"]
    assert answer["isError"] is True
    assert "list_runs" in answer["content"][0]["text"]  # the next step


def test_a_picture_is_printed_with_its_facts(inspect: Inspect, target: list[str]) -> None:
    call = ("--method", "tools/call", "--tool-name", "grab_screenshot", "--format", "json")
    done = inspect(*target, *call, "--tool-arg", "node_id=portal:stb-tester-00044b80f101")
    assert done.returncode == 0, done.stdout + done.stderr
    picture, facts = json.loads(done.stdout)["result"]["content"]
    assert picture["type"] == "image"
    assert "original 1280x720" in facts["text"]


def test_the_line_of_its_recipe_lists_the_tools(inspect: Inspect) -> None:
    page = (Path(__file__).parents[2] / "docs/clients/inspector.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^npx @modelcontextprotocol/inspector --cli uvx testlab-mcp (.*)$", page, re.MULTILINE)
    done = inspect(sys.executable, "-m", "testlab_mcp", *line.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"list_runs"' in done.stdout
