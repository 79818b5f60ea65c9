"""A question asked through one replica is answered through another, if they share keys; by its own caller only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve

CAPABLE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
}


async def call(url: str, token: str, **params: Any) -> dict[str, Any]:
    """One call of interrupt_reservation in the era of 2026-07-28."""
    sent = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "interrupt_reservation",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"_meta": CAPABLE, **params}}
    async with httpx2.AsyncClient(timeout=30) as http:
        reply = await http.post(url, json=body, headers=sent)
    if reply.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in reply.text.splitlines() if line.startswith("data:") and "jsonrpc" in line]
        return httpx2.Response(200, text=lines[-1].removeprefix("data:")).json()
    return reply.json()


@pytest.mark.parametrize(
    ("first", "second", "who", "goes"),
    [
        ("new, old", "old", "alice", False),
        ("new, old", "new, old", "alice", True),
        ("old, new", "new, old", "alice", True),
        ("old", "new, old", "alice", True),
        ("new, old", "new, old", "bob", False),
        ("", "", "alice", False),
    ],
)
async def test_an_answer_through_another_replica(
    first: str, second: str, who: str, goes: bool, fresh_sim: SimLab, desk: Desk, serve: Serve, tmp_path: Path
) -> None:
    portal = fresh_sim.services()["stbtester"]
    headers = {"Authorization": f"token {portal['colleague_token']}"}
    with httpx2.Client(headers=headers) as http:
        nodes = http.get(f"{portal['url']}/api/v2/nodes").json()
        free = next(node["node_id"] for node in nodes if node["available"])
        order = {"node_ids": [free], "message": "theirs", "duration_secs": 600}
        made = http.post(f"{portal['url']}/api/v2/reservations", json=order).json()["reservations"][0]
    base = desk.everything + desk.table_of("alice", access="admin") + desk.table_of("bob", access="admin")
    urls = []
    for number, keys in enumerate((first, second)):
        path = tmp_path / f"keys-{number}"
        path.write_text("\n".join(key.strip() * 16 for key in keys.split(",")), encoding="utf-8")
        shared = f"[http]\nstate_key_file = '{path}'\n" if keys else ""
        urls.append(serve(shared + base + fresh_sim.config_toml()))
    asked = {"name": "interrupt_reservation", "arguments": {"message": "m"}}
    asked["arguments"] |= {"reservation_id": f"portal:{made['reservation_id']}"}
    question = (await call(urls[0], desk.token_of("alice"), **asked))["result"]
    assert question["resultType"] == "input_required"
    answers = {name: {"action": "accept", "content": {"go_ahead": True}} for name in question["inputRequests"]}
    more = {"inputResponses": answers, "requestState": question["requestState"]}
    answer = await call(urls[1], desk.token_of(who), **asked, **more)
    assert (answer.get("result", {}).get("structuredContent", {}).get("ended") is True) == goes


async def test_an_older_clients_session_is_unknown_to_another_replica_which_says_so_by_404(
    fresh_sim: SimLab, desk: Desk, serve: Serve
) -> None:
    config = desk.everything + desk.table_of("alice") + fresh_sim.config_toml()
    one, other = serve(config), serve(config)
    sent = {"Authorization": f"Bearer {desk.token_of('alice')}", "Accept": "application/json, text/event-stream"}
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    async with httpx2.AsyncClient(headers=sent, timeout=30) as http:
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
        session = {"Mcp-Session-Id": (await http.post(one, json=hello)).headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await http.post(one, json=listing, headers=session)).status_code == 200
        assert (await http.post(other, json=listing, headers=session)).status_code == 404
