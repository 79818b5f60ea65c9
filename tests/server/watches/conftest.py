"""Fixtures of the tests of watches: the simulated test farm seen from outside, and servers that share one database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.server.outbox.conftest import open_window, postgresql, until
from tests.server.portal import QUICK, SimulatedPortal

__all__ = ["QUICK", "open_window", "postgresql", "until"]


class Farm(SimulatedPortal):
    """The portal of a lab: its nodes and jobs, and trouble on demand."""

    def __init__(self, sim: SimLab, folder: Path) -> None:
        super().__init__(sim)
        self.services = sim.services()
        self.folder = folder
        self.sim = sim

    def config(self, durable: str = "", more: str = "") -> str:
        """The whole lab with all tools, on a database of the test's own."""
        place = durable or f"path = '{self.folder / 'deliveries.sqlite'}'"
        own = f"[durable]\n{place}\n[archive]\npath = '{self.folder / 'archive'}'\n[audit]\nenabled = false\n{more}\n"
        return f'[server]\ntoolsets = ["all"]\n{own}[services{self.sim.config_toml().partition("[services")[2]}'

    def free(self) -> list[str]:
        return [node["node_id"] for node in self.nodes() if node["available"]]

    def reserve(self, node: str) -> str:
        """Have a colleague reserve a node; the reservation's id."""
        body = {"node_ids": [node], "message": "*theirs* <!channel>", "duration_secs": 3600}
        (made,) = self.colleague.post("/reservations", json=body).raise_for_status().json()["reservations"]
        return str(made["reservation_id"])

    def release(self, reservation: str) -> None:
        self.colleague.delete(f"/reservations/{reservation}").raise_for_status()

    def asked(self, path: str) -> int:
        """How often a path of the portal was asked for."""
        requests = self.control.get("/requests").json()["requests"]
        return sum(r["count"] for r in requests if r["path"] == f"/api/v2{path}")


@pytest.fixture
def farm(fresh_sim: SimLab, tmp_path: Path) -> Iterator[Farm]:
    made = Farm(fresh_sim, tmp_path)
    yield made
    made.close()


async def eventually(question: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """Ask again until the answer holds; the answer."""
    for _ in range(int(seconds / 0.2)):
        if answer := await question():
            return answer
        await asyncio.sleep(0.2)
    raise AssertionError("it did not come to pass")
