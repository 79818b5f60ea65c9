"""One question to all services goes out at once: a trace of the requests shows it, and what a hung service costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

SIMULATED = {"portal": "stbtester", "factory": "tofupilot", "cloud": "standcloud"}
"""The services of the config, and the simulated lab's names for them."""


class Control:
    """The control plane of a simulated lab."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=f"{url}/_sim", timeout=10)

    def hold(self, service: str) -> None:
        """Answer none of a service's requests until `release`."""
        fault = {"service": SIMULATED[service], "action": "hold", "times": 0}
        assert self._http.post("/faults", json=fault).status_code == 201

    def release(self) -> None:
        assert self._http.delete("/faults").status_code == 204

    def requests(self, service: str) -> list[dict[str, Any]]:
        """The trace since the start: a row per method and path, with how many came and how many are open now."""
        rows = self._http.get("/requests").json()["requests"]
        return [row for row in rows if row["service"] == SIMULATED[service]]

    def open(self) -> dict[str, int]:
        """How many requests each service is now being kept waiting for."""
        return {name: sum(row["open"] for row in self.requests(name)) for name in SIMULATED}

    async def until_open(self, **wanted: int) -> None:
        """Ask again and again until so many requests are open: across HTTP there is no event to wait on."""
        async with asyncio.timeout(10):
            while (await asyncio.to_thread(self.open)) != wanted:
                pass

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def control(fresh_sim: SimLab) -> Iterator[Control]:
    url = fresh_sim.services()["stbtester"]["url"].rpartition("/")[0]
    control = Control(url)
    yield control
    control.release()
    control.close()


@pytest.fixture
def config(fresh_sim: SimLab) -> str:
    return fresh_sim.config_toml()


def impatient(config: str, service: str) -> str:
    """The config with a service that is given up after a time that a busy machine keeps."""
    return config.replace(f"[services.{service}]\n", f"[services.{service}]\ntimeout_seconds = 2\n")


def services_of(runs: list[dict[str, Any]]) -> set[str]:
    return {run["run_id"].partition(":")[0] for run in runs}


async def test_all_three_services_are_asked_before_any_has_answered(
    control: Control, config: str, connect: Connect, ask: ToolCaller
) -> None:
    for service in SIMULATED:
        control.hold(service)
    async with connect(config) as client:
        asked = asyncio.create_task(ask(client, "list_runs", limit=50))
        await control.until_open(portal=1, factory=1, cloud=1)
        assert not asked.done()
        control.release()
        page = await asked
    assert {share["service"] for share in page["services"]} == set(SIMULATED)
    assert not any("error" in share for share in page["services"])
    assert services_of(page["runs"]) == set(SIMULATED)


@pytest.mark.parametrize("hung", list(SIMULATED))
async def test_a_hung_service_costs_its_timeout_once_and_hides_nobody(
    hung: str, control: Control, config: str, connect: Connect, ask: ToolCaller
) -> None:
    others = set(SIMULATED) - {hung}
    async with connect(config) as client:
        before = await ask(client, "list_runs", limit=200, service="")
    asked_before = sum(row["count"] for row in control.requests(hung))
    control.hold(hung)
    async with connect(impatient(config, hung)) as client:
        page = await ask(client, "list_runs", limit=200)
    assert sum(row["count"] for row in control.requests(hung)) - asked_before == 1
    shares = {share["service"]: share for share in page["services"]}
    assert shares[hung]["shown"] == 0
    assert "total" not in shares[hung]
    assert shares[hung]["error"].startswith(f"Service {hung} cannot be reached. It took too long to answer.")
    assert f"Not in this list: {hung} (see services)." in page["note"]
    seen = [run["run_id"] for run in before["runs"] if not run["run_id"].startswith(f"{hung}:")]
    assert [run["run_id"] for run in page["runs"]][: len(seen)] == seen
    assert services_of(page["runs"]) == others
    assert not any("error" in shares[name] for name in others)
    await control.until_open(portal=0, factory=0, cloud=0)


async def test_the_others_have_answered_while_a_service_hangs(
    control: Control, config: str, connect: Connect, ask: ToolCaller
) -> None:
    control.hold("cloud")
    async with connect(config) as client:
        asked = asyncio.create_task(ask(client, "list_runs", limit=20))
        await control.until_open(portal=0, factory=0, cloud=1)
        answered = {name: sum(row["count"] for row in control.requests(name)) for name in SIMULATED}
        assert not asked.done()
        control.release()
        assert services_of((await asked)["runs"])
    assert all(answered.values())


async def test_a_share_says_how_many_there_are_and_how_many_of_them_are_shown(
    control: Control, config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        page = await ask(client, "list_runs", limit=30)
        alone = {name: await ask(client, "list_runs", service=name, limit=1) for name in SIMULATED}
    assert sum(share["shown"] for share in page["services"]) == len(page["runs"]) == 30
    for share in page["services"]:
        own = alone[share["service"]]["services"][0]
        assert share.get("total") == own.get("total")
        assert share.get("at_least") == own.get("at_least")
        shown = sum(run["run_id"].startswith(f"{share['service']}:") for run in page["runs"])
        assert share["shown"] == shown
    totals = {share["service"]: share.get("total") for share in page["services"]}
    assert totals["cloud"] > 30
    assert totals["portal"] > 30
    assert totals["factory"] is None
    assert "How many match in all, factory does not say." in page["note"]
    assert page["cursor"]


async def test_a_service_that_was_silent_gives_its_runs_on_the_next_page_once_it_answers(
    control: Control, config: str, connect: Connect, ask: ToolCaller
) -> None:
    control.hold("cloud")
    async with connect(impatient(config, "cloud")) as client:
        first = await ask(client, "list_runs", limit=10)
        control.release()
        second = await ask(client, "list_runs", limit=10, cursor=first["cursor"])
    assert "cloud" not in services_of(first["runs"])
    assert "cloud" in services_of(second["runs"])
    assert not any("error" in share for share in second["services"])


async def test_where_every_service_hangs_the_answer_is_an_error_after_one_timeout_each(
    control: Control, config: str, connect: Connect, refused: RefusedCaller
) -> None:
    for service in SIMULATED:
        control.hold(service)
        config = impatient(config, service)
    async with connect(config) as client:
        told = await refused(client, "list_runs")
    assert told.startswith("list_runs failed: Service portal cannot be reached. It took too long to answer.")
    assert [sum(row["count"] for row in control.requests(name)) for name in SIMULATED] == [1, 1, 1]
