"""Resources: what a client attaches is what the tool of the same right answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import BlobResourceContents, TextResourceContents

from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.protocol.resources import TEMPLATES
from tests.fixture_types import Connect, ToolCaller

RUN, LOG, ARTIFACT = (
    "testlab://runs/{handle}",
    "testlab://runs/{handle}/log",
    "testlab://runs/{handle}/artifacts/{name}",
)
NODE, SCREEN, TEST = "testlab://nodes/{node_id}", "testlab://nodes/{node_id}/screen", "testlab://tests/{test}"
HANDLES = [
    "portal:/stb-tester-abcdef123456/0a23/972/2015-05-28_14.46.34",
    "factory:0196434d-e8f7-7ce1-81f7-e16f20487494",
    "old:SN-1/005f1ec0-0000-4000-8000-000000000000",
    "old:SN%2F1%20x/2024-09-05T08:38:17.115000+00:00",
    "cloud:12730bbd-2b78-43e5-8b47-4752bf28d912",
]
NAMES = ["a b.txt", "100%.csv", "%2F", "a%20b", "..", "a/../b", "Prüfung/日本.log", "a,b;c?d#e&f=g", "x\\y", "{name}"]


async def as_json(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    return json.loads(content.text)


@pytest.mark.parametrize("handle", HANDLES)
@pytest.mark.parametrize("name", NAMES)
def test_ids_and_names_of_any_shape_come_back_from_the_uri_as_they_were(
    handle: str, name: str, uri: Callable[..., str]
) -> None:
    values = {"handle": handle, "name": name, "node_id": name, "test": name, "job_uid": handle}
    values |= {"campaign_id": name, "watch_id": handle}
    for template in TEMPLATES:
        wanted = {key: values[key] for key in template.parsed.variable_names}
        for made in (uri(template.uri, **wanted), template.parsed.expand(wanted)):
            assert made.isascii()
            assert [s.name for s in TEMPLATES if s.parsed.match(made) is not None] == [template.name]
            assert template.parsed.match(made) == wanted


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("service", ["portal", "factory", "cloud"])
async def test_a_run_is_what_get_run_answers_with_only_the_measurements_that_failed(
    service: str,
    mode: str,
    sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    uri: Callable[..., str],
    failed_run: Callable[..., Any],
) -> None:
    async with connect(sim.config_toml(), mode) as client:
        run_id = (await failed_run(client, service))["run_id"]
        told = await ask(client, "get_run", run_id=run_id, include=["cases", "measurements", "artifacts"])
        read = await as_json(client, uri(RUN, handle=run_id))
    assert read["run"] == told["run"]
    assert read["untrusted"] == told["untrusted"]
    assert [case["case"] for case in read["cases"]] == [case["case"] for case in told["cases"]]
    measured = [m for case in told["cases"] for m in case.get("measurements", [])]
    failed = [m for m in measured if m["outcome"] == "fail"]
    assert [m for case in read["cases"] for m in case.get("measurements", [])] == failed
    left_out = f"{len(measured) - len(failed)} measurements that did not fail are left out."
    assert (left_out in read.get("note", "")) == (len(measured) > len(failed))
    assert read.get("artifacts") == told.get("artifacts")


async def test_a_run_of_an_api_that_knows_runs_by_serial_number_is_found_by_its_handle(
    sim: SimLab, connect: Connect, ask: ToolCaller, uri: Callable[..., str], failed_run: Callable[..., Any]
) -> None:
    factory = sim.services()["tofupilot"]
    table = f'[services.old]\nkind = "tofupilot"\napi_version = "v1"\nurl = "{factory["url"]}"\n'
    async with connect(f'{sim.config_toml()}{table}token = "{factory["token"]}"\n') as client:
        unit = (await failed_run(client, "factory"))["unit"]
        run_id = (await ask(client, "list_runs", service="old", unit=unit))["runs"][0]["run_id"]
        read = await as_json(client, uri(RUN, handle=run_id))
    assert "/" in run_id
    assert read["run"]["run_id"] == run_id


async def test_the_runs_of_a_test_are_what_list_runs_answers(
    sim: SimLab, connect: Connect, ask: ToolCaller, uri: Callable[..., str], failed_run: Callable[..., Any]
) -> None:
    async with connect(sim.config_toml()) as client:
        test = (await failed_run(client, "factory"))["test"]
        read = await as_json(client, uri(TEST, test=test))
        assert read["runs"] == (await ask(client, "list_runs", test=test))["runs"]
        assert "test" in read["untrusted"]
        assert {share["service"] for share in read["services"]} == {"portal", "factory", "cloud"}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_node_and_its_screen_can_be_attached(
    mode: str, sim: SimLab, connect: Connect, ask: ToolCaller, uri: Callable[..., str]
) -> None:
    async with connect(sim.config_toml(), mode) as client:
        node_id = (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]
        node = await as_json(client, uri(NODE, node_id=node_id))
        screen, facts = (await client.read_resource(uri(SCREEN, node_id=node_id))).contents
    assert [n["node_id"] for n in node["nodes"]] == [node_id]
    assert node["nodes"][0]["detail"]
    assert "detail" in node["untrusted"]
    assert isinstance(screen, BlobResourceContents)
    assert screen.mime_type == "image/jpeg"
    assert base64.b64decode(screen.blob).startswith(b"\xff\xd8\xff")
    assert screen.meta == {"testlab/untrusted": True}
    assert isinstance(facts, TextResourceContents)
    assert "original 1280x720" in facts.text


async def test_the_services_are_told_with_their_tools_and_nothing_secret(sim: SimLab, connect: Connect) -> None:
    async with connect('[server]\naccess = "observe"\n' + sim.config_toml()) as client:
        listed, *_ = (await client.list_resources()).resources
        read = await as_json(client, listed.uri)
    rows = {row["service"]: row for row in read["services"]}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "portal": "stbtester",
        "factory": "tofupilot",
        "cloud": "standcloud",
    }
    assert "grab_screenshot" in rows["portal"]["tools"]
    assert "grab_screenshot" not in rows["factory"]["tools"]
    assert "run_tests" not in rows["portal"]["tools"]
    for service in sim.services().values():
        assert service["token"] not in json.dumps(read)
        assert service["url"] not in json.dumps(read)


@pytest.mark.parametrize(
    ("server", "gone", "tool", "why"),
    [
        ('deny = ["get_run"]', RUN, "get_run", "[server] deny"),
        ('deny = ["read_log"]', LOG, "read_log", "[server] deny"),
        ('deny = ["get_artifact"]', ARTIFACT, "get_artifact", "[server] deny"),
        ('deny = ["list_runs"]', TEST, "list_runs", "[server] deny"),
        ('toolsets = ["runs"]', NODE, "list_nodes", "[server] toolsets"),
        ('deny = ["grab_screenshot"]', SCREEN, "grab_screenshot", "[server] deny"),
    ],
)
async def test_what_a_tool_may_not_tell_a_resource_does_not_tell(
    server: str,
    gone: str,
    tool: str,
    why: str,
    sim: SimLab,
    connect: Connect,
    uri: Callable[..., str],
    denied: Callable[..., Any],
) -> None:
    async with connect(f"[server]\n{server}\n{sim.config_toml()}") as client:
        templates = {t.uri_template for t in (await client.list_resource_templates()).resource_templates}
        asked = uri(gone, handle="portal:/a/b/c/d", name="x", node_id="portal:stb", test="t")
        code, said = await denied(client.read_resource(asked))
    assert gone not in templates
    assert code == -32602
    assert said.startswith(f"Not allowed: {tool} ")
    assert why in said


async def test_a_deployment_without_nodes_offers_none(sim: SimLab, connect: Connect) -> None:
    factory = sim.config_toml().replace("[services.portal]", "[services.x]").partition("[services.factory]")
    async with connect(factory[1] + factory[2].partition("[services.cloud]")[0]) as client:
        templates = {t.uri_template for t in (await client.list_resource_templates()).resource_templates}
    assert templates == {RUN, LOG, TEST}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("testlab://nothing", "There is no such resource. There are: testlab://services, testlab://runs/{handle}"),
        ("testlab://runs/portal:/stb-tester-1/0a23/1/x", "are percent-encoded, / as %2F"),
        ("file:///etc/passwd", "There is no such resource."),
        ("testlab://runs/", "The id is empty."),
        ("testlab://runs/nobody%3Ax", "The id has no configured service in front of it"),
        ("testlab://runs/portl%3A%2Fa", "Did you mean portal:…?"),
        ("testlab://runs/cloud%3A12730bbd-2b78-43e5-8b47-4752bf28d999", "cloud has no such test run"),
        ("testlab://runs/cloud%3A12730bbd-2b78-43e5-8b47-4752bf28d999/log", "Service cloud cannot do this"),
        (
            "testlab://nodes/portal%3Anowhere",
            'no such node. list_nodes shows all nodes. Asked for: "nowhere".',
        ),
        ("testlab://nodes/portal%3A%2E%2E%2Fjobs", 'Asked for: "../jobs".'),
    ],
)
async def test_what_there_is_not_is_a_protocol_error_in_our_words(
    asked: str, words: str, mode: str, sim: SimLab, connect: Connect, denied: Callable[..., Any]
) -> None:
    async with connect(sim.config_toml(), mode) as client:
        code, said = await denied(client.read_resource(asked))
    assert code == -32602
    assert words in said


async def test_an_outage_is_an_error_that_names_the_service(
    connect: Connect, dead_url: str, denied: Callable[..., Any], no_backoff: None
) -> None:
    config = f'[services.cloud]\nkind = "standcloud"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(config) as client:
        code, said = await denied(client.read_resource("testlab://runs/cloud%3A12730bbd-2b78-43e5-8b47-4752bf28d999"))
    assert code == -32603
    assert said.startswith("Service cloud cannot be reached.")


async def test_a_read_that_takes_too_long_is_given_up(
    fresh_sim: SimLab,
    connect: Connect,
    denied: Callable[..., Any],
    uri: Callable[..., str],
    failed_run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("testlab_mcp.protocol.availability.READ_SECONDS", 0.3)
    url = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    async with connect(fresh_sim.config_toml()) as client, httpx2.AsyncClient(base_url=f"{url}/_sim") as control:
        run_id = (await failed_run(client, "cloud"))["run_id"]
        await control.post("/faults", json={"service": "standcloud", "action": "hold", "times": 0})
        code, said = await denied(client.read_resource(uri(RUN, handle=run_id)))
        await control.delete("/faults")
        assert (await as_json(client, uri(RUN, handle=run_id)))["run"]["run_id"] == run_id
    assert (code, said) == (-32603, "It took longer than 0.3 s, and was given up.")


async def test_what_nobody_foresaw_is_logged_and_not_told(
    sim: SimLab,
    connect: Connect,
    denied: Callable[..., Any],
    uri: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("secret")

    async with connect(sim.config_toml()) as client:
        monkeypatch.setattr("testlab_tools.adapters.standcloud.adapter.StandCloud.get_run", fails)
        code, said = await denied(client.read_resource(uri(RUN, handle=HANDLES[-1])))
        assert (await client.list_resources()).resources
    assert (code, said.partition(".")[0]) == (-32603, "Something went wrong inside this server")
    assert "secret" not in said
    assert "ZeroDivisionError" in caplog.text
