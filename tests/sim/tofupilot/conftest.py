"""TofuPilot's own history for each test that changes it, one for all that only read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import pytest

from testlab_sim.production.history import History
from testlab_sim.stbtester.portal import Portal
from testlab_sim.world import YOU, Clock, World

FVT1 = "6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1001"


class Server(Protocol):
    """What the `serve` fixture gives."""

    url: str

    def client(self, path: str) -> httpx2.Client: ...


@dataclass
class TofuPilot:
    """TofuPilot being served: `v2` and `v1` call it as `YOU`, `anyone` without a token."""

    world: World
    v2: httpx2.Client
    v1: httpx2.Client
    anyone: httpx2.Client
    procedure_id: str = FVT1

    @property
    def history(self) -> History:
        return self.world.production

    def body(self, **changes: Any) -> dict[str, Any]:
        """The least a v2 run is made of."""
        least = {
            "outcome": "PASS",
            "procedure_id": FVT1,
            "started_at": "2026-03-01T08:00:00Z",
            "ended_at": "2026-03-01T08:01:30.500Z",
            "serial_number": "SN-77",
            "part_number": "PCB-7",
        }
        return least | changes

    def create(self, **changes: Any) -> str:
        """Create a run and give its id."""
        reply = self.v2.post("/runs", json=self.body(**changes))
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        reply = self.v2.get(f"/runs/{run_id}")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def upload(self, data: bytes, name: str = "report.json") -> str:
        """Upload a file by v2's flow and give its id."""
        announced = self.v2.post("/attachments", json={"name": name}).json()
        assert self.anyone.put(announced["upload_url"], content=data).status_code == 200
        return str(announced["id"])

    def drain(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every row of a v2 list, page after page."""
        rows: list[dict[str, Any]] = []
        cursor: int | None = 0
        while cursor is not None:
            reply = self.v2.get(path, params={"limit": 100, "cursor": cursor, **params})
            assert reply.status_code == 200, reply.text
            body = reply.json()
            rows += body["data"]
            cursor = body["meta"]["next_cursor"]
            assert body["meta"]["has_more"] is (cursor is not None)
        return rows


Serve = Callable[[World], Server]


def _put(serve: Serve, history: History) -> TofuPilot:
    clock = Clock()
    world = World(Portal.seeded(7, clock), history, clock)
    lab = serve(world)
    v2, v1, anyone = lab.client("/tofupilot/api/v2"), lab.client("/tofupilot/api/v1"), lab.client("")
    for client in (v2, v1):
        client.headers["Authorization"] = f"Bearer {YOU.token}"
    return TofuPilot(world, v2, v1, anyone)


@pytest.fixture(scope="session")
def history() -> History:
    return History.seeded(7, time.time())


@pytest.fixture
def tofupilot(serve: Serve, history: History) -> TofuPilot:
    """To look at only."""
    return _put(serve, history)


@pytest.fixture
def fresh(serve: Serve, small_history: History) -> TofuPilot:
    """To change, with a few of the units."""
    return _put(serve, small_history)
