"""OpenTelemetry by its standard variables: what a collector gets of calls, and what it never gets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller, ToolCaller
from tests.server_processes import serve_over_http

if TYPE_CHECKING:
    from tests.server.telemetry.conftest import Collector

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRETS = ("hunter2", "no_such_tool_of_ours", "testlab://runs")


@pytest.fixture
def config(sim: SimLab, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(sim.config_toml(), encoding="utf-8")
    return path


@asynccontextmanager
async def serving(
    transport: str, config: Path, mode: str, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """A client of a server with these variables. The server has ended, and sent what it had, when this ends."""
    if transport == "stdio":
        arguments = ["-m", "testlab_mcp", "serve", "--config", str(config)]
        environment = {**os.environ, **variables}
        server = StdioServerParameters(command=sys.executable, args=arguments, env=environment)
        async with Client(server, mode=mode) as client:
            yield client
    else:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with serve_over_http(config) as url:
            async with Client(url, mode=mode) as client:
                yield client


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_calls_and_their_requests_are_traced_and_counted(
    transport: str,
    mode: str,
    config: Path,
    collector: Collector,
    ask: ToolCaller,
    refused: RefusedCaller,
    sim: SimLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "lab-7"}
    async with serving(transport, config, mode, variables, monkeypatch) as client:
        meta: Any = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert not (await client.call_tool("list_nodes", {}, meta=meta)).is_error
        run = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]
        await refused(client, "get_run", run_id="portal:/hunter2/0a23/1/2020-01-01_00.00.00")
        await refused(client, "list_runs", hunter2="hunter2")
        with pytest.raises(MCPError):
            await client.call_tool("no_such_tool_of_ours", {})
        with pytest.raises(MCPError):
            await client.read_resource("testlab://runs/portal%3Ahunter2")

    (nodes,) = collector.named("tools/call list_nodes")
    assert (nodes["trace"], nodes["parent"]) == (TRACE, PARENT)
    assert nodes["gen_ai.tool.name"] == "list_nodes"
    assert (nodes["testlab.outcome"], nodes["testlab.services"], nodes["error"]) == ("ok", ["portal"], False)
    below = [span for span in collector.spans if span["parent"] == nodes["id"]]
    assert {(span["name"], span["testlab.service"], span["http.response.status_code"]) for span in below} == {
        ("GET", "portal", 200)
    }
    assert {span["server.address"] for span in below} == {"127.0.0.1"}
    (missing,) = collector.named("tools/call get_run")
    assert (missing["error"], missing["error.type"], missing["testlab.outcome"]) == (True, "NotFound", "error")
    (unknown,) = collector.named("tools/call unknown")
    assert (unknown["error.type"], unknown["message"], unknown["events"]) == ("-32602", "", 0)

    calls = {(point["tool"], point["outcome"]): point["value"] for point in collector.metrics["testlab.calls"]}
    assert calls == {
        ("list_nodes", "ok"): 1,
        ("list_runs", "ok"): 1,
        ("list_runs", "refused"): 1,
        ("get_run", "error"): 1,
        ("unknown", "error"): 1,
    }
    errors = {(point["tool"], point["kind"]): point["value"] for point in collector.metrics["testlab.errors"]}
    assert errors == {("list_runs", "BadInput"): 1, ("get_run", "NotFound"): 1, ("unknown", "-32602"): 1}
    timed = {
        (p["service"], p["method"], p["status"]): p["value"] for p in collector.metrics["testlab.request.duration"]
    }
    assert timed["portal", "GET", "2xx"] >= 1
    assert timed["portal", "GET", "4xx"] >= 1
    assert timed["factory", "GET", "2xx"] >= 1
    assert {resource["service.name"] for resource in collector.resources} == {"lab-7"}

    tokens = [service["token"] for service in sim.services().values()]
    sent = b"".join(collector.sent)
    for never in (*SECRETS, *tokens, run["run_id"], "/api/v2", "limit="):
        assert never.encode() not in sent, never


async def test_retries_are_of_one_request(
    config: Path, fresh_sim: SimLab, collector: Collector, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    config.write_text(fresh_sim.config_toml(), encoding="utf-8")
    control = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    fault = {"service": "stbtester", "path_prefix": "/api/v2/nodes", "status": 503, "times": 2}
    httpx2.post(f"{control}/_sim/faults", json=fault).raise_for_status()
    variables = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces"}
    async with serving("http", config, "auto", variables, monkeypatch) as client:
        await ask(client, "list_nodes")
    (request,) = [span for span in collector.named("GET") if span["testlab.service"] == "portal"]
    assert (request["http.request.resend_count"], request["http.response.status_code"]) == (2, 200)
    assert collector.metrics == {}, "nobody asked for them"


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    ],
)
async def test_nothing_is_sent_where_it_is_switched_off(
    variables: dict[str, str], config: Path, collector: Collector, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **variables}
    async with serving("http", config, "auto", variables, monkeypatch) as client:
        await ask(client, "list_nodes")
    assert collector.sent == []


def serve_to_the_end(config: Path, variables: Mapping[str, str]) -> str:
    """What a server over stdio without input says on stderr."""
    command = [sys.executable, "-m", "testlab_mcp", "serve", "--config", str(config)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, env=environment, check=True)
    assert done.stdout == ""
    return done.stderr


def test_what_is_not_installed_is_said_once_with_what_installs_it(config: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter')):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n",
        encoding="utf-8",
    )
    said = serve_to_the_end(config, {"OTEL_TRACES_EXPORTER": "otlp", "PYTHONPATH": str(tmp_path)})
    assert said.splitlines() == [
        'testlab-mcp: telemetry is asked for and not installed: pip install "testlab-mcp[telemetry]"'
    ]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "there is no exporter 'zipkin' of traces here"),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "no exporter 'http/json'"),
        ({"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "-5"}, "cannot be set up (ValueError)"),
    ],
)
def test_variables_that_cannot_be_followed_stop_nothing(variables: dict[str, str], words: str, config: Path) -> None:
    assert words in serve_to_the_end(config, variables)


def test_a_collector_that_does_not_answer_holds_up_no_end(config: Path, dead_url: str) -> None:
    begun = time.monotonic()
    serve_to_the_end(config, {"OTEL_EXPORTER_OTLP_ENDPOINT": dead_url})
    assert time.monotonic() - begun < 8
