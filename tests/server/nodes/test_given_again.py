"""An order whose answer nobody heard, given again by the same caller, is the same order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm


async def given_up(client: Client, farm: Farm, tool: str, path: str, arguments: dict[str, Any]) -> None:
    """A call that its client cancels once the portal has it."""
    farm.fault(path, "POST", action="hold", times=1)
    call = asyncio.ensure_future(client.call_tool(tool, arguments))
    await farm.until(lambda: farm.asked("POST", path) == 1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


@pytest.mark.parametrize("when", ["while it is under way", "after it has ended"])
async def test_tests_that_a_client_gave_up_on_are_not_started_twice(
    when: str, farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(farm.config) as client:
        await given_up(client, farm, "run_tests", "/run_tests", farm.tests())
        if when == "after it has ended":
            farm.calm()
            await farm.until(lambda: (farm.node()["job"] or {}).get("status") == "running")
        again = asyncio.ensure_future(ask(client, "run_tests", **farm.tests(wait_seconds=1)))
        await asyncio.sleep(0)
        farm.calm()
        job = await again
        assert job["job_uid"] == f"portal:{farm.node()['job']['job_uid']}"
        assert "nothing was started twice" in job["note"]
        assert farm.asked("POST", "/run_tests") == 1


async def test_nodes_that_a_client_gave_up_on_are_reserved_once_and_given_back(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(farm.config) as client:
        await given_up(client, farm, "reserve_nodes", "/reservations", farm.order())
        farm.calm()
        again = await ask(client, "reserve_nodes", **farm.order())
        assert "nothing was reserved twice" in again["note"]
        assert farm.asked("POST", "/reservations") == 1
    assert farm.held() is None


async def test_nodes_that_a_client_gave_up_on_for_good_are_given_back(farm: Farm, connect: Connect) -> None:
    async with connect(farm.config) as client:
        await given_up(client, farm, "reserve_nodes", "/reservations", farm.order())
        farm.calm()
        await farm.until(lambda: farm.held() is not None)
    assert farm.held() is None


async def test_other_arguments_are_another_order(farm: Farm, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(farm.config) as client:
        await given_up(client, farm, "reserve_nodes", "/reservations", farm.order())
        farm.calm()
        await farm.until(lambda: farm.held() is not None)
        assert "already reserved by you" in await refused(client, "reserve_nodes", **farm.order(message="other"))


async def test_a_lost_job_is_found_by_the_same_order(
    farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    job = f"/nodes/{farm.nodes[0]}/job"
    farm.fault(job, "GET", 1, action="slow", seconds=0)
    farm.fault(job, "GET", status=500)
    farm.fault("/run_tests", "POST", 1, action="status-after", status=503)
    async with connect(farm.config) as client:
        told = await refused(client, "run_tests", **farm.tests())
        assert "is not known" in told
        assert "offline" not in told
        farm.calm()
        found = await ask(client, "run_tests", **farm.tests())
        assert found["job_uid"] == f"portal:{farm.node()['job']['job_uid']}"
        assert farm.asked("POST", "/run_tests") == 1


async def test_a_job_that_runs_after_a_503_is_told_as_started(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    farm.fault("/run_tests", "POST", 1, action="status-after", status=503)
    async with connect(farm.config) as client:
        job = await ask(client, "run_tests", **farm.tests())
    assert job["job_uid"] == f"portal:{farm.node()['job']['job_uid']}"
