"""Fixtures of the tests of jobs: a bench of the simulated lab, seen from outside, and clients of servers on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect
from tests.lab_processes import LabProcess


class Bench:
    """A portal seen from outside: two people's clients of it, its control plane, and two free nodes.

    A job of `quick` takes a second, one of `slow` half a minute.
    """

    quick = "tests/menu.py::test_that_menu_appears_when_menu_key_is_pressed"
    slow = "tests/soak.py::test_that_box_survives_ten_minutes_of_zapping"

    def __init__(self, sim: SimLab) -> None:
        portal = sim.services()["stbtester"]
        self.config = sim.config_toml()
        root = portal["url"].rpartition("/")[0]
        self._control = httpx2.Client(base_url=f"{root}/_sim")
        self.you = _person(portal["url"], portal["token"])
        self.colleague = _person(portal["url"], portal["colleague_token"])
        free = [n["node_id"] for n in self.you.get("/nodes").json() if n["available"]]
        self.node, self.other = free[0], free[1]

    def fault(self, **fault: object) -> None:
        self._control.post("/faults", json={"service": "stbtester", **fault}).raise_for_status()

    def calm(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def hold(self, **holds: float) -> None:
        self._control.post("/holds", json=holds).raise_for_status()

    def advance(self, seconds: float) -> None:
        self._control.post("/clock", json={"advance_seconds": seconds}).raise_for_status()

    def asked(self, path: str, method: str = "GET", count: str = "count") -> int:
        """How often a path was asked for since the test began; or how many requests are, or at most were, open."""
        requests = self._control.get("/requests").json()["requests"]
        return sum(r[count] for r in requests if (r["method"], r["path"]) == (method, f"/api/v2{path}"))

    def finish(self) -> None:
        """Let time pass until jobs of `quick` and `slow` have ended."""
        self.advance(60)

    def native(self, handle: str) -> str:
        return handle.partition(":")[2]

    def order(self, *test_cases: str, **more: object) -> dict[str, Any]:
        """Arguments of `run_tests`: on the first node, `slow` if nothing else."""
        names = list(test_cases) or [self.slow]
        return {"node_id": self.node, "test_pack_revision": "main", "test_cases": names, **more}

    def press(self, who: httpx2.Client) -> None:
        """Somebody uses the first node."""
        who.post(f"/nodes/{self.node}/press", json={"key": "KEY_OK"}).raise_for_status()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for what the simulated lab is then seen to have met; it tells only who asks."""
        for _ in range(500):
            if true():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it has not come true in ten seconds")

    def start(self, who: httpx2.Client, node: str = "", test_cases: list[str] | None = None) -> str:
        """A job of somebody's, started past the server; its handle."""
        body = {"node_id": node or self.node, "test_pack_revision": "main", "test_cases": test_cases or [self.slow]}
        reply = who.post("/run_tests", json=body)
        assert reply.status_code == 200, reply.text
        return f"portal:{reply.json()['job_uid']}"

    @contextmanager
    def reserved(self, who: httpx2.Client) -> Iterator[None]:
        body = {"node_ids": [self.node], "message": "m", "duration_secs": 600}
        (held,) = who.post("/reservations", json=body).json()["reservations"]
        yield
        who.delete(f"/reservations/{held['reservation_id']}")

    def job(self, handle: str) -> dict[str, Any]:
        return self.you.get(f"/jobs{self.native(handle)}").json()

    def clear(self) -> None:
        """As the test found it: no faults, nothing running on the two nodes, nothing counted."""
        self.calm()
        self.hold(await_completion=55.0, stop=55.0, stopping=0.0)
        self.finish()
        for node in (self.node, self.other):
            self.you.post(f"/nodes/{node}/job/stop")
        self._control.delete("/requests")

    def close(self) -> None:
        for client in (self._control, self.you, self.colleague):
            client.close()


def _person(url: str, token: str) -> httpx2.Client:
    return httpx2.Client(base_url=f"{url}/api/v2", headers={"Authorization": f"token {token}"})


@pytest.fixture(scope="package")
def portal() -> Iterator[Bench]:
    with LabProcess() as lab:
        bench = Bench(lab)
        yield bench
        bench.close()


@pytest.fixture
def bench(portal: Bench) -> Iterator[Bench]:
    portal.clear()
    yield portal
    portal.clear()


@asynccontextmanager
async def kept(connecting: AbstractAsyncContextManager[Client]) -> AsyncIterator[Client]:
    """A client that lives in a task of its own: pytest-asyncio ends a fixture in another task than it began it in."""
    ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def live() -> None:
        async with connecting as client:
            ready.set_result(client)
            await done.wait()

    living = asyncio.create_task(live())
    await asyncio.wait([ready, living], return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ready.done():
            living.result()  # raises what ended it
        yield ready.result()
    finally:
        done.set()
        await living


@pytest.fixture
async def client(bench: Bench, connect: Connect) -> AsyncIterator[Client]:
    async with kept(connect(bench.config)) as connected:
        yield connected


@pytest.fixture
async def admin(bench: Bench, connect: Connect) -> AsyncIterator[Client]:
    async with kept(connect(f'[server]\naccess = "admin"\n{bench.config}')) as connected:
        yield connected
