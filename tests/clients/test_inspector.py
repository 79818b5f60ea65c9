"""The official MCP Inspector 2.12.0, on its command line: both transports, the old protocol era and the modern one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

TOOL_ERROR = 5
"""The Inspector's exit code when a tool answers with isError."""

Inspect = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["stdio", "http"])
def target(request: pytest.FixtureRequest) -> list[str]:
    """How the Inspector is told where our server is."""
    if request.param == "http":
        return [request.getfixturevalue("server_url"), "--transport", "http"]
    executable, word, _, config = request.getfixturevalue("server_command")
    return [executable, word, "-e", f"TESTLAB_MCP_CONFIG={config}"]  # --config would be the Inspector's own


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_every_tool_passes_the_strict_schema_check(inspect: Inspect, target: list[str], era: str) -> None:
    done = inspect(*target, "--protocol-era", era, "--method", "tools/list", "--strict", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer.get("schemaFindings", []) == []
    names = {tool["name"] for tool in answer["result"]["tools"]}
    assert {"list_runs", "get_failed_cases", "list_nodes", "run_tests"} <= names


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
