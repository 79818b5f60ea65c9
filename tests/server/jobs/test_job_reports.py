"""What a finished job's answer says: why its runs failed, and that its node is still held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from testlab_sim.stbtester.test_pack import BROKEN
from tests.fixture_types import ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench

MISSING = "tests/menu.py::test_that_is_not_there"


def end(bench: Bench, count: int, who: Any = None) -> str:
    """A job that has ended, of so many tests that fail and one that passes; its handle."""
    names = [f"{MISSING}_{number}" for number in range(count)]
    uid = bench.start(who or bench.you, test_cases=[*names, bench.quick])
    bench.finish()
    return uid


@pytest.mark.parametrize(("count", "more"), [(2, 0), (13, 3)])
async def test_a_finished_job_says_why_its_runs_failed_and_how_many_it_does_not_show(
    count: int, more: int, bench: Bench, client: Client, ask: ToolCaller
) -> None:
    uid = end(bench, count)
    job = await ask(client, "get_job", job_uid=uid)
    assert (job["finished"], job["errored"]) == (True, count)
    assert len(job["failures"]) == count - more
    assert job.get("more_failures", 0) == more
    assert {failure["outcome"] for failure in job["failures"]} == {"error"}
    failed = job["failures"][0]
    assert failed["case"].startswith(MISSING)
    assert "has no attribute" in failed["reason"]
    assert (await ask(client, "get_run", run_id=failed["run_id"]))["run"]["job_uid"] == uid
    assert {"case", "reason"} <= set(job["untrusted"])


async def test_tests_that_were_waited_for_say_why_they_failed(bench: Bench, client: Client, ask: ToolCaller) -> None:
    job = await ask(client, "run_tests", **bench.order(BROKEN, wait_seconds=40))
    (failed,) = job["failures"]
    assert (failed["case"], failed["outcome"]) == (BROKEN, "fail")
    (run,) = (await ask(client, "get_failed_cases", run_id=job["job_uid"]))["runs"]
    assert (failed["run_id"], failed["reason"]) == (run["run_id"], run["cases"][0]["reason"])


@pytest.mark.parametrize("tool", ["get_job", "run_tests"])
async def test_the_next_step_of_a_finished_job_ends_the_reservation_that_the_caller_holds(
    tool: str, bench: Bench, client: Client, ask: ToolCaller
) -> None:
    with bench.reserved(bench.you):
        if tool == "run_tests":
            job = await ask(client, tool, **bench.order(bench.quick, wait_seconds=30))
        else:
            job = await ask(client, tool, job_uid=end(bench, 0))
        held = bench.you.get(f"/nodes/{bench.node}").json()["reservation"]["reservation_id"]
    assert job["finished"]
    assert f"end_reservation(reservation_id='portal:{held}') gives the node back" in job["next"]


async def test_a_finished_job_says_nothing_of_a_node_that_another_or_nobody_holds(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    uid = end(bench, 1)
    assert "end_reservation" not in (await ask(client, "get_job", job_uid=uid))["next"]
    with bench.reserved(bench.colleague):
        assert "end_reservation" not in (await ask(client, "get_job", job_uid=uid))["next"]


async def test_failures_that_cannot_be_read_are_said_to_be_unread(
    bench: Bench, client: Client, ask: ToolCaller, no_backoff: None
) -> None:
    uid = end(bench, 2)
    bench.fault(path_prefix="/api/v2/results", status=500)
    bench.fault(path_prefix="/api/v2/nodes", status=500)
    job = await ask(client, "get_job", job_uid=uid)
    assert "failures" not in job
    assert job["more_failures"] == job["errored"] == 2
    assert "could not be read" in job["note"]
