"""`watch`: a job, a node or a reservation, until it has happened; read afterwards from wherever the caller is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixture_types import Connect, RefusedCaller, ToolCaller
from tests.server.access.conftest import served, signed_in, table_of
from tests.server.watches.conftest import QUICK, eventually

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Window
    from tests.server.watches.conftest import Farm

OPEN = Callable[[str], "Window"]


def test_a_job_is_watched_over_the_death_of_the_server_and_read_from_another(
    farm: Farm, open_window: OPEN, until: Callable[..., Any]
) -> None:
    first = open_window(farm.config())
    order = {"node_id": f"portal:{farm.free()[0]}", "test_pack_revision": "main", "test_cases": [QUICK] * 9}
    job = first.call("run_tests", **order)["job_uid"]
    begun = first.call("watch", job_uid=job)
    assert (begun["state"], begun["waits_for"]) == ("watching", f"the end of job '{job}'")
    assert first.call("watch", job_uid=job, wait_seconds=1)["watch_id"] == begun["watch_id"]
    first.kill()

    second = open_window(farm.config())
    farm.advance(600)
    ended = second.call("watch", watch_id=begun["watch_id"], wait_seconds=40)
    assert ended["state"] == "happened"
    assert ended["what"] == f"Job '{job}' has ended: 9 of 9 tests done: 9 passed, 0 failed, 0 with error"
    assert ended["seen"]["job"]["finished"]
    assert ended["next"] == f"get_job(job_uid='{job}') has its counts."
    assert second.call("watch", job_uid=job)["at"] == ended["at"], "the same call is the same watch, also afterwards"


def test_what_one_replica_watches_is_read_on_another(farm: Farm, open_window: OPEN, postgresql: str) -> None:
    one, other = open_window(farm.config(postgresql)), open_window(farm.config(postgresql))
    node = farm.free()[0]
    held = farm.reserve(node)
    begun = one.call("watch", node_id=f"portal:{node}")
    assert begun["seen"]["node"]["reservation"]["message"] == "*theirs* <!channel>"
    assert "watch" in begun["next"]
    farm.release(held)
    ended = other.call("watch", watch_id=begun["watch_id"], wait_seconds=40)
    assert (ended["state"], ended["what"]) == ("happened", f"Node 'portal:{node}' is free")
    assert ended["next"] == "reserve_nodes takes it, if nobody was quicker."


async def test_many_watches_of_a_thing_are_one_poll_and_progress_is_told(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    job = {"node_id": f"portal:{farm.free()[0]}", "test_pack_revision": "main", "test_cases": [QUICK] * 90}
    steps: list[str | None] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    async with connect(farm.config()) as client:
        uid = (await ask(client, "run_tests", **job))["job_uid"]
        watched = [await ask(client, "watch", job_uid=uid, max_hours=hours) for hours in (1, 2, 3, 4, 5, 6)]
        assert len({one["watch_id"] for one in watched}) == 6
        path = f"/jobs{uid.partition(':')[2]}"

        async def often() -> bool:
            return farm.asked(path) >= 10

        await eventually(often)
        before = farm.asked(path)
        farm.advance(3)
        arguments = {"watch_id": watched[0]["watch_id"], "wait_seconds": 10}
        told = await client.call_tool("watch", arguments, progress_callback=progress)
        assert told.structured_content is not None
        assert told.structured_content["state"] == "watching"
        assert any(step and step.endswith("of 90 tests done") for step in steps)
        assert farm.asked(path) - before <= 6, "one read in three seconds, however many watch"


async def test_a_reservation_that_ends_is_told_and_a_service_in_trouble_is_waited_for(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    held = farm.reserve(farm.free()[0])
    async with connect(farm.config()) as client:
        begun = await ask(client, "watch", reservation_id=f"portal:{held}")
        farm.fault(action="status", status=503, times=0)

        async def troubled() -> object:
            now = await ask(client, "watch", watch_id=begun["watch_id"])
            assert now["state"] == "watching"
            return now.get("trouble")

        await eventually(troubled)
        farm.calm()
        farm.release(held)
        ended = await ask(client, "watch", watch_id=begun["watch_id"], wait_seconds=40)
    assert (ended["state"], ended["what"]) == ("happened", f"Reservation 'portal:{held}' has ended")
    assert "trouble" not in ended


async def test_what_does_not_come_to_pass_is_said_so(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    node = farm.free()[0]
    async with connect(farm.config()) as client:
        ended = await ask(
            client, "watch", node_id=node, node_becomes="offline", max_hours=0.001, wait_seconds=30, service=""
        )
        assert (ended["state"], ended["what"]) == ("not in time", "It did not come to pass")
        assert ended["seen"]["node"]["state"] == "free", "as it was last seen"
        late = await ask(client, "cancel_campaign", campaign_id=ended["watch_id"])
        assert (late["state"], late["note"]) == ("not in time", "It had ended. It did not come to pass.")
        nodes = (await ask(client, "list_nodes"))["nodes"]
        off = next(one["node_id"] for one in nodes if one["state"] == "offline")
        now = await ask(client, "watch", node_id=off, node_becomes="offline", wait_seconds=30)
    assert now["what"] == f"Node '{off}' is offline"


async def test_the_same_call_after_a_cancelled_watch_watches_on(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    wanted = {"node_id": f"portal:{farm.free()[0]}", "node_becomes": "offline"}
    async with connect(farm.config()) as client:
        first = (await ask(client, "watch", **wanted))["watch_id"]
        assert (await ask(client, "cancel_campaign", campaign_id=first))["state"] == "cancelled"
        second = await ask(client, "watch", **wanted)
        assert second["state"] == "watching"
        assert (await ask(client, "watch", **wanted))["watch_id"] == second["watch_id"] != first
        ended = await ask(client, "watch", watch_id=first)
    assert ended["state"] == "cancelled"
    assert "next" not in ended, "a call by its watch_id only reads it"


async def test_what_cannot_be_watched_is_refused(farm: Farm, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(farm.config()) as client:
        assert "Nothing to watch is given" in await refused(client, "watch")
        assert "Several things are given" in await refused(client, "watch", job_uid="x", node_id="y")
        assert "no such watch" in await refused(client, "watch", watch_id="watch-000000000000.0")
        job = "portal:/stb-tester-000000000001/0a23/972"
        assert "no such job" in await refused(client, "watch", job_uid=job)
        assert "list_nodes" in await refused(client, "watch", node_id="portal:stb-tester-000000000009")
        assert "reservation" in await refused(client, "watch", reservation_id="portal:99999")
    off = farm.config().replace("[durable]\n", "[durable]\nenabled = false\n")
    async with connect(off) as client:
        told = await refused(client, "watch", node_id=farm.free()[0])
        assert "[durable] enabled = true turns it on" in told


async def test_a_database_that_is_away_is_said(farm: Farm, connect: Connect, refused: RefusedCaller) -> None:
    async with connect(farm.config("database_url = 'postgresql://127.0.0.1:1/none'")) as client:
        told = await refused(client, "watch", node_id=farm.free()[0])
        assert "The database of watches does not answer" in told


async def test_callers_see_only_their_own_watches(
    farm: Farm, tmp_path: Path, ask: ToolCaller, refused: RefusedCaller
) -> None:
    node = farm.free()[0]
    callers = table_of("ada", nodes=[node]) + table_of("bob")
    with served(farm.config() + callers) as url:
        async with signed_in(url, "ada") as ada, signed_in(url, "bob") as bob:
            begun = await ask(ada, "watch", node_id=node, node_becomes="offline")
            assert "no such watch" in await refused(bob, "watch", watch_id=begun["watch_id"])
            other = await ask(bob, "watch", node_id=node, node_becomes="offline")
            assert other["watch_id"] != begun["watch_id"]
            told = await refused(ada, "watch", yield_below=95, service="portal")
            assert "over all nodes" in told
            theirs = next(one["node_id"] for one in farm.nodes() if one["node_id"] != node)
            assert "may not use" in await refused(ada, "watch", node_id=theirs)
        async with signed_in(url, "ada", "legacy") as again:
            assert (await ask(again, "watch", watch_id=begun["watch_id"]))["state"] == "watching"


@pytest.mark.parametrize("below", [100, 1])
async def test_a_yield_is_what_summarize_runs_says_of_the_last_units(
    below: int, farm: Farm, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    async with connect(farm.config()) as client:
        while True:  # the archive is read first
            whole = await ask(client, "summarize_runs", metric="first_pass_yield", service="factory", since="365d")
            if not any(one.get("partial") for one in whole["services"]):
                break
        begun = await ask(client, "watch", yield_below=below, over_units=40, service="factory", wait_seconds=15)
        figures = begun["seen"]["figures"]
        same = await ask(client, "summarize_runs", metric="first_pass_yield", service="factory", since=figures["since"])
        assert figures["n"] == same["total"]["n"] >= 40
        assert figures["percent"] == pytest.approx(same["total"]["rate"] * 100)
        assert begun["state"] == ("happened" if below == 100 else "watching")
        assert begun["waits_for"].endswith("over the last 40 units at factory")
        if below == 100:
            assert begun["what"].startswith("The first pass yield at factory, is ")
        assert "0.95 as a fraction is 95" in await refused(client, "watch", yield_below=0.95, service="factory")
        told = await refused(client, "watch", yield_below=95, service="portal")
        assert "portal tells no units, and a first pass yield is of units" in told
        told = await refused(client, "watch", yield_below=95, part="no such part at all", service="factory")
        assert "no run with such a part" in told
        assert "Several services" in await refused(client, "watch", yield_below=95)
        few = await ask(
            client,
            "watch",
            yield_below=100,
            over_units=10_000,
            part=await _a_part(client, ask),
            service="factory",
            wait_seconds=3,
        )
        assert few["state"] == "watching"
        assert few["waits_for"].endswith(f'at factory, part "{few["seen"]["figures"]["part"]}"')
        assert "units with a verdict, of 10000" in few["seen"]["figures"]["unknown"]


async def _a_part(client: Any, ask: ToolCaller) -> str:
    found = await ask(
        client, "summarize_runs", metric="runs", group_by="part", service="factory", since="365d", limit=1
    )
    return found["rows"][0]["group"]
