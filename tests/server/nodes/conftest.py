"""Fixtures of the tests of nodes: a simulated portal, seen and disturbed from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.lab_processes import LabProcess


class Farm:
    """A portal seen past the server: as you, as your colleague, and its control plane. `nodes` were free at first."""

    def __init__(self, sim: SimLab) -> None:
        service = sim.services()["stbtester"]
        self.config = sim.config_toml()
        self.url = service["url"]
        self.table = f'[services.portal]\nkind = "stbtester"\nurl = "{self.url}"\ntoken = "{service["token"]}"\n'
        self._control = httpx2.Client(base_url=f"{self.url.rpartition('/')[0]}/_sim")
        self.you, self.colleague = (self._person(service[who]) for who in ("token", "colleague_token"))
        self.nodes = [node["node_id"] for node in self.you.get("/nodes").json() if node["available"]]
        self.case = self.you.get("/test_pack/main/test_case_names").json()[0]

    def _person(self, token: str) -> httpx2.Client:
        return httpx2.Client(base_url=f"{self.url}/api/v2", headers={"Authorization": f"token {token}"})

    def node(self, number: int = 0) -> dict[str, Any]:
        return self.you.get(f"/nodes/{self.nodes[number]}").json()

    def held(self, number: int = 0) -> dict[str, Any] | None:
        return self.node(number)["reservation"]

    def reserve(self, who: httpx2.Client, message: str = "soak", number: int = 0) -> str:
        body = {"node_ids": [self.nodes[number]], "message": message, "duration_secs": 600}
        (made,) = who.post("/reservations", json=body).raise_for_status().json()["reservations"]
        return f"portal:{made['reservation_id']}"

    def start(self, who: httpx2.Client, number: int = 0) -> str:
        body = {"node_id": self.nodes[number], "test_pack_revision": "main", "test_cases": [self.case]}
        body["soak"] = "run forever"
        return f"portal:{who.post('/run_tests', json=body).raise_for_status().json()['job_uid']}"

    def order(self, **more: object) -> dict[str, Any]:
        """Arguments of `reserve_nodes`: the first node, for five minutes."""
        return {"node_ids": [self.nodes[0]], "message": "soak", "duration_minutes": 5, **more}

    def tests(self, **more: object) -> dict[str, Any]:
        """Arguments of `run_tests`: a test on the first node, again and again."""
        order = {"node_id": self.nodes[0], "test_pack_revision": "main", "test_cases": [self.case]}
        return {**order, "soak": "run forever", **more}

    def fault(self, path: str, method: str = "", times: int = 0, **fault: object) -> None:
        body = {"service": "stbtester", "path_prefix": f"/api/v2{path}", "method": method, "times": times, **fault}
        self._control.post("/faults", json=body).raise_for_status()

    def blind(self, after: int) -> None:
        """The list of nodes is told so many times more, and then fails."""
        self.fault("/nodes", "GET", after, action="slow", seconds=0)
        self.fault("/nodes", "GET", status=500)

    def calm(self) -> None:
        self._control.delete("/faults").raise_for_status()

    def asked(self, method: str, path: str) -> int:
        """How often the portal was asked for a path, from the start of the test."""
        requests = self._control.get("/requests").json()["requests"]
        return sum(r["count"] for r in requests if (r["method"], r["path"]) == (method, f"/api/v2{path}"))

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(500):
            if true():
                return
            await asyncio.sleep(0.02)
        raise AssertionError("it has not come true in ten seconds")

    def clear(self) -> None:
        self.calm()
        for number, node in enumerate(self.nodes):
            if held := self.held(number):
                self.you.post(f"/reservations/{held['reservation_id']}/interrupt", json={"message": "m"})
            self.you.post(f"/nodes/{node}/job/stop")
        self._control.delete("/requests")

    def close(self) -> None:
        for client in (self._control, self.you, self.colleague):
            client.close()


@pytest.fixture(scope="package")
def one_farm() -> Iterator[Farm]:
    with LabProcess() as lab:
        made = Farm(lab)
        yield made
        made.close()


@pytest.fixture
def farm(one_farm: Farm) -> Iterator[Farm]:
    one_farm.clear()
    yield one_farm
    one_farm.clear()


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch, no_backoff: None) -> None:
    monkeypatch.setattr("testlab_tools.adapters.stbtester.client.Portal.looks", (0.0, 0.01, 0.01))
