"""One caller does not starve the others: places at a service, files under way and on disk, sessions, the audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client

from testlab_mcp.audit.verify import verify
from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.access.conftest import Desk, Serve


@pytest.fixture
def control(fresh_sim: SimLab) -> Iterator[httpx2.Client]:
    """The simulated lab's control plane; its faults end with the test."""
    url = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    with httpx2.Client(base_url=f"{url}/_sim", timeout=10) as made:
        yield made
        made.delete("/faults")


def callers(desk: Desk, fresh_sim: SimLab, http: str = "") -> str:
    tables = "".join(desk.table_of(name, access="operate") for name in ("alice", "bob"))
    return f"{desk.everything}[http]\n{http}\n{tables}{fresh_sim.config_toml()}"


async def portal_runs(client: Client, ask: ToolCaller, number: int) -> list[str]:
    return [run["run_id"] for run in (await ask(client, "list_runs", service="portal", limit=number))["runs"]]


async def struck(control: httpx2.Client, times: int) -> None:
    """Until the faults have struck so often: across HTTP there is no event to wait on."""
    async with asyncio.timeout(10):
        while sum(fault["struck"] for fault in (await asyncio.to_thread(control.get, "/faults")).json()) < times:
            pass


async def test_slow_downloads_of_one_caller_do_not_hold_up_another(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, control: httpx2.Client
) -> None:
    url = serve(callers(desk, fresh_sim))
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        *slow, other = await portal_runs(alice, ask, 5)
        for run in slow:
            path = f"/api/v2/results{run.partition(':')[2]}/stbt.log"
            fault = {"service": "stbtester", "path_prefix": path, "action": "slow-body", "seconds": 1, "times": 0}
            control.post("/faults", json=fault).raise_for_status()
        reads = [asyncio.ensure_future(alice.call_tool("read_log", {"run_id": run})) for run in slow]
        await struck(control, 2)
        async with asyncio.timeout(8):
            assert (await ask(bob, "read_log", run_id=other))["total_lines"]
        assert not any(read.done() for read in reads)
        control.delete("/faults")
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)


async def test_a_flood_of_refusals_is_a_few_lines_and_one_with_a_count(
    sim: SimLab, desk: Desk, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    trail = tmp_path / "audit.jsonl"
    audit = f"[audit]\nfile = '{trail}'\n[http]\ncalls_per_minute = 0\n"
    lab = sim.config_toml().replace("[audit]\nenabled = false\n", "")
    long = {f"part{number}": "\u2603" * 9_000 for number in range(20)}
    with desk.served(audit + desk.table_of("alice") + lab) as url:
        async with desk.signed_in(url, "alice") as alice:
            for _ in range(100):
                await refused(alice, "press_key", node_id="portal:n", key="KEY_OK", **long)
    lines = [json.loads(line) for line in trail.read_text(encoding="ascii").splitlines()]
    assert sum(line.get("times", 1) for line in lines) == 100
    assert {(line["who"], line["tool"], line["outcome"]) for line in lines} == {("alice", "press_key", "refused")}
    assert trail.stat().st_size < 11 * 3_000
    assert verify(trail).findings == []


async def test_a_caller_has_so_many_calls_at_once_and_others_have_theirs(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller, control: httpx2.Client
) -> None:
    url = serve(callers(desk, fresh_sim, "calls_at_once = 2"))
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        runs = await portal_runs(alice, ask, 2)
        held = {"service": "stbtester", "path_prefix": "/api/v2/results", "action": "hold", "times": 0}
        control.post("/faults", json=held).raise_for_status()
        waiting = [asyncio.ensure_future(alice.call_tool("get_run", {"run_id": run})) for run in runs]
        await struck(control, 2)
        told = await refused(alice, "list_nodes")
        assert told == (
            "Too many calls at once: [http] calls_at_once allows each caller 2. Wait for the answer to one of them."
        )
        assert (await ask(bob, "list_nodes"))["nodes"]
        control.delete("/faults")
        assert [(await one).is_error for one in waiting] == [False, False]
        assert (await ask(alice, "list_nodes"))["nodes"]


async def test_a_caller_saves_so_many_files_at_once(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller, control: httpx2.Client
) -> None:
    url = serve(callers(desk, fresh_sim, "transfers_per_caller = 1"))
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        first, other = await portal_runs(alice, ask, 2)
        name = (await ask(alice, "get_artifact", run_id=first))["artifacts"][0]["name"]
        path = f"/api/v2/results{first.partition(':')[2]}/artifacts/{name}"
        slow = {"service": "stbtester", "path_prefix": path, "action": "slow-body", "seconds": 1, "times": 0}
        control.post("/faults", json=slow).raise_for_status()
        saving = asyncio.ensure_future(
            alice.call_tool("get_artifact", {"run_id": first, "name": name, "save_to": "slow.log"})
        )
        await struck(control, 1)
        (name, *_) = [one["name"] for one in (await ask(alice, "get_artifact", run_id=other))["artifacts"]]
        log = {"run_id": other, "name": name, "save_to": "other.log"}
        assert "[http] transfers_per_caller allows 1" in await refused(alice, "get_artifact", **log)
        assert (await ask(bob, "get_artifact", **log))["saved_to"]
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        control.delete("/faults")


async def test_a_caller_fills_so_much_of_the_disk(
    fresh_sim: SimLab, desk: Desk, serve: Serve, ask: ToolCaller, refused: RefusedCaller, tmp_path: Path
) -> None:
    url = serve(callers(desk, fresh_sim, "megabytes_per_caller = 1"))
    folder = tmp_path / "files" / "alice"
    folder.mkdir(parents=True)
    (folder / "before.bin").write_bytes(bytes(999_999))
    async with desk.signed_in(url, "alice") as alice, desk.signed_in(url, "bob") as bob:
        (run,) = await portal_runs(alice, ask, 1)
        name = (await ask(alice, "get_artifact", run_id=run))["artifacts"][0]["name"]
        log = {"run_id": run, "name": name, "save_to": "run.log"}
        assert "[http] megabytes_per_caller allows each caller 1" in await refused(alice, "get_artifact", **log)
        told = await refused(alice, "grab_screenshot", run_id=run, save_to="screen.png")
        assert "[http] megabytes_per_caller" in told
        assert [one.name for one in folder.iterdir()] == ["before.bin"]
        assert (await ask(bob, "get_artifact", **log))["saved_to"]
        (folder / "before.bin").unlink()
        assert (await ask(alice, "get_artifact", **log))["saved_to"]


def test_of_a_callers_sessions_the_longest_idle_ends_for_another(fresh_sim: SimLab, desk: Desk, serve: Serve) -> None:
    url = serve(callers(desk, fresh_sim, "sessions_per_caller = 2"))
    hello: dict[str, Any] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }

    def asked(who: str, method: str, session: str = "", **params: object) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {desk.token_of(who)}", "Accept": "application/json, text/event-stream"}
        headers |= {"Mcp-Session-Id": session} if session else {}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx2.post(url, json=body, headers=headers, timeout=20)

    def opened(who: str) -> str:
        return asked(who, "initialize", **hello).headers["mcp-session-id"]

    bobs, first, second = opened("bob"), opened("alice"), opened("alice")
    assert asked("alice", "ping", first).status_code == 200
    third = opened("alice")
    alive = {"first": ("alice", first), "second": ("alice", second), "third": ("alice", third), "bobs": ("bob", bobs)}
    answers = {name: asked(who, "ping", session).status_code for name, (who, session) in alive.items()}
    assert answers == {"first": 200, "second": 404, "third": 200, "bobs": 200}
