"""A cold start pays only for what serving over stdio uses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

UNUSED = {
    *("PIL", "testlab_sim", "bpe_openai", "dbos", "sqlalchemy", "psycopg", "junitparser", "xml.etree.ElementTree"),
    *("keyring", "rich", "testlab_tools.signin.session", "testlab_tools.signin.device"),
    *("duckdb", "numpy", "scipy", "matplotlib", "testlab_tools.charts.canvas"),
    *("mcp.client.client", "uvicorn", "click"),
    *("opentelemetry.sdk", "opentelemetry.exporter", "prometheus_client", "google.protobuf", "requests"),
    *("testlab_mcp.access.authentication", "testlab_mcp.access.authentication", "testlab_mcp.access.scoping"),
}
"""Screens, the simulated lab, token counts, exports, sign-in and the like: imported by the call that needs them."""


PATHS = {"PYTHONPATH": os.pathsep.join(str(Path(__file__).parents[2] / part) for part in ("server", "tools"))}
OF_OTHER_TOOLS = (
    *("testlab_tools.statistics.", "testlab_tools.triage.", "testlab_tools.explain.", "testlab_tools.campaigns."),
    *(
        "testlab_tools.watches.",
        "testlab_tools.schedules.",
        "testlab_tools.recording.",
        "testlab_tools.passport.passport",
    ),
    *("testlab_tools.node_queue.", "testlab_tools.notify.notifier", "h11"),
)
IMPORTED_BEFORE_ALL = 60
"""Modules, most of Python's own, that giving the answers of the last start may take."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = tmp_path / "config.toml"
    config.write_text(
        f"[files]\nsave_to = [{json.dumps(str(tmp_path))}]\n"
        '[services.portal]\nkind = "stbtester"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n'
        '[services.factory]\nkind = "tofupilot"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n'
        '[services.cloud]\nkind = "standcloud"\nurl = "http://127.0.0.1:9"\ntoken = "t"\n',
        encoding="utf-8",
    )
    return config


def list_tools(config: Path, then_call: str = "") -> tuple[set[str], str]:
    """The modules that are imported when the tools have been listed, and the list; or when a call after that has been
    answered, and its answer."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    call = {
        "jsonrpc": "2.0",
        "id": "call",
        "method": "tools/call",
        "params": {"name": then_call, "arguments": {"no": 1}},
    }
    asked += [call] if then_call else []
    awaited = '"id":"call"' if then_call else '"list_runs"'
    command = [sys.executable, "-X", "importtime", "-m", "testlab_mcp", "serve", "--config", str(config)]
    log = config.with_name("imports.txt")
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with log.open("w", encoding="utf-8") as err, subprocess.Popen(command, stderr=err, text=True, **pipes) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.writelines(json.dumps(message) + "\n" for message in asked)
        process.stdin.flush()
        while awaited not in (line := process.stdout.readline()):
            assert line, "the server ended before it had answered"
        imported = log.read_text(encoding="utf-8")
        process.communicate(timeout=10)
    return set(re.findall(r"\| +([\w.]+)$", imported, re.MULTILINE)), line


def test_listing_the_tools_imports_nothing_that_only_some_calls_need(config: Path) -> None:
    imported, _ = list_tools(config)
    assert "testlab_tools.adapters.stbtester.jobs" in imported
    assert imported & UNUSED == set()


@pytest.mark.skipif(os.name != "posix", reason="on Windows nothing is answered early")
def test_a_second_start_lists_the_tools_before_it_has_imported_the_server(config: Path) -> None:
    _, first = list_tools(config)
    imported, second = list_tools(config)
    assert second == first
    assert {"testlab_mcp.protocol.server", "testlab_mcp.config.loading"} & imported == set()


@pytest.mark.skipif(os.name != "posix", reason="on Windows nothing is answered early")
def test_the_first_call_imports_nothing_of_what_other_tools_do(config: Path) -> None:
    listed, _ = list_tools(config)
    imported, answer = list_tools(config, then_call="list_nodes")
    assert "list_nodes has no argument no" in answer
    assert {"testlab_tools.tools.statistics", "testlab_tools.tools.campaigns"} <= imported
    assert {name for name in imported if name.startswith(OF_OTHER_TOOLS)} == set()
    assert {name for name in listed if name.startswith(OF_OTHER_TOOLS)}, "the list says what they return"


def test_what_gives_the_answers_of_the_last_start_imports_little() -> None:
    code = "import sys; before = set(sys.modules); import testlab_mcp.startup.early; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=PATHS)
    imported = set(ran.stdout.split())
    assert len(imported) <= IMPORTED_BEFORE_ALL
    assert imported & {"asyncio", "mcp", "pathlib", "platformdirs", "pydantic", "socket", "tempfile", "typing"} == set()


@pytest.mark.parametrize("over_http", [False, True])
def test_of_the_sdk_that_a_server_imports_all_can_be_used(over_http: bool) -> None:
    code = f"""
import sys
from testlab_mcp.startup.sdk import import_sdk
import_sdk({over_http})
import mcp.server.mcpserver, mcp_types
assert "mcp.client" not in sys.modules and ("uvicorn" in sys.modules) == {over_http}
from mcp.server.mcpserver.resources import TextResource
late = (mcp_types.CallToolRequest, mcp_types.CallToolRequestParams, mcp_types.Request, TextResource)
assert not any(model.__pydantic_complete__ for model in late)
assert TextResource(uri="a://b", text="c").text == "c"
assert [mcp_types.CallToolRequest.model_validate(m).params.name for m in [dict(params=dict(name="x"))]] == ["x"]
assert mcp_types.client_request_adapter.validate_python(dict(method="ping")).method == "ping"
assert mcp_types.jsonrpc_message_adapter.validate_json('{{"jsonrpc":"2.0","id":1,"method":"ping"}}').method == "ping"
from pydantic import BaseModel, TypeAdapter
class Later(BaseModel): x: int
assert Later.__pydantic_complete__ and TypeAdapter(list[int]).pydantic_complete
import uvicorn
from mcp import Client
assert Client is mcp.client.client.Client and uvicorn.Server
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
