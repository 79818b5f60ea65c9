"""`stop_job`: stopped when the portal says so, and only what it takes is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from mcp import Client

from tests.fixture_types import RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


async def test_a_job_started_here_is_stopped_by_its_id_or_its_node(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    for by in ("job_uid", "node_id"):
        job = await ask(client, "run_tests", **bench.order(bench.quick, bench.slow))
        bench.advance(3)
        stopped = await ask(client, "stop_job", **{by: job[by]})
        assert stopped == {
            "job_uid": job["job_uid"],
            "node_id": job["node_id"],
            "stopped": True,
            "done": 1,
            "total": 2,
        }
        assert bench.asked(f"/jobs{bench.native(job['job_uid'])}/stop", "PUT") == 1
        assert bench.job(job["job_uid"])["status"] == "exited"


async def test_stopping_what_has_ended_asks_the_portal_for_nothing(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    uid = bench.start(bench.colleague, test_cases=[bench.quick])
    bench.finish()
    stopped = await ask(client, "stop_job", job_uid=uid)
    assert (stopped["stopped"], stopped["note"]) == (True, "It had ended before.")
    assert bench.asked(f"/jobs{bench.native(uid)}/stop", "PUT") == 0


async def test_202_while_stopping_is_waited_out_with_pauses(bench: Bench, client: Client, ask: ToolCaller) -> None:
    job = await ask(client, "run_tests", **bench.order())
    bench.hold(stop=0.0, stopping=1.0)
    began = time.monotonic()
    assert (await ask(client, "stop_job", job_uid=job["job_uid"]))["stopped"]
    assert time.monotonic() - began >= 1
    assert 2 <= bench.asked(f"/jobs{bench.native(job['job_uid'])}/stop", "PUT") <= 3


async def test_one_that_takes_too_long_is_reported_with_what_to_call_next(
    bench: Bench, client: Client, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.deadline.RESERVE", 0.99)
    job = await ask(client, "run_tests", **bench.order())
    bench.hold(stopping=60.0)
    stopped = await ask(client, "stop_job", job_uid=job["job_uid"])
    assert not stopped["stopped"]
    assert f"get_job(job_uid={job['job_uid']!r}, wait_seconds=45)" in stopped["next"]
    again = await ask(client, "stop_job", job_uid=job["job_uid"])
    assert not again["stopped"], "asking again changes nothing"


async def test_a_lost_answer_is_looked_up(bench: Bench, client: Client, ask: ToolCaller) -> None:
    job = await ask(client, "run_tests", **bench.order())
    stop = f"/jobs{bench.native(job['job_uid'])}/stop"
    bench.fault(action="reset-after", path_prefix=f"/api/v2{stop}", times=1)
    assert (await ask(client, "stop_job", job_uid=job["job_uid"]))["stopped"]
    assert bench.asked(stop, "PUT") == 1


@pytest.mark.parametrize("trouble", [{"status": 429, "retry_after": "1"}, {"status": 503}, {"action": "reset"}])
async def test_a_portal_in_trouble_is_asked_again(
    trouble: dict[str, Any], bench: Bench, client: Client, ask: ToolCaller
) -> None:
    job = await ask(client, "run_tests", **bench.order())
    stop = f"/jobs{bench.native(job['job_uid'])}/stop"
    bench.fault(path_prefix=f"/api/v2{stop}", times=1, **trouble)
    assert (await ask(client, "stop_job", job_uid=job["job_uid"]))["stopped"]
    assert bench.asked(stop, "PUT") == 2


async def test_a_portal_that_takes_no_stop_is_an_error(
    bench: Bench, client: Client, ask: ToolCaller, refused: RefusedCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.deadline.RESERVE", 0.99)
    job = await ask(client, "run_tests", **bench.order())
    bench.fault(status=429, path_prefix=f"/api/v2/jobs{bench.native(job['job_uid'])}/stop", times=0)
    assert "limiting requests" in await refused(client, "stop_job", job_uid=job["job_uid"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "Give either job_uid or node_id"),
        ({"job_uid": "portal:/a/b/1", "node_id": "x"}, "Give either"),
        ({"job_uid": "portal:/a/b/1"}, "no such job"),
        ({"node_id": "nowhere"}, "no such node"),
        ({"node_id": "stb-tester-00044b80f3ff"}, "has never run a job"),
    ],
)
async def test_what_cannot_be_stopped_is_told(
    arguments: dict[str, Any], told: str, client: Client, refused: RefusedCaller
) -> None:
    assert told in await refused(client, "stop_job", **arguments)
    assert told in await refused(client, "get_job", **arguments)
