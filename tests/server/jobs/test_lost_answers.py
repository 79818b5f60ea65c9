"""`run_tests` whose answer was lost: sent once, and what became of it is looked up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


async def test_a_job_that_was_started_is_found(bench: Bench, client: Client, ask: ToolCaller) -> None:
    bench.start(bench.you, test_cases=[bench.quick])
    bench.finish()
    bench.fault(action="reset-after", path_prefix="/api/v2/run_tests", times=1)
    job = await ask(client, "run_tests", **bench.order())
    told = "The answer was lost; this is the job that has begun on the node since. Nothing was sent twice."
    assert job["note"] == told
    assert job["job_uid"] == f"portal:{bench.you.get(f'/nodes/{bench.node}/job').json()['job_uid']}"
    assert bench.asked("/run_tests", "POST") == 2, "one of them the test's own"
    stopped = await ask(client, "stop_job", job_uid=job["job_uid"])
    assert stopped["stopped"]


async def test_waiting_goes_on_as_if_it_had_come(bench: Bench, client: Client, ask: ToolCaller) -> None:
    bench.fault(action="reset-after", path_prefix="/api/v2/run_tests", times=1)
    job = await ask(client, "run_tests", **bench.order(bench.quick), wait_seconds=20)
    assert (job["finished"], job["passed"]) == (True, 1)
    assert "The answer was lost" in job["note"]
    assert bench.asked("/run_tests", "POST") == 1


@pytest.mark.parametrize("fault", [{"action": "reset"}, {"status": 504}, {"status": 500}, {"action": "garbage"}])
async def test_an_order_that_started_nothing_may_be_sent_again(
    fault: dict[str, Any], bench: Bench, client: Client, ask: ToolCaller, refused: RefusedCaller, quick_looks: None
) -> None:
    bench.fault(path_prefix="/api/v2/run_tests", times=1, **fault)
    told = await refused(client, "run_tests", **bench.order())
    assert "no job was started" in told
    assert "safe to call run_tests again" in told
    assert bench.asked("/run_tests", "POST") == 1
    assert not (await ask(client, "run_tests", **bench.order()))["finished"]


async def test_it_is_said_when_the_node_cannot_be_looked_up_either(
    bench: Bench, client: Client, refused: RefusedCaller
) -> None:
    job = f"/api/v2/nodes/{bench.node}/job"
    bench.fault(action="slow", seconds=0, path_prefix=job, times=1)
    bench.fault(status=500, path_prefix=job, times=0)
    bench.fault(action="reset-after", path_prefix="/api/v2/run_tests", times=1)
    told = await refused(client, "run_tests", **bench.order())
    assert "is not known: the answer was lost" in told
    assert "do not call run_tests again before" in told
    assert bench.asked("/run_tests", "POST") == 1


async def test_a_colleagues_job_is_not_taken_for_ours(bench: Bench, client: Client, refused: RefusedCaller) -> None:
    bench.fault(action="reset", path_prefix="/api/v2/run_tests", times=1)
    asking = asyncio.create_task(refused(client, "run_tests", **bench.order()))
    await bench.until(lambda: bench.asked("/run_tests", "POST") == 1)
    uid = bench.start(bench.colleague)
    assert f"is running job {uid!r}" in await asking


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.adapters.stbtester.client.Portal.looks", (0.0, 0.01, 0.01))
