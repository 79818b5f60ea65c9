"""`get_job` and `run_tests` with `wait_seconds`: one long poll upstream, whoever waits and however they go."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client

from tests.fixture_types import Connect, ToolCaller
from tests.server_processes import serve_over_http

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


@pytest.fixture
def url(bench: Bench, tmp_path: Path) -> Iterator[str]:
    """A server in front of the bench, over HTTP."""
    path = tmp_path / "http.toml"
    path.write_text(bench.config, encoding="utf-8")
    with serve_over_http(path) as at:
        yield at


@asynccontextmanager
async def client_over(transport: str, bench: Bench, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if transport in ("connect", "spawn"):
        async with request.getfixturevalue(transport)(bench.config) as client:
            yield client
    else:
        async with Client(request.getfixturevalue("url"), mode=transport) as client:
            yield client


async def test_a_job_of_thirty_tests_is_watched_to_its_end_with_progress(
    bench: Bench, spawn: Connect, ask: ToolCaller
) -> None:
    names = bench.you.get("/test_pack/main/test_case_names").json()
    names = [name for name in names if "soak" not in name][:30]
    steps: list[tuple[float, float | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        assert message
        steps.append((progress, total))
        await asyncio.to_thread(bench.advance, 8)

    async with spawn(bench.config) as client:
        result = await client.call_tool("run_tests", bench.order(*names, wait_seconds=45), progress_callback=progress)
    job = result.structured_content
    assert (job["finished"], job["total"]) == (True, 30)
    assert job["passed"] + job["failed"] + job["errored"] == 30
    assert {total for _, total in steps} == {30}
    done = [step[0] for step in steps]
    assert done == sorted(set(done)), "progress increases"
    assert (done[0], done[-1]) == (0, 30)
    assert len(done) >= 3
    assert bench.asked(f"/jobs{bench.native(job['job_uid'])}/await_completion") == 1


@pytest.mark.parametrize("transport", ["spawn", "legacy", "2026-07-28"])
async def test_cancelling_ends_the_waiting_and_its_requests_and_not_the_job(
    transport: str, bench: Bench, ask: ToolCaller, request: pytest.FixtureRequest
) -> None:
    uid = bench.start(bench.you)
    job, poll = f"/jobs{bench.native(uid)}", f"/jobs{bench.native(uid)}/await_completion"
    async with client_over(transport, bench, request) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "get_job", {"job_uid": uid, "wait_seconds": 45})
            await bench.until(lambda: bench.asked(poll, count="open") == 1)
            group.cancel_scope.cancel()
        await bench.until(lambda: bench.asked(poll, count="open") == 0)
        looks = bench.asked(job)
        await asyncio.sleep(1.2)
        assert bench.asked(job) == looks, "nobody looks at the job any more"
        assert not (await ask(client, "get_job", job_uid=uid))["finished"], "and it runs on"


@pytest.mark.parametrize("transport", ["connect", "spawn"])
async def test_five_hundred_who_wait_on_one_job_are_one_request_and_all_get_the_answer(
    transport: str, bench: Bench, ask: ToolCaller, request: pytest.FixtureRequest
) -> None:
    uid = bench.start(bench.you)
    job, poll = f"/jobs{bench.native(uid)}", f"/jobs{bench.native(uid)}/await_completion"
    async with client_over(transport, bench, request) as client:
        began = time.monotonic()
        waiting = [asyncio.create_task(ask(client, "get_job", job_uid=uid, wait_seconds=45)) for _ in range(500)]
        await bench.until(lambda: bench.asked(poll, count="open") == 1)
        asked = time.monotonic()
        assert (await ask(client, "list_nodes"))["nodes"]
        assert time.monotonic() - asked < 5, "another tool answers meanwhile"
        assert not any(one.done() for one in waiting)
        bench.finish()
        jobs = await asyncio.gather(*waiting)
        seconds = time.monotonic() - began
    assert len(jobs) == 500
    assert all(one["finished"] and one["job_uid"] == uid for one in jobs)
    assert (bench.asked(poll), bench.asked(poll, count="peak_open")) == (1, 1)
    assert bench.asked(job) <= seconds + 3
    assert bench.asked(job, count="peak_open") == 1


async def test_those_who_name_the_node_and_those_who_name_the_job_share_the_poll(
    bench: Bench, client: Client, ask: ToolCaller
) -> None:
    uid = bench.start(bench.you)
    poll = f"/jobs{bench.native(uid)}/await_completion"
    named = [{"job_uid": uid}, {"node_id": bench.node}, {"node_id": f"portal:{bench.node}"}]
    waiting = [asyncio.create_task(ask(client, "get_job", **name, wait_seconds=30)) for name in named]
    await bench.until(lambda: bench.asked(f"/nodes/{bench.node}/job") >= 1 and bench.asked(poll, count="open") == 1)
    await asyncio.sleep(0.2)
    bench.finish()
    assert {one["job_uid"] for one in await asyncio.gather(*waiting)} == {uid}
    assert bench.asked(poll, count="peak_open") == 1
    assert bench.asked(poll) == 1


async def test_a_portal_that_answers_202_at_once_is_not_hammered(bench: Bench, client: Client, ask: ToolCaller) -> None:
    bench.hold(await_completion=0.0)
    uid = bench.start(bench.you)
    job = await ask(client, "get_job", job_uid=uid, wait_seconds=3)
    assert not job["finished"]
    assert f"get_job(job_uid={uid!r}, wait_seconds=45)" in job["next"]
    assert 2 <= bench.asked(f"/jobs{bench.native(uid)}/await_completion") <= 4
    assert 2 <= bench.asked(f"/jobs{bench.native(uid)}") <= 5


@pytest.mark.parametrize("storm", [{"status": 429, "retry_after": "1"}, {"status": 503}])
async def test_a_storm_is_ridden_out_while_the_caller_waits(
    storm: dict[str, Any], bench: Bench, client: Client, ask: ToolCaller
) -> None:
    bench.hold(await_completion=0.3)
    uid = bench.start(bench.you)
    job, poll = f"/jobs{bench.native(uid)}", f"/jobs{bench.native(uid)}/await_completion"
    waiting = asyncio.create_task(ask(client, "get_job", job_uid=uid, wait_seconds=30))
    await bench.until(lambda: bench.asked(poll) >= 1)
    before = bench.asked(job) + bench.asked(poll)
    bench.fault(path_prefix="/api/v2/jobs", times=0, **storm)
    await asyncio.sleep(1.5)
    stormed = bench.asked(job) + bench.asked(poll) - before
    assert 1 <= stormed <= 6
    bench.calm()
    bench.finish()
    assert (await waiting)["finished"]


async def test_a_storm_that_lasts_is_told_beside_the_last_counts(bench: Bench, client: Client, ask: ToolCaller) -> None:
    uid = bench.start(bench.you)
    waiting = asyncio.create_task(ask(client, "get_job", job_uid=uid, wait_seconds=2))
    await bench.until(lambda: bench.asked(f"/jobs{bench.native(uid)}/await_completion") == 1)
    bench.fault(path_prefix="/api/v2/jobs", times=0, status=429)
    job = await waiting
    assert (job["finished"], job["total"]) == (False, 1)
    assert re.match(r"Counts of \d s ago\. Service portal is limiting requests", job["note"])
    assert "wait_seconds=45" in job["next"]


async def test_no_call_holds_longer_than_it_was_told(bench: Bench, client: Client, ask: ToolCaller) -> None:
    began = time.monotonic()
    job = await ask(client, "run_tests", **bench.order(wait_seconds=1))
    assert not job["finished"]
    assert 0.9 <= time.monotonic() - began < 2
