"""Clients that listen to jobs, nodes and runs hear of their changes, in both eras, over stdio and HTTP."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.client.subscriptions import ResourceUpdated, ServerEvent

from testlab_tools.http.policy import Backoff
from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.listening import ERAS, MODERN, listening, read, subscribe, unsubscribe, uri_of
from tests.server_processes import serve_over_http, start_server

if TYPE_CHECKING:
    from tests.server.jobs.conftest import Bench


@pytest.fixture
def config(bench: Bench, tmp_path: Path) -> Path:
    path = tmp_path / "listening.toml"
    path.write_text(bench.config, encoding="utf-8")
    return path


@pytest.fixture
def url(config: Path) -> Iterator[str]:
    with serve_over_http(config) as at:
        yield at


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_listener_hears_of_a_jobs_end_and_then_reads_it(
    transport: str, mode: str, bench: Bench, config: Path, request: pytest.FixtureRequest
) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "testlab_mcp", "serve", "--config", str(config)]
    )
    server = command if transport == "stdio" else request.getfixturevalue("url")
    uid = bench.start(bench.you)
    async with listening(server, mode, uri_of("jobs", uid)) as listener:
        assert not (await read(listener.client, listener.uri))["finished"]
        bench.finish()
        job = await listener.change()
    assert (job["job_uid"], job["finished"]) == (uid, True)
    assert set(listener.heard) == {uri_of("jobs", uid)}


@pytest.mark.parametrize("mode", ERAS)
async def test_what_another_client_reads_of_a_node_is_heard_at_once(
    mode: str, bench: Bench, url: str, ask: ToolCaller
) -> None:
    node = f"portal:{bench.node}"
    async with listening(url, mode, uri_of("nodes", node)) as listener, Client(url) as other:
        made = await ask(other, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        await ask(other, "list_nodes")
        assert (await listener.change())["nodes"][0]["state"] == "reserved by you"
        await ask(other, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
        await ask(other, "list_nodes", node_ids=[node])
        assert (await listener.change())["nodes"][0]["state"] == "free"


async def test_what_nobody_reads_is_polled_for_those_who_listen(
    bench: Bench, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.watching.POLL_S", 0.05)
    heard: list[ServerEvent] = []
    async with connect(bench.config, MODERN) as client:
        uri = uri_of("nodes", f"portal:{bench.node}")
        async with client.listen(resource_subscriptions=[uri]) as first:
            with bench.reserved(bench.colleague):
                heard.append(await anext(first))
    assert heard == [ResourceUpdated(uri)]


async def test_a_run_that_is_deleted_is_heard_of(
    bench: Bench, connect: Connect, ask: ToolCaller, word_for: RefusedCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.watching.POLL_S", 0.05)
    monkeypatch.setattr("testlab_tools.watching.ENDED_S", 0.05)
    every = '[server]\naccess = "admin"\ntoolsets = ["all"]\n'
    async with connect(every + bench.config, MODERN) as client:
        run = (await ask(client, "list_runs", service="factory", limit=1))["runs"][0]["run_id"]
        async with client.listen(resource_subscriptions=[uri_of("runs", run)]) as subscription:
            word = await word_for(client, "delete_run", run_id=run)
            await ask(client, "delete_run", run_id=run, confirm=word)
            assert await anext(subscription) == ResourceUpdated(uri_of("runs", run))


async def test_all_who_listen_share_one_poll_which_ends_with_the_last(bench: Bench, url: str) -> None:
    uid = bench.start(bench.you)
    poll = f"/jobs{bench.native(uid)}/await_completion"
    async with listening(url, "legacy", uri_of("jobs", uid)):
        async with (
            listening(url, MODERN, uri_of("jobs", uid)),
            listening(url, MODERN, uri_of("jobs", bench.native(uid))),
        ):
            await bench.until(lambda: bench.asked(poll, count="open") == 1)
        assert bench.asked(poll, count="open") == 1
    await bench.until(lambda: bench.asked(poll, count="open") == 0)
    assert bench.asked(poll, count="peak_open") == 1


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_that_goes_away_is_forgotten(mode: str, bench: Bench, url: str) -> None:
    uid = bench.start(bench.you)
    poll = f"/jobs{bench.native(uid)}/await_completion"
    async with Client(url, mode=mode) as client:
        if mode == "legacy":
            await subscribe(client, uri_of("jobs", uid))
        else:
            stream = client.listen(resource_subscriptions=[uri_of("jobs", uid)])
            await stream.__aenter__()
        await bench.until(lambda: bench.asked(poll, count="open") == 1)
    await bench.until(lambda: bench.asked(poll, count="open") == 0)


async def test_what_cannot_be_listened_to_is_refused_or_not_acknowledged(bench: Bench, url: str) -> None:
    node = f"portal:{bench.node}"
    wrong = [uri_of("nodes", "portal:nowhere"), f"{uri_of('nodes', node)}/screen", "testlab://services", "test://other"]
    async with Client(url, mode="legacy") as client:
        for uri in wrong:
            with pytest.raises(MCPError) as refused:
                await subscribe(client, uri)
            assert refused.value.code == -32602
        await unsubscribe(client, wrong[0])
    async with (
        Client(url, mode=MODERN) as client,
        client.listen(resource_subscriptions=[*wrong, uri_of("nodes", node)], tools_list_changed=True) as subscription,
    ):
        assert subscription.honored.resource_subscriptions == [uri_of("nodes", node)]
        assert not subscription.honored.tools_list_changed


async def test_subscriptions_are_bounded_for_each_caller(bench: Bench, connect: Connect) -> None:
    uris = [uri_of("nodes", f"portal:n{number}") for number in range(51)]
    async with connect(bench.config, MODERN) as client:
        with pytest.raises(MCPError, match="each caller may have 50"):
            await client.listen(resource_subscriptions=uris).__aenter__()
        async with client.listen(resource_subscriptions=uris[:50]) as subscription:
            assert not subscription.honored.resource_subscriptions


async def test_a_service_that_does_not_answer_is_said(bench: Bench, connect: Connect, no_backoff: None) -> None:
    uid = bench.start(bench.you)
    async with connect(bench.config, MODERN) as client:
        bench.fault(path_prefix="/api/v2/jobs", times=0, status=503)
        with pytest.raises(MCPError) as failed:
            await client.listen(resource_subscriptions=[uri_of("jobs", uid)]).__aenter__()
    assert failed.value.code == -32603


async def test_trouble_meanwhile_is_outlasted(
    bench: Bench, connect: Connect, no_backoff: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.watching.POLL_S", 0.05)
    monkeypatch.setattr("testlab_tools.watching.AGAIN", Backoff(0.05, 0.05))
    async with connect(bench.config, MODERN) as client:
        uri = uri_of("nodes", f"portal:{bench.node}")
        async with client.listen(resource_subscriptions=[uri]) as subscription:
            bench.fault(path_prefix="/api/v2/nodes", times=0, status=503)
            before = bench.asked("/nodes")
            await bench.until(lambda: bench.asked("/nodes") >= before + 3)
            bench.calm()
            with bench.reserved(bench.colleague):
                assert await anext(subscription) == ResourceUpdated(uri)


@pytest.mark.parametrize("mode", ERAS)
async def test_who_listens_to_a_job_that_has_ended_hears_so_at_once(mode: str, bench: Bench, url: str) -> None:
    uid = bench.start(bench.you)
    bench.finish()
    await bench.until(lambda: bench.you.get(f"/jobs{bench.native(uid)}").json()["status"] != "running")
    async with listening(url, mode, uri_of("jobs", uid)) as listener:
        assert (await listener.change())["finished"]
    assert bench.asked(f"/jobs{bench.native(uid)}/await_completion") == 0


async def test_a_server_that_stops_ends_the_streams_of_those_who_listen(bench: Bench, config: Path) -> None:
    command = ("serve", "--config", str(config), "--http", "127.0.0.1:0")
    with start_server(*command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        url = process.stderr.readline().split()[-1]
        uri = uri_of("nodes", f"portal:{bench.node}")
        async with Client(url, mode=MODERN) as client, client.listen(resource_subscriptions=[uri]) as subscription:
            process.terminate()
            with pytest.raises(StopAsyncIteration):
                await anext(subscription)
        assert process.wait(timeout=8) == 0
        assert process.stderr.read() == ""
