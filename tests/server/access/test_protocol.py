"""Resources, prompts and completions are each caller's own, and the audit tells who was refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference, TextResourceContents

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

MINE, OTHER = "stb-tester-00044b80f101", "stb-tester-00044b80f102"
RUN = "testlab://runs/{handle}"


@pytest.fixture(scope="module")
def audit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def url(sim: SimLab, desk: Desk, audit_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    callers = [
        desk.table_of("alice", access="operate"),
        desk.table_of("nora", access="operate", nodes=[MINE]),
        desk.table_of("oscar", access="observe", services=["cloud"], deny=["get_run"]),
    ]
    files = f"[files]\nsave_to = ['{tmp_path_factory.mktemp('files')}']\n[audit]\nfile = '{audit_file}'\n"
    lab = sim.config_toml().replace("[audit]\nenabled = false\n", "")
    with desk.served(desk.everything + files + "".join(callers) + lab) as at:
        yield at


def told(audit_file: Path) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in audit_file.read_text(encoding="ascii").splitlines()]
    return [(line["who"], line["tool"], line.get("outcome", line["event"])) for line in lines]


async def test_the_menu_holds_what_the_caller_may_call(url: str, desk: Desk) -> None:
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "oscar") as oscar:
        every = {t.uri_template for t in (await alice.list_resource_templates()).resource_templates}
        few = {t.uri_template for t in (await oscar.list_resource_templates()).resource_templates}
        prompts = [{p.name for p in (await who.list_prompts()).prompts} for who in (alice, oscar)]
    assert RUN in every
    assert few == {"testlab://tests/{test}", "testlab://watches/{watch_id}"}
    assert prompts == [{"morning_triage", "unit_passport", "reproduce_failure"}, {"morning_triage", "unit_passport"}]


async def test_a_skill_names_the_callers_own_tools_alone(url: str, desk: Desk, audit_file: Path) -> None:
    texts: list[str] = []
    there: list[set[str]] = []
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "oscar") as oscar:
        for who in (alice, oscar):
            (content,) = (await who.read_resource("skill://morning-triage/SKILL.md")).contents
            assert isinstance(content, TextResourceContents)
            texts.append(content.text)
            listed = (await who.list_resources()).resources
            there.append({resource.name for resource in listed if resource.uri.startswith("skill://")})
        with pytest.raises(MCPError, match=r"Not allowed: get_run is switched off by \[callers.oscar\] deny"):
            await oscar.read_resource("skill://reproduce-on-free-node/SKILL.md")
    assert ["list_nodes" in text for text in texts] == [True, False]
    assert there[1] == {"may-this-unit-ship", "morning-triage"}
    assert there[0] == there[1] | {"record-production-results", "reproduce-on-free-node"}
    assert told(audit_file)[-1] == ("oscar", "get_run", "refused")


async def test_a_resource_of_anothers_node_or_service_is_not_read(url: str, desk: Desk, ask: ToolCaller) -> None:
    async with desk.signed_in(url, "alice") as alice:
        run = (await ask(alice, "list_runs", station=f"portal:{OTHER}", limit=1))["runs"][0]["run_id"]
        read = await alice.read_resource(RUN.format(handle=quote(run, safe="")))
    assert isinstance(read.contents[0], TextResourceContents)
    async with desk.signed_in(url, "nora") as nora:
        with pytest.raises(MCPError, match=r"\[callers.nora\] nodes"):
            await nora.read_resource(RUN.format(handle=quote(run, safe="")))
        with pytest.raises(MCPError, match=r"\[callers.nora\] nodes"):
            await nora.read_resource(f"testlab://nodes/{quote(f'portal:{OTHER}', safe='')}/screen")
    async with desk.signed_in(url, "oscar") as oscar:
        services = (await oscar.read_resource("testlab://services")).contents[0]
    assert isinstance(services, TextResourceContents)
    assert "cloud" in services.text
    assert "portal" not in services.text


async def test_nodes_are_completed_from_the_callers_own(url: str, desk: Desk) -> None:
    ref = ResourceTemplateReference(uri="testlab://nodes/{node_id}")
    found = {}
    for who in ("alice", "nora", "alice"):
        async with desk.signed_in(url, who) as client:
            found[who] = (await client.complete(ref, {"name": "node_id", "value": "portal:"})).completion.values
    assert f"portal:{OTHER}" in found["alice"]
    assert found["nora"] == [f"portal:{MINE}"]


async def test_the_audit_names_who_changed_something_and_who_was_refused(
    url: str, desk: Desk, ask: ToolCaller, refused: RefusedCaller, audit_file: Path
) -> None:
    async with desk.signed_in(url, "alice") as alice:
        made = await ask(alice, "reserve_nodes", node_ids=[MINE], message="m", duration_minutes=1)
        await ask(alice, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
    async with desk.signed_in(url, "oscar") as oscar:
        await refused(oscar, "reserve_nodes", node_ids=[MINE], message="m", duration_minutes=1)
        with pytest.raises(MCPError, match="Not allowed"):
            await oscar.read_resource(RUN.format(handle=quote("cloud:0196434d-e8f7-7ce1-81f7-e16f20487494", safe="")))
    lines = told(audit_file)
    assert ("alice", "reserve_nodes", "ok") in lines
    assert ("oscar", "reserve_nodes", "refused") in lines
    assert ("oscar", "get_run", "refused") in lines
    assert {who for who, tool, _ in lines if tool in ("reserve_nodes", "end_reservation")} == {"alice", "oscar"}


async def test_the_audit_tells_of_a_resource_that_the_fence_refused(url: str, desk: Desk, audit_file: Path) -> None:
    async with desk.signed_in(url, "nora") as nora:
        with pytest.raises(MCPError, match=r"\[callers.nora\] nodes"):
            await nora.read_resource(f"testlab://nodes/{quote(f'portal:{OTHER}', safe='')}/screen")
    last = json.loads(audit_file.read_text(encoding="ascii").splitlines()[-1])
    assert (last["who"], last["tool"], last["outcome"], last["by"]) == ("nora", "grab_screenshot", "refused", "lab")
    assert OTHER in last["target"]


async def test_reads_of_resources_are_written_down_with_the_calls_that_only_look(
    sim: SimLab, desk: Desk, serve: Serve, tmp_path: Path
) -> None:
    audit = f"[audit]\nfile = '{tmp_path / 'reads.jsonl'}'\nreads = true\n"
    lab = sim.config_toml().replace("[audit]\nenabled = false\n", "")
    async with desk.signed_in(serve(audit + desk.table_of("alice") + lab), "alice") as alice:
        await alice.read_resource(f"testlab://nodes/{quote(f'portal:{MINE}', safe='')}")
    assert told(tmp_path / "reads.jsonl") == [("alice", "list_nodes", "ok")]


async def test_too_many_reads_are_refused_and_in_the_audit(
    sim: SimLab, desk: Desk, serve: Serve, tmp_path: Path
) -> None:
    tables = f"[audit]\nfile = '{tmp_path / 'rate.jsonl'}'\n[http]\ncalls_per_minute = 1\n" + desk.table_of("alice")
    url = serve(tables + sim.config_toml().replace("[audit]\nenabled = false\n", ""))
    async with desk.signed_in(url, "alice") as alice:
        await alice.read_resource("testlab://services")
        with pytest.raises(MCPError, match="Too many calls"):
            await alice.read_resource(f"testlab://nodes/{quote(f'portal:{MINE}', safe='')}")
        with pytest.raises(MCPError, match="Too many calls"):
            await alice.get_prompt("morning_triage", {})
    assert told(tmp_path / "rate.jsonl") == [("alice", "list_nodes", "refused"), ("alice", "triage", "refused")]


async def test_completions_are_counted_apart_from_calls_and_bounded_too(
    sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller
) -> None:
    url = serve("[http]\ncalls_per_minute = 2\n" + desk.table_of("alice") + sim.config_toml())
    ref = ResourceTemplateReference(uri="testlab://runs/{handle}/artifacts/{name}")
    async with desk.signed_in(url, "alice") as alice:
        for number in range(2):
            await alice.complete(ref, {"name": "name", "value": ""}, {"handle": f"portal:/{number}"})
        with pytest.raises(MCPError, match="Too many calls"):
            await alice.complete(ref, {"name": "name", "value": ""}, {"handle": "portal:/another"})
        assert (await ask(alice, "list_nodes"))["nodes"]
