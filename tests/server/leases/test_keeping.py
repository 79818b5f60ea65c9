"""What a session holds is given back when the session is gone: killed, silent, or unable to say so; never another's."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.errors import LabError
from testlab_tools.files.lock import FileLock
from testlab_tools.lab import Lab
from testlab_tools.leases.keeper import LeaseKeeper
from testlab_tools.leases.store import FolderLeases, Lease, LeaseStore
from tests.server_processes import ServerProcess, start_server

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

HOUR = 3600.0


class Process:
    """A server of the farm as this process sees it: its lab, what it has written down, and its keeper's clock."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        config = parse_config(f"{farm.table}\n[durable]\npath = '{folder / 'd.sqlite'}'\n")
        self.lab: Lab = config.lab()
        store = self.lab.reservations.store
        assert store is not None
        self.store: LeaseStore = store
        self.farm: Any = self.lab.services["portal"]
        self.seconds = 0.0
        self.endings: list[tuple[str, str, str]] = []

    def keeper(self, over_http: bool = True, idle_s: float = HOUR) -> LeaseKeeper:
        async def note(*ended: str) -> None:
            self.endings.append((ended[0], ended[1], ended[2]))

        return LeaseKeeper(self.store, [self.farm], idle_s, over_http, note, now=lambda: self.seconds)

    async def reserve(self, node: str, caller: str, seconds: int = 600) -> str:
        (made,) = await self.farm.reserve([node], "soak", seconds)
        number = made.reservation_id.partition(":")[2]
        self.lab.reservations.add(self.farm, number, node, caller, made.expires_at.timestamp())
        return number


@pytest.fixture
async def process(farm: Farm, tmp_path: Path) -> AsyncGenerator[Callable[[], Process]]:
    made: list[Process] = []

    def make() -> Process:
        made.append(Process(farm, tmp_path))
        return made[-1]

    yield make
    for one in made:
        await one.farm.aclose()


def serve(farm: Farm, folder: Path) -> ServerProcess:
    path = folder / "config.toml"
    path.write_text(
        f"{farm.table}\n[durable]\npath = '{folder / 'd.sqlite'}'\n[audit]\nfile = '{folder / 'audit.jsonl'}'\n"
    )
    return start_server("serve", "--config", str(path))


def call_tool(server: ServerProcess, number: int, name: str, **arguments: object) -> dict[str, Any]:
    """A call over the server's pipes, whose process the test can kill."""
    assert server.stdin
    assert server.stdout
    if number == 1:
        client = {"name": "t", "version": "1"}
        begin = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        for message in (
            {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": begin},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
        ):
            server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
        server.stdout.readline()
    call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
    server.stdin.write(json.dumps(call) + "\n")
    server.stdin.flush()
    while True:
        answer = json.loads(server.stdout.readline())
        if answer.get("id") == number:
            return answer["result"]


async def test_what_a_killed_stdio_server_held_is_given_back_by_the_next_one(farm: Farm, tmp_path: Path) -> None:
    with serve(farm, tmp_path) as first:
        call_tool(first, 1, "reserve_nodes", **farm.order())
        other = farm.reserve(farm.colleague, number=1)
        mine = farm.reserve(farm.you, number=2)
        first.kill()
    assert farm.held()
    with serve(farm, tmp_path) as second:
        call_tool(second, 1, "list_nodes", available=True)
        await farm.until(lambda: farm.held() is None and '"why"' in (tmp_path / "audit.jsonl").read_text())
        assert f"portal:{(farm.held(1) or {})['reservation_id']}" == other
        assert f"portal:{(farm.held(2) or {})['reservation_id']}" == mine, "nobody knows whose that is"
    ended = [line for line in map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines()) if "why" in line]
    assert [(line["who"], line["by"], line["tool"]) for line in ended] == [("local", "server", "end_reservation")]


async def test_what_a_living_process_holds_is_left_alone(
    farm: Farm, tmp_path: Path, process: Callable[[], Process]
) -> None:
    with serve(farm, tmp_path) as first:
        call_tool(first, 1, "reserve_nodes", **farm.order())
        await process().keeper().look()
        assert farm.held()
        first.kill()


async def test_a_reservation_of_a_colleague_is_never_ended_whatever_is_written_down(
    farm: Farm, process: Callable[[], Process]
) -> None:
    number = farm.reserve(farm.colleague).partition(":")[2]
    this = process()
    this.store.save(this.farm, Lease(reservation=number, node=farm.nodes[0], caller="local", process="dead"))
    await this.keeper().look()
    assert farm.held()
    assert this.store.load(this.farm) == []


async def test_a_later_reservation_with_the_same_id_is_not_the_one_written_down(
    farm: Farm, process: Callable[[], Process]
) -> None:
    number = farm.reserve(farm.you).partition(":")[2]
    this = process()
    far = Lease(reservation=number, node=farm.nodes[0], caller="local", process="dead", until=4e9)
    this.store.save(this.farm, far)
    await this.keeper().look()
    assert farm.held()


async def test_a_caller_who_is_silent_past_the_bound_loses_the_node_and_the_ending_is_told(
    farm: Farm, process: Callable[[], Process]
) -> None:
    this = process()
    number = await this.reserve(farm.nodes[0], "alice")
    keeper = this.keeper()
    await keeper.look()
    this.seconds = HOUR - 1
    await keeper.look()
    assert farm.held()
    this.seconds = HOUR
    await keeper.look()
    assert farm.held() is None
    assert [(who, what) for who, what, _ in this.endings] == [("alice", f"portal:{number}")]


async def test_any_call_of_the_caller_counts_and_other_callers_do_not(
    farm: Farm, process: Callable[[], Process]
) -> None:
    this = process()
    await this.reserve(farm.nodes[0], "alice")
    await this.reserve(farm.nodes[1], "bob")
    keeper = this.keeper()
    await keeper.look()
    this.seconds = HOUR / 2
    this.store.note_activity("alice")
    await keeper.look()
    this.seconds = HOUR
    await keeper.look()
    assert farm.held(0)
    assert farm.held(1) is None


async def test_a_running_job_counts_as_activity(farm: Farm, process: Callable[[], Process]) -> None:
    this = process()
    await this.reserve(farm.nodes[0], "alice")
    keeper = this.keeper()
    await keeper.look()
    farm.start(farm.you)
    this.seconds = 2 * HOUR
    await keeper.look()
    assert farm.held()


async def test_a_reservation_about_to_expire_is_extended_while_a_job_runs_and_not_otherwise(
    farm: Farm, process: Callable[[], Process]
) -> None:
    this = process()
    await this.reserve(farm.nodes[0], "alice", 60)
    await this.reserve(farm.nodes[1], "alice", 60)
    farm.start(farm.you)
    ends = [(farm.held(number) or {})["expires"] for number in (0, 1)]
    await this.keeper().look()
    now = [(farm.held(number) or {})["expires"] for number in (0, 1)]
    assert now[0] > ends[0]
    assert now[1] == ends[1]


async def test_with_no_bound_nobody_is_too_silent(farm: Farm, process: Callable[[], Process]) -> None:
    this = process()
    await this.reserve(farm.nodes[0], "alice")
    keeper = this.keeper(idle_s=0)
    await keeper.look()
    this.seconds = 1000 * HOUR
    await keeper.look()
    assert farm.held()


async def test_what_a_dead_replica_made_for_a_caller_over_http_is_kept_until_the_caller_is_silent(
    farm: Farm, process: Callable[[], Process]
) -> None:
    dead, this = process(), process()
    await dead.reserve(farm.nodes[0], "alice")
    dead.store.close()
    keeper = this.keeper()
    await keeper.look()
    assert farm.held()
    assert [lease.process for lease in this.store.load(this.farm)] == [this.store.process]
    this.seconds = HOUR
    await keeper.look()
    assert farm.held() is None


async def test_a_service_that_is_down_is_asked_again_until_the_reservation_has_ended(
    farm: Farm, process: Callable[[], Process]
) -> None:
    this = process()
    number = await this.reserve(farm.nodes[0], "alice")
    farm.fault(f"/reservations/{number}", "DELETE", 0, status=503)
    await this.lab.reservations.release()
    this.store.close()
    assert farm.held()
    later = process()
    later.store.save(later.farm, this.store.load(this.farm)[0].model_copy(update={"caller": "local"}))
    await later.keeper().look()
    assert farm.held()
    farm.calm()
    await later.keeper().look()
    assert farm.held() is None
    assert later.store.load(later.farm) == []


async def test_an_answer_lost_at_the_ending_ends_it_once(farm: Farm, process: Callable[[], Process]) -> None:
    this = process()
    number = await this.reserve(farm.nodes[0], "alice")
    keeper = this.keeper()
    await keeper.look()
    farm.fault(f"/reservations/{number}", "DELETE", 1, action="reset-after")
    this.seconds = HOUR
    await keeper.look()
    assert farm.held() is None
    theirs = farm.reserve(farm.colleague)
    await this.lab.reservations.release()
    assert f"portal:{(farm.held() or {})['reservation_id']}" == theirs


@pytest.mark.parametrize("killed", [True, False])
def test_a_system_that_deletes_no_open_file_sees_the_dead_and_keeps_no_lock(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    def unlink(path: Path, missing_ok: bool = False) -> None:
        if not (lock := FileLock(path)).acquire():
            raise PermissionError(13, "used by another process")
        lock.release()
        os.unlink(path)

    monkeypatch.setattr(Path, "unlink", unlink)
    portal = Process(farm, tmp_path).farm
    dead, this, third = (FolderLeases(tmp_path / "leases", False) for _ in range(3))
    dead.save(portal, Lease(reservation="1", node="n", caller="local", process=dead.process))
    assert this.is_alive(dead.process)
    if killed:
        dead._lock.release()  # as the system does
    else:
        dead.close()
        assert list((tmp_path / "leases").glob("*.process")) == []
    assert [store.is_alive(dead.process) for store in (this, third, this)] == [False, False, False]
    assert list((tmp_path / "leases").glob("*.process")) == []


def test_what_an_earlier_version_has_written_is_read(farm: Farm, tmp_path: Path) -> None:
    this = Process(farm, tmp_path)
    FolderLeases(tmp_path / "d.sqlite.reservations").save(this.farm, Lease(reservation="7", node="n", caller="bob"))
    (file,) = (tmp_path / "d.sqlite.reservations").glob("*.json")
    assert json.loads(file.read_text()) == {"reservation": "7", "node": "n", "caller": "bob"}
    assert this.store.load(this.farm) == [Lease(reservation="7", node="n", caller="bob")]


async def test_a_service_that_does_not_answer_leaves_everything_as_it_is(
    farm: Farm, process: Callable[[], Process]
) -> None:
    this = process()
    await this.reserve(farm.nodes[0], "alice")
    farm.fault("/nodes", "GET", 0, status=500)
    await this.keeper().look()
    assert len(this.store.load(this.farm)) == 1
    with pytest.raises(LabError):
        await this.farm.list_nodes()
