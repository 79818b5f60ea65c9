"""Fixtures of the tests of campaigns: the simulated test farm seen from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import ToolCaller
from tests.server.portal import QUICK, SimulatedPortal
from tests.unsteady_network import UnsteadyNetwork

__all__ = ["QUICK"]


class Farm(SimulatedPortal):
    """The portal of a lab: its nodes, jobs and results, and trouble on demand."""

    def __init__(self, sim: SimLab) -> None:
        super().__init__(sim)
        self.config = sim.config_toml()
        self.before = set(self.jobs())

    def free(self, device_type: str = "") -> list[str]:
        return [n["node_id"] for n in self.nodes() if n["available"] and device_type in ("", n["device_type"])]

    def held(self) -> list[str]:
        """Nodes that are reserved by us, or run a job of ours."""
        return [n["node_id"] for n in self.nodes() if n["reservation"] and n["reservation"]["reserved_by_you"]]

    def free_more(self) -> None:
        """End the reservations and jobs that the lab begins with."""
        for node in self.nodes():
            if held := node["reservation"]:
                who = self.you if held["reserved_by_you"] else self.colleague
                who.delete(f"/reservations/{held['reservation_id']}").raise_for_status()
            if node["job"] and node["job"]["status"] == "running":
                self.colleague.put(f"/jobs{node['job']['job_uid']}/stop").raise_for_status()

    def results(self, campaign_id: str) -> list[dict[str, Any]]:
        """The results of a campaign's jobs, as the portal has them, oldest first."""
        return [row for job in self.jobs_of(campaign_id) for row in self.results_of(job)]

    def results_of(self, job: str) -> list[dict[str, Any]]:
        return self.you.get("/results", params={"filter": f"job:{job}", "sort": "date:asc"}).json()

    def jobs(self) -> dict[str, dict[str, str]]:
        """The tags of every job there has been."""
        return self.control.get("/jobs").json()

    def jobs_of(self, campaign_id: str) -> list[str]:
        return [
            job for job, tags in self.jobs().items() if tags.get("testlab-campaign", "").startswith(f"{campaign_id}/")
        ]

    def ran(self, campaign_id: str) -> Counter[str]:
        """How often each test case has finished."""
        return Counter(row["test_case"] for row in self.results(campaign_id))

    def set_node(self, node: str, online: bool) -> None:
        self.control.post("/nodes", json={"node_id": node, "online": online}).raise_for_status()


@pytest.fixture
def network() -> Iterator[UnsteadyNetwork]:
    made = UnsteadyNetwork()
    yield made
    made.close()


@pytest.fixture
def farm(fresh_sim: SimLab) -> Iterator[Farm]:
    made = Farm(fresh_sim)
    yield made
    made.close()


async def finish(client: Client, ask: ToolCaller, campaign_id: str, seconds: float = 60) -> dict[str, Any]:
    """The campaign once it has ended and its nodes are given back."""
    import time

    until = time.monotonic() + seconds
    while True:
        now = await ask(client, "get_campaign", campaign_id=campaign_id, wait_seconds=5)
        if now["state"] not in ("queued", "running") and "still being given back" not in now.get("note", ""):
            return now
        assert time.monotonic() < until, now
