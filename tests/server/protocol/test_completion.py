"""Completion: what a person may mean, cheaply asked; a service that does not answer only has nothing to offer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import PromptReference, ResourceTemplateReference

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, ToolCaller

RUN, LOG, TEST = "testlab://runs/{handle}", "testlab://runs/{handle}/log", "testlab://tests/{test}"
NODE = "testlab://nodes/{node_id}"


async def complete(client: Client, where: str, name: str, value: str = "") -> list[str]:
    ref = (
        ResourceTemplateReference(type="ref/resource", uri=where)
        if "://" in where
        else PromptReference(type="ref/prompt", name=where)
    )
    found = (await client.complete(ref, {"name": name, "value": value})).completion
    assert len(found.values) <= 100
    assert found.total is not None
    assert found.has_more == (found.total > len(found.values))
    return found.values


@pytest.fixture
def trace(fresh_sim: SimLab) -> Iterator[httpx2.Client]:
    url = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    with httpx2.Client(base_url=f"{url}/_sim", timeout=10) as control:
        yield control
        control.delete("/faults")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_handles_are_those_of_the_newest_failed_runs_first(
    mode: str, sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(sim.config_toml(), mode) as client:
        found = await complete(client, RUN, "handle")
        failed = (await ask(client, "list_runs", outcome="fail", limit=20, since="7d"))["runs"]
        outcomes = [(await ask(client, "get_run", run_id=h))["run"]["outcome"] for h in (found[0], found[40])]
    assert [h for h in found if h in {run["run_id"] for run in failed}] == [run["run_id"] for run in failed]
    assert outcomes == ["fail", "fail"]
    assert {h.partition(":")[0] for h in found} == {"portal", "factory", "cloud"}


async def test_handles_begin_as_typed_and_only_the_service_meant_is_asked(
    fresh_sim: SimLab, trace: httpx2.Client, connect: Connect
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        found = await complete(client, RUN, "handle", "portal:/stb-tester-")
        assert {row["service"] for row in trace.get("/requests").json()["requests"]} == {"stbtester"}
        assert found
        assert all(handle.startswith("portal:/stb-tester-") for handle in found)
        assert await complete(client, RUN, "handle", found[0][:-1]) == [found[0]]
        assert await complete(client, RUN, "handle", "nobody") == []


async def test_typing_on_asks_nobody_again(fresh_sim: SimLab, trace: httpx2.Client, connect: Connect) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        await complete(client, RUN, "handle")
        asked = trace.get("/requests").json()["count"]
        for typed in ("f", "fa", "factory:", "portal:/s"):
            await complete(client, RUN, "handle", typed)
        await complete(client, TEST, "test", "tests/")
        assert trace.get("/requests").json()["count"] == asked


async def test_only_runs_that_can_be_read_so_are_offered(sim: SimLab, connect: Connect) -> None:
    async with connect(sim.config_toml()) as client:
        logs = await complete(client, LOG, "handle")
        repeated = await complete(client, "reproduce_failure", "run_id")
    assert {handle.partition(":")[0] for handle in logs} == {"portal", "factory"}
    assert {handle.partition(":")[0] for handle in repeated} == {"portal"}


async def test_tests_serial_numbers_nodes_and_spans_are_offered(
    sim: SimLab, connect: Connect, ask: ToolCaller, with_insight: None
) -> None:
    async with connect(sim.config_toml()) as client:
        tests = await complete(client, TEST, "test", "TESTS/")
        units = await complete(client, "unit_passport", "serial_number", "stb4k-")
        nodes = await complete(client, NODE, "node_id", "portal:stb-")
        spans = await complete(client, "morning_triage", "since", "2")
        every = (await ask(client, "list_nodes"))["nodes"]
        known = [(await ask(client, "get_unit", serial_number=units[0]))["runs"]]
    assert tests
    assert all(test.startswith("tests/") for test in tests)
    assert all(unit.startswith("STB4K-") for unit in units)
    assert known[0]
    assert set(nodes) == {node["node_id"] for node in every}
    assert {node["node_id"] for node in every if node["state"] == "free"} == set(
        nodes[: sum(node["state"] == "free" for node in every)]
    )
    assert spans == ["24h"]


async def test_an_outage_completes_to_nothing_without_an_error(
    connect: Connect, dead_url: str, no_backoff: None
) -> None:
    config = f'[services.portal]\nkind = "stbtester"\nurl = "{dead_url}"\ntoken = "t"\n'
    async with connect(config) as client:
        for where, name in ((RUN, "handle"), (TEST, "test"), (NODE, "node_id"), ("reproduce_failure", "run_id")):
            assert await complete(client, where, name) == []


async def test_a_service_that_hangs_is_not_waited_for_and_all_are_asked_at_once(
    fresh_sim: SimLab, trace: httpx2.Client, connect: Connect
) -> None:
    for service in ("stbtester", "tofupilot"):
        trace.post("/faults", json={"service": service, "action": "hold", "times": 0})
    async with connect(fresh_sim.config_toml()) as client:
        completing = asyncio.create_task(complete(client, RUN, "handle"))
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(trace.get, "/requests")).json()["open"] != 4:
                assert not completing.done()
        found = await completing
    assert {handle.partition(":")[0] for handle in found} == {"cloud"}


@pytest.mark.parametrize(
    ("server", "where", "name", "values"),
    [
        ('deny = ["list_runs"]', RUN, "handle", []),
        ('deny = ["list_runs"]', "unit_passport", "serial_number", []),
    ],
)
async def test_what_a_tool_may_not_list_is_not_offered(
    server: str, where: str, name: str, values: list[str], sim: SimLab, connect: Connect
) -> None:
    async with connect(f"[server]\n{server}\n{sim.config_toml()}") as client:
        assert await complete(client, where, name) == values


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [
        ("testlab://nothing/{x}", "x", "There is no such resource template"),
        (RUN, "x", "It has no argument of that name."),
        ("nonsense", "x", "There is no such prompt."),
        ("unit_passport", "x", "It has no argument of that name."),
        (NODE, "node_id", "Not allowed: list_nodes is switched off by [server] deny."),
    ],
)
async def test_a_question_about_what_there_is_not_is_a_protocol_error(
    where: str, name: str, words: str, sim: SimLab, connect: Connect, denied: Callable[..., Any]
) -> None:
    async with connect(f'[server]\ndeny = ["list_nodes"]\n{sim.config_toml()}') as client:
        code, said = await denied(complete(client, where, name))
    assert code == -32602
    assert words in said
