"""Fixtures of the tests of TofuPilot: a simulated factory seen from outside, and its two APIs as adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from testlab_tools.adapters.tofupilot.adapter import Settings, connect
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from tests.lab_processes import LabProcess

BEGUN = datetime(2026, 11, 20, 8, 0, 0, 123000, tzinfo=UTC)
_SERIALS = count(1)


class Factory:
    """The service seen from outside: asked plainly, disturbed, and its requests counted."""

    def __init__(self, sim: SimLab) -> None:
        self.settings = sim.services()["tofupilot"]
        self.url, self.token = self.settings["url"], self.settings["token"]
        headers = {"Authorization": f"Bearer {self.token}"}
        self._api = httpx2.Client(base_url=f"{self.url}/api", headers=headers)
        self._control = httpx2.Client(base_url=f"{self.url.rpartition('/')[0]}/_sim")
        self.everything = sim.config_toml()

    def serial(self) -> str:
        """A serial number nothing else uses."""
        return f"UT-{next(_SERIALS):05d}"

    def config(self, version: str, access: str = "admin", token: str = "", url: str = "") -> str:
        table = f'[services.factory]\nkind = "tofupilot"\napi_version = "{version}"\nurl = "{url or self.url}"\n'
        return f'[server]\naccess = "{access}"\n{table}token = "{token or self.token}"\n'

    def get(self, path: str) -> Any:
        return self._api.get(path).raise_for_status().json()

    def status(self, path: str) -> int:
        return self._api.get(path).status_code

    def record(self, serial: str, **fields: Any) -> str:
        """A run recorded past the server; its id."""
        body = {"procedure_id": self.procedure, "outcome": "PASS", "serial_number": serial, "part_number": "UT"}
        body |= {"started_at": "2026-11-20T08:00:00Z", "ended_at": "2026-11-20T08:01:00Z"}
        reply = self._api.post("/v2/runs", json=body | fields)
        assert reply.status_code == 200, reply.text
        return reply.json()["id"]

    def post(self, path: str, **body: Any) -> Any:
        return self._api.post(path, json=body).raise_for_status().json()

    def runs(self, serial: str) -> list[dict[str, Any]]:
        return self.get(f"/v2/runs?serial_numbers={serial}")["data"]

    @property
    def procedure(self) -> str:
        return next(p["id"] for p in self.get("/v2/procedures")["data"] if p["name"] == "Main board FCT")

    def fault(self, **fault: object) -> None:
        self._control.post("/faults", json={"service": "tofupilot", **fault}).raise_for_status()

    def advance(self, seconds: float) -> None:
        self._control.post("/clock", json={"advance_seconds": seconds}).raise_for_status()

    def asked(self, method: str, path: str) -> int:
        """How often a path that begins so was asked for since the test began."""
        requests = self._control.get("/requests").json()["requests"]
        return sum(r["count"] for r in requests if r["method"] == method and r["path"].startswith(path))

    def clear(self) -> None:
        self._control.delete("/faults").raise_for_status()
        self._control.delete("/requests").raise_for_status()

    def close(self) -> None:
        self._api.close()
        self._control.close()


@pytest.fixture(scope="module")
def lab_of_factory() -> Iterator[Factory]:
    """One simulated lab for a module; its tests keep to serial numbers of their own."""
    with LabProcess() as sim:
        factory = Factory(sim)
        yield factory
        factory.close()


@pytest.fixture
def factory(lab_of_factory: Factory) -> Iterator[Factory]:
    """The factory, undisturbed and with nothing counted."""
    lab_of_factory.clear()
    yield lab_of_factory
    lab_of_factory.clear()


@pytest.fixture
def adapter(factory: Factory) -> Callable[..., Any]:
    """The service as its adapter, over real HTTP."""

    @asynccontextmanager
    async def connected(version: str, token: str = "") -> AsyncIterator[Any]:
        table = {"kind": "tofupilot", "url": factory.url, "token": token or factory.token, "api_version": version}
        service = connect("factory", Settings.model_validate(table))
        try:
            yield service
        finally:
            await service.aclose()

    return connected


@pytest.fixture
def new_run(factory: Factory) -> Callable[..., NewRun]:
    """A failed run with two attempts at a phase; keywords replace its fields."""

    def make(**fields: Any) -> NewRun:
        rails = (
            NewMeasurement("rail_5v", "fail", 5.31, "V", 4.85, 5.15),
            NewMeasurement("firmware", "pass", "1.4.2", "", None, None, "1.4.2"),
            NewMeasurement("curve", "unset", [[1.0, 2.0], [3.0, 4.0]]),
        )
        phases = tuple(
            NewPhase("rails", "fail", BEGUN + timedelta(seconds=n), BEGUN + timedelta(seconds=n + 1), rails)
            for n in range(2)
        )
        serial = factory.serial()
        given = {"outcome": "fail", "started_at": BEGUN, "ended_at": BEGUN + timedelta(seconds=2), "phases": phases}
        names = {"procedure_id": "Main board FCT", "serial_number": serial, "ref": f"ref-{serial}", "part_number": "UT"}
        return NewRun(**{**names, **given, **fields})

    return make


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for a run whose answer was lost follow each other at once."""
    monkeypatch.setattr("testlab_tools.adapters.tofupilot.client.LOOKS", (0.0, 0.0))
