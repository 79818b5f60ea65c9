"""Manners in a shared lab: nodes are held with a reason and an end, and given back."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, ImageContent

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server_processes import ServerProcess, start_server

ADMIN = '[server]\naccess = "admin"\n'


@pytest.fixture
def portal(fresh_sim: SimLab) -> Callable[..., httpx2.Response]:
    """The portal, asked plainly, as you or as your colleague."""
    service = fresh_sim.services()["stbtester"]

    def ask(method: str, path: str, body: object = None, who: str = "token") -> httpx2.Response:
        headers = {"Authorization": f"token {service[who]}"}
        return httpx2.request(method, service["url"] + "/api/v2" + path, json=body, headers=headers)

    return ask


@pytest.fixture
def control(fresh_sim: SimLab) -> Callable[..., httpx2.Response]:
    root = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    return lambda method, path, body=None: httpx2.request(method, f"{root}/_sim/{path}", json=body)


async def free_node(client: Client, ask: ToolCaller) -> str:
    return (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]


async def reserved(client: Client, ask: ToolCaller, node: str, minutes: int = 5) -> dict[str, Any]:
    made = await ask(client, "reserve_nodes", node_ids=[node], message="soak", duration_minutes=minutes)
    return made["reservations"][0]


async def test_several_nodes_are_reserved_all_or_none(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        free = [n["node_id"] for n in nodes if n["state"] == "free"][:2]
        busy = next(n["node_id"] for n in nodes if n["state"] == "busy")
        await refused(client, "reserve_nodes", node_ids=[*free, busy], message="m", duration_minutes=5)
        states = (await ask(client, "list_nodes", node_ids=free))["nodes"]
        assert [n["state"] for n in states] == ["free", "free"]
        twice = [*free, free[0].partition(":")[2]]
        made = await ask(client, "reserve_nodes", node_ids=twice, message="m", duration_minutes=5)
        assert [r["node_id"] for r in made["reservations"]] == free


async def test_a_reservation_is_extended_and_says_its_new_end(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        held = await reserved(client, ask, await free_node(client, ask))
        longer = await ask(client, "extend_reservation", reservation_id=held["reservation_id"], minutes=30)
        before, after = (time.strptime(r["expires_at"], "%Y-%m-%dT%H:%M:%SZ") for r in (held, longer))
        assert time.mktime(after) - time.mktime(before) == pytest.approx(1800, abs=1)


async def test_what_has_expired_is_free_and_cannot_be_extended(
    fresh_sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Callable[..., httpx2.Response],
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        held = await reserved(client, ask, node)
        control("POST", "clock", {"advance_seconds": 301}).raise_for_status()
        assert (await ask(client, "list_nodes", node_ids=[node]))["nodes"][0]["state"] == "free"
        told = await refused(client, "extend_reservation", reservation_id=held["reservation_id"], minutes=5)
        assert "has ended, or never was" in told
        over = await ask(client, "end_reservation", reservation_id=held["reservation_id"])
        assert (over["ended"], "had ended before" in over["next"]) == (False, True)
        assert "no such reservation" in await refused(client, "end_reservation", reservation_id="portal:999")


async def test_somebody_elses_reservation_is_not_extended_or_ended(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        theirs = next(n["reservation"] for n in nodes if n["state"] == "reserved")
        for tool, arguments in (("end_reservation", {}), ("extend_reservation", {"minutes": 5})):
            told = await refused(client, tool, reservation_id=theirs["reservation_id"], **arguments)
            assert "held by colleague" in told


async def test_forever_is_for_admins(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        told = await refused(client, "reserve_nodes", node_ids=[node], message="m", duration_minutes=0)
        assert '[server] access = "admin"' in told
    async with connect(ADMIN + fresh_sim.config_toml()) as client:
        assert (await reserved(client, ask, node, minutes=0))["expires_at"] == "no end"


def client_that_answers(config: str, answer: str, mode: str, asked: list[str]) -> Client:
    async def decide(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        if answer == "decline":
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"go_ahead": answer == "yes"})

    read = parse_config(config)
    return Client(build_server(read.lab(), policy_of(read), read.folders()), mode=mode, elicitation_callback=decide)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_interrupting_asks_the_person_and_quotes_whom_it_hits(
    fresh_sim: SimLab, ask: ToolCaller, mode: str
) -> None:
    asked: list[str] = []
    async with client_that_answers(ADMIN + fresh_sim.config_toml(), "yes", mode, asked) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        node = next(n for n in nodes if n["state"] == "reserved")
        theirs = node["reservation"]
        done = await ask(client, "interrupt_reservation", reservation_id=theirs["reservation_id"], message="Emergency")
        assert done["ended"]
        (question,) = asked
        for fact in (theirs["holder"], theirs["message"], theirs["expires_at"], node["node_id"], "Emergency"):
            assert json.dumps(fact)[1:-1] in question
        assert (await ask(client, "list_nodes", node_ids=[node["node_id"]]))["nodes"][0]["state"] == "free"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("answer", ["no", "decline"])
async def test_nothing_is_interrupted_when_the_person_does_not_agree(
    fresh_sim: SimLab, ask: ToolCaller, refused: RefusedCaller, mode: str, answer: str
) -> None:
    async with client_that_answers(ADMIN + fresh_sim.config_toml(), answer, mode, []) as client:
        nodes = (await ask(client, "list_nodes"))["nodes"]
        node = next(n for n in nodes if n["state"] == "reserved")
        told = await refused(
            client,
            "interrupt_reservation",
            reservation_id=node["reservation"]["reservation_id"],
            message="m",
            confirm=node["node_id"],
        )
        assert "did not agree" in told
        assert (await ask(client, "list_nodes", node_ids=[node["node_id"]]))["nodes"][0]["state"] == "reserved"


async def test_a_client_that_cannot_ask_must_repeat_the_nodes_name(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(ADMIN + fresh_sim.config_toml()) as client:
        node = next(n for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == "reserved")
        theirs = {"reservation_id": node["reservation"]["reservation_id"], "message": "Emergency"}
        for confirm in ("", "yes", "portal:another"):
            told = await refused(client, "interrupt_reservation", **theirs, confirm=confirm)
            assert f"confirm={node['node_id']!r}" in told
            assert node["reservation"]["message"] not in told, "what the holder wrote stays out of errors"
        assert (await ask(client, "interrupt_reservation", **theirs, confirm=node["node_id"]))["ended"]


async def test_interrupting_is_not_offered_below_admin(
    fresh_sim: SimLab, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        assert "interrupt_reservation" not in {tool.name for tool in (await client.list_tools()).tools}
        told = await refused(client, "interrupt_reservation", reservation_id="1", message="m")
        assert 'needs [server] access = "admin"' in told


@pytest.mark.parametrize("when", ["reset", "reset-after", "missing-field"])
async def test_a_reservation_whose_answer_was_lost_is_looked_up(
    when: str,
    fresh_sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Callable[..., httpx2.Response],
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        fault = {"action": when, "path_prefix": "/api/v2/reservations", "method": "POST", "field": "reservations"}
        control("POST", "faults", fault).raise_for_status()
        if when != "reset":
            held = await reserved(client, ask, node)
            assert held["node_id"] == node
        else:
            told = await refused(client, "reserve_nodes", node_ids=[node], message="soak", duration_minutes=5)
            assert "Nothing was reserved so far. It is safe to call again with the same arguments" in told
    sent = control("GET", "requests").json()
    assert count(sent, "POST", "/api/v2/reservations") == 1


@pytest.mark.parametrize("when", ["reset", "reset-after"])
async def test_an_extension_whose_answer_was_lost_is_made_once_at_most(
    when: str,
    fresh_sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Callable[..., httpx2.Response],
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        held = await reserved(client, ask, node)
        control("POST", "faults", {"action": when, "path_prefix": "/api/v2/reservations", "method": "POST"})
        if when == "reset-after":
            longer = await ask(client, "extend_reservation", reservation_id=held["reservation_id"], minutes=60)
            assert longer["expires_at"] > held["expires_at"]
        else:
            told = await refused(client, "extend_reservation", reservation_id=held["reservation_id"], minutes=60)
            assert "has not moved. It is safe to call again" in told


async def test_ending_is_repeated_when_its_answer_was_lost(
    fresh_sim: SimLab, connect: Connect, ask: ToolCaller, control: Callable[..., httpx2.Response]
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        held = await reserved(client, ask, node)
        control("POST", "faults", {"action": "reset-after", "path_prefix": "/api/v2/reservations", "method": "DELETE"})
        assert (await ask(client, "end_reservation", reservation_id=held["reservation_id"]))["ended"]
        assert (await ask(client, "list_nodes", node_ids=[node]))["nodes"][0]["state"] == "free"


def count(requests: dict[str, Any], method: str, path: str) -> int:
    return sum(r["count"] for r in requests["requests"] if r["method"] == method and r["path"].startswith(path))


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin", "http"])
def test_what_a_server_reserved_is_free_when_it_is_told_to_stop(
    how: str, fresh_sim: SimLab, portal: Callable[..., httpx2.Response], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(fresh_sim.config_toml(), encoding="utf-8")
    node = next(n["node_id"] for n in portal("GET", "/nodes").json() if n["available"])
    reserve = {"node_ids": [node], "message": "soak", "duration_minutes": 60}
    params = {"name": "reserve_nodes", "arguments": reserve}
    over_http = ("--http", "127.0.0.1:0") if how == "http" else ()
    with start_server("serve", "--config", str(config), *over_http, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        if how == "http":
            url = process.stderr.readline().split()[-1]
            meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
            meta |= {"io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"}}
            meta |= {"io.modelcontextprotocol/clientCapabilities": {}}
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": meta}}
            headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "reserve_nodes"}
            headers["Accept"] = "application/json, text/event-stream"
            reply = httpx2.post(url, json=asked, headers=headers)
            assert reply.status_code == 200, reply.text
        else:
            hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            say(process, {"id": 1, "method": "initialize", "params": hello}, {"method": "notifications/initialized"})
            say(process, {"id": 2, "method": "tools/call", "params": params})
            while json.loads(process.stdout.readline()).get("id") != 2:
                pass
        assert held(portal, node)
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGINT if how == "SIGINT" else signal.SIGTERM)
        process.wait(timeout=8)
    assert not held(portal, node)


def say(process: ServerProcess, *messages: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.writelines(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    process.stdin.flush()


def held(portal: Callable[..., httpx2.Response], node: str) -> bool:
    return portal("GET", f"/nodes/{node}").json()["reservation"] is not None


async def screen_of(client: Client, node: str) -> str:
    image = (await client.call_tool("grab_screenshot", {"node_id": node})).content[0]
    assert isinstance(image, ImageContent)
    return image.data


async def test_a_key_is_pressed_and_the_screen_changes(fresh_sim: SimLab, connect: Connect, ask: ToolCaller) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        before = await screen_of(client, node)
        assert (await ask(client, "press_key", node_id=node, key="KEY_EPG"))["key"] == "KEY_EPG"
        assert await screen_of(client, node) != before


@pytest.mark.parametrize(
    ("state", "key", "told"),
    [
        ("reserved", "KEY_OK", "reserved by colleague"),
        ("offline", "KEY_OK", "offline"),
        ("free", "KEY_NONESUCH", "no such key"),
        ("free", "KEY OK; rm", "name is not one"),
    ],
)
async def test_a_key_that_cannot_be_pressed_is_told_why(
    state: str, key: str, told: str, fresh_sim: SimLab, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = next(n["node_id"] for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == state)
        assert told in await refused(client, "press_key", node_id=node, key=key)


@pytest.mark.parametrize("when", ["reset", "reset-after"])
async def test_an_interruption_whose_answer_was_lost_is_looked_up(
    when: str,
    fresh_sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Callable[..., httpx2.Response],
) -> None:
    async with connect(ADMIN + fresh_sim.config_toml()) as client:
        node = next(n for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == "reserved")
        order = {"reservation_id": node["reservation"]["reservation_id"], "message": "m", "confirm": node["node_id"]}
        control("POST", "faults", {"action": when, "path_prefix": "/api/v2/reservations", "method": "POST"})
        if when == "reset-after":
            assert (await ask(client, "interrupt_reservation", **order))["ended"]
        else:
            told = await refused(client, "interrupt_reservation", **order)
            assert "still stands. It is safe to call again" in told


async def test_a_key_whose_answer_was_lost_is_not_pressed_again(
    fresh_sim: SimLab,
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Callable[..., httpx2.Response],
) -> None:
    async with connect(fresh_sim.config_toml()) as client:
        node = await free_node(client, ask)
        control("POST", "faults", {"action": "reset-after", "path_prefix": "/api/v2/nodes", "method": "POST"})
        told = await refused(client, "press_key", node_id=node, key="KEY_OK")
        assert "may or may not have been pressed" in told
        assert "grab_screenshot" in told
    pressed = [r for r in control("GET", "requests").json()["requests"] if r["path"].endswith("/press")]
    assert sum(r["count"] for r in pressed) == 1
