"""`reserve_nodes` with `wait_minutes`, and by type: what the agent is told; the same call is the same ticket."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.durable.late_store import next_number
from testlab_tools.node_queue.fitness import FaultCollector, Faults
from testlab_tools.node_queue.queue import NodeRequest, ReservationQueue, Ticket
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm


WATCHES = '[server]\ntoolsets = ["default", "campaigns"]\n'


@pytest.fixture
def config(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 0.2)
    monkeypatch.setattr("testlab_tools.node_queue.queue.POLL_S", 0.1)
    return f"{farm.table}\n[durable]\npath = '{tmp_path / 'd.sqlite'}'\n"


def device_type(farm: Farm) -> str:
    return farm.node()["device_type"]


async def waits(client: Any, ask: ToolCaller, farm: Farm, **more: object) -> dict[str, Any]:
    told = await ask(client, "reserve_nodes", **farm.order(wait_minutes=30, **more))
    assert told["reservations"] == []
    return told


async def test_a_free_node_is_reserved_at_once_however_long_one_would_wait(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 20)
    async with connect(config) as client:
        made = await ask(client, "reserve_nodes", **farm.order(wait_minutes=30))
        assert made["reservations"][0]["node_id"] == f"portal:{farm.nodes[0]}"
        assert farm.held()
    assert farm.held() is None, "it ends with the process, as any other"


async def test_who_waits_is_told_their_place_and_the_same_call_follows_the_same_ticket(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller
) -> None:
    held = farm.reserve(farm.colleague)
    async with connect(config) as client:
        first = await waits(client, ask, farm)
        second = await waits(client, ask, farm)
        assert first["queued"] == second["queued"]
        while "place" not in second["line"]:
            second = await waits(client, ask, farm)
        assert second["line"]["place"] == 1
        assert second["line"]["expected_wait"].endswith("minutes at most")
        other = await waits(client, ask, farm, message="another")
        assert other["queued"] != first["queued"]
        farm.colleague.delete(f"/reservations/{held.partition(':')[2]}").raise_for_status()
        await farm.until(lambda: bool((farm.held() or {}).get("reserved_by_you")))
        made = await ask(client, "reserve_nodes", **farm.order(wait_minutes=30))
        again = await ask(client, "reserve_nodes", **farm.order(wait_minutes=30))
        assert made["reservations"] == again["reservations"]
        ended = await ask(client, "end_reservation", reservation_id=made["reservations"][0]["reservation_id"])
        assert ended["ended"]


async def test_what_was_granted_to_a_call_that_broke_off_is_given_back_with_its_process(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    held = farm.reserve(farm.colleague)
    async with connect(config) as client:
        await waits(client, ask, farm)
        farm.colleague.delete(f"/reservations/{held.partition(':')[2]}").raise_for_status()
        await farm.until(lambda: bool((farm.held() or {}).get("reserved_by_you")))
        farm.fault("/nodes", "GET", status=503)
        await refused(client, "reserve_nodes", **farm.order(wait_minutes=30))
        farm.calm()
        assert farm.held()
    assert farm.held() is None


async def test_who_waits_in_line_may_say_for_how_many_seconds_the_call_is_held(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 45.0)
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        async with asyncio.timeout(10):
            assert (await waits(client, ask, farm, wait_seconds=1))["queued"]


async def test_the_same_request_is_the_same_ticket_however_long_its_call_is_held(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller
) -> None:
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        first = await waits(client, ask, farm, wait_seconds=1)
        assert (await waits(client, ask, farm))["queued"] == first["queued"]
        assert (await waits(client, ask, farm, wait_seconds=2))["queued"] == first["queued"]


async def test_of_several_farms_the_same_request_stays_in_the_line_where_it_stands(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller
) -> None:
    spare = farm.table.replace("services.portal", "services.spare")
    every = sum(node["device_type"] == device_type(farm) for node in farm.you.get("/nodes").json())
    farm.reserve(farm.colleague)
    wanted = {"device_type": device_type(farm), "count": every, "message": "m", "duration_minutes": 5}
    async with connect(config.replace(farm.table, spare)) as client:
        first = await ask(client, "reserve_nodes", **wanted, wait_minutes=30)
    async with connect(config.replace(farm.table, farm.table + spare)) as client:
        second = await ask(client, "reserve_nodes", **wanted, wait_minutes=30)
    assert second["queued"] == first["queued"]


async def test_who_stands_in_the_line_of_a_farm_that_does_not_answer_is_told_so_and_stands_in_no_second(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller, dead_url: str, tmp_path: Path
) -> None:
    spare = farm.table.replace("services.portal", "services.spare")
    dead = re.sub(r"(url = )[\"'][^\"']*[\"']", rf"\1'{dead_url}'", spare)
    every = sum(node["device_type"] == device_type(farm) for node in farm.you.get("/nodes").json())
    farm.reserve(farm.colleague)
    wanted = {"device_type": device_type(farm), "count": every, "message": "m", "duration_minutes": 5}
    async with connect(config.replace(farm.table, spare)) as client:
        first = await ask(client, "reserve_nodes", **wanted, wait_minutes=30)
    async with connect(config.replace(farm.table, farm.table + dead)) as client:
        assert "Service spare cannot be reached" in await refused(client, "reserve_nodes", **wanted, wait_minutes=30)
    with closing(sqlite3.connect(tmp_path / "d.sqlite")) as database:
        assert database.execute("SELECT ticket_id FROM node_tickets").fetchall() == [(first["queued"],)]


async def test_how_many_nodes_of_a_type_there_are_is_said_with_the_farm_that_did_not_answer(
    farm: Farm, config: str, connect: Connect, refused: RefusedCaller, dead_url: str
) -> None:
    spare = farm.table.replace("services.portal", "services.spare")
    dead = re.sub(r"(url = )[\"'][^\"']*[\"']", rf"\1'{dead_url}'", spare)
    wanted = {"device_type": device_type(farm), "count": 99, "message": "m", "duration_minutes": 5}
    async with connect(config.replace(farm.table, farm.table + dead)) as client:
        assert "Not asked, since they did not answer: spare" in await refused(client, "reserve_nodes", **wanted)


async def test_a_ticket_that_has_ended_at_one_farm_is_not_the_answer_of_another(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 20)
    monkeypatch.setattr("testlab_tools.tools.line.next_number", lambda ids, _: next_number(ids, 0))  # in one minute
    spare = farm.table.replace("services.portal", "services.spare")
    wanted = {"device_type": device_type(farm), "message": "m", "duration_minutes": 5, "wait_minutes": 30}
    async with connect(config.replace(farm.table, spare)) as client:
        (first,) = (await ask(client, "reserve_nodes", **wanted))["reservations"]
        await ask(client, "end_reservation", reservation_id=first["reservation_id"])
    async with connect(config.replace(farm.table, farm.table + spare)) as client:
        (second,) = (await ask(client, "reserve_nodes", **wanted))["reservations"]
    assert (first["node_id"].partition(":")[0], second["node_id"].partition(":")[0]) == ("spare", "portal")


async def test_whose_ticket_has_expired_unseen_is_told_so_with_the_new_one(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, waits_s = ReservationQueue.submit, [2.0, 600.0]

    async def submit_shortly(self: ReservationQueue, request: NodeRequest, ticket_id: str, _: float) -> Ticket:
        return await submit(self, request, ticket_id, waits_s.pop(0))

    monkeypatch.setattr(ReservationQueue, "submit", submit_shortly)
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        first = await waits(client, ask, farm)
        assert "note" not in first

        def has_expired() -> bool:
            with closing(sqlite3.connect(tmp_path / "d.sqlite")) as database:
                return database.execute("SELECT state FROM node_tickets").fetchall() == [("expired",)]

        await farm.until(has_expired)
        second = await waits(client, ask, farm)
    assert second["queued"] != first["queued"]
    assert "has ended: Its time to wait was over" in second["note"]


async def test_a_service_without_a_line_of_its_own_has_the_one_of_this_server_named(
    farm: Farm, config: str, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(config) as client:
        told = await refused(client, "reserve_nodes", **farm.order(wait_seconds=5))
        assert "keeps no line" in told
        assert "wait_minutes" in told


async def test_a_ticket_is_left_by_its_id_and_only_once(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        ticket = (await waits(client, ask, farm))["queued"]
        assert (await ask(client, "end_reservation", reservation_id=ticket))["ended"]
        over = await ask(client, "end_reservation", reservation_id=ticket)
        assert not over["ended"]
        assert "no such ticket" in await refused(client, "end_reservation", reservation_id="ticket-000000000000.0")
        assert (await waits(client, ask, farm))["queued"] != ticket


async def test_after_a_reservation_has_ended_the_same_call_is_a_new_one(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 20)
    async with connect(config) as client:
        made = [await ask(client, "reserve_nodes", **farm.order(wait_minutes=30))]
        number = made[0]["reservations"][0]["reservation_id"].partition(":")[2]
        farm.you.delete(f"/reservations/{number}").raise_for_status()
        made.append(await ask(client, "reserve_nodes", **farm.order(wait_minutes=30)))
        assert made[0]["reservations"] != made[1]["reservations"]


async def test_nodes_are_had_by_their_type(farm: Farm, config: str, connect: Connect, ask: ToolCaller) -> None:
    order = {"device_type": device_type(farm).upper(), "message": "m", "duration_minutes": 5}
    async with connect(config) as client:
        (made,) = (await ask(client, "reserve_nodes", **order))["reservations"]
        node = (await ask(client, "list_nodes", node_ids=[made["node_id"]]))["nodes"][0]
        assert node["device_type"] == device_type(farm)
        assert node["state"] == "reserved by you"


async def test_what_can_never_be_had_is_refused_with_what_there_is(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    order: dict[str, Any] = {"message": "m", "duration_minutes": 5, "wait_minutes": 30}
    kind = device_type(farm)
    async with connect(config) as client:
        told = await refused(client, "reserve_nodes", **order, device_type=f"{kind}x")
        assert "There is no node of that device type" in told
        assert kind in told
        told = await refused(client, "reserve_nodes", **order, device_type="appletv")
        assert "The licence of every node of that device type has expired" in told
        assert f'"{kind}"' in told.partition("Types with a licence: ")[2]
        assert "There are not 99 nodes of that type" in await refused(
            client, "reserve_nodes", **order, device_type=kind, count=99
        )
        assert "either node_ids or device_type" in await refused(client, "reserve_nodes", **order)
        both = {**order, "node_ids": [farm.nodes[0]], "device_type": kind}
        assert "either node_ids or device_type" in await refused(client, "reserve_nodes", **both)
        assert "1440" in await refused(client, "reserve_nodes", **farm.order(wait_minutes=1441))
        assert "no such node" in await refused(client, "reserve_nodes", **{**order, "node_ids": ["portal:nowhere"]})
        nodes = (await ask(client, "list_nodes"))["nodes"]
        expired = [node["node_id"] for node in nodes if node["state"] == "licence expired"]
        told = await refused(client, "reserve_nodes", **{**order, "node_ids": expired})
        assert "The licence of that node has expired" in told
        assert expired[0] in told


async def test_too_few_free_nodes_of_a_type_are_a_conflict_that_names_the_line(
    farm: Farm, config: str, connect: Connect, refused: RefusedCaller
) -> None:
    nodes = farm.you.get("/nodes").json()
    count = sum(node["device_type"] == device_type(farm) for node in nodes)
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        told = await refused(
            client, "reserve_nodes", device_type=device_type(farm), count=count, message="m", duration_minutes=5
        )
        assert "wait_minutes" in told


async def test_a_node_that_is_yours_already_is_not_waited_for(
    farm: Farm, config: str, connect: Connect, refused: RefusedCaller
) -> None:
    farm.reserve(farm.you)
    async with connect(config) as client:
        told = await refused(client, "reserve_nodes", **farm.order(wait_minutes=30))
        assert "extend_reservation" in told


async def test_without_the_database_there_is_no_line_and_the_key_is_named(
    farm: Farm, connect: Connect, refused: RefusedCaller
) -> None:
    async with connect(f"{farm.table}\n[durable]\nenabled = false\n") as client:
        told = await refused(client, "reserve_nodes", **farm.order(wait_minutes=30))
        assert "[durable] enabled = true" in told


async def test_a_call_that_is_given_up_keeps_its_place(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        first = await waits(client, ask, farm)
        follow, is_held = ReservationQueue.follow, asyncio.Event()

        async def follow_and_say(self: ReservationQueue, *given: Any) -> Ticket:
            is_held.set()
            return await follow(self, *given)

        monkeypatch.setattr(ReservationQueue, "follow", follow_and_say)
        waiting = asyncio.ensure_future(waits(client, ask, farm, wait_seconds=20))
        await asyncio.wait_for(is_held.wait(), 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await waits(client, ask, farm))["queued"] == first["queued"]


@pytest.fixture
def first_is_broken(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the runs of the first node say of it."""

    async def read(_: FaultCollector) -> Faults:
        return Faults(last={farm.nodes[0]: "its last 2 runs failed"})

    monkeypatch.setattr(FaultCollector, "read", read)
    return "its last 2 runs failed"


@pytest.mark.parametrize("wait", [{}, {"wait_minutes": 30}])
async def test_a_broken_node_that_is_named_is_reserved_with_what_failed_on_it(
    farm: Farm,
    config: str,
    connect: Connect,
    ask: ToolCaller,
    monkeypatch: pytest.MonkeyPatch,
    first_is_broken: str,
    wait: dict[str, int],
) -> None:
    monkeypatch.setattr("testlab_tools.tools.line.HOLD_S", 20)
    async with connect(config) as client:
        made = await ask(client, "reserve_nodes", **farm.order(**wait))
        assert made["doubts"] == {f"portal:{farm.nodes[0]}": first_is_broken}
        sound = await ask(client, "reserve_nodes", **farm.order(**wait, node_ids=[farm.nodes[1]]))
        assert "doubts" not in sound


async def test_without_waiting_a_broken_node_of_a_type_is_passed_over_as_the_line_does(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller, first_is_broken: str
) -> None:
    kind = device_type(farm)
    free = [n["node_id"] for n in farm.you.get("/nodes").json() if n["device_type"] == kind and n["available"]]
    order = {"device_type": kind, "message": "m", "duration_minutes": 5}
    async with connect(config) as client:
        told = await refused(client, "reserve_nodes", **order, count=len(free))
        assert f"'portal:{farm.nodes[0]}' is passed over: {first_is_broken}" in told
        made = await ask(client, "reserve_nodes", **order, count=len(free) - 1)
        assert sorted(one["node_id"] for one in made["reservations"]) == sorted(
            f"portal:{node}" for node in free if node != farm.nodes[0]
        )


async def test_a_refusal_of_a_node_named_names_the_line_too(
    farm: Farm, config: str, connect: Connect, refused: RefusedCaller
) -> None:
    farm.reserve(farm.colleague)
    async with connect(config) as client:
        assert "wait_minutes stands in line for it." in await refused(client, "reserve_nodes", **farm.order())


@pytest.mark.parametrize(("tool", "more"), [("extend_reservation", {"minutes": 5}), ("watch", {})])
async def test_a_ticket_is_not_taken_for_a_reservation_and_its_call_is_named(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller, refused: RefusedCaller, tool: str, more: dict[str, int]
) -> None:
    farm.reserve(farm.colleague)
    async with connect(WATCHES + config) as client:
        ticket = (await waits(client, ask, farm))["queued"]
        told = await refused(client, tool, reservation_id=ticket, **more)
        assert "That is a ticket of the line, not a reservation" in told
        assert "reserve_nodes" in told


async def test_how_many_nodes_match_is_told_with_each_filter_none_of_them_too(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(config) as client:
        every = await ask(client, "list_nodes")
        assert "matching" not in every
        some = await ask(client, "list_nodes", text=device_type(farm))
        assert (some["matching"], some["total"]) == (some["shown"], every["total"])
        assert (await ask(client, "list_nodes", text="no such words"))["matching"] == 0


async def test_whose_a_reservation_is_that_is_watched_is_not_said_wrongly(
    farm: Farm, config: str, connect: Connect, ask: ToolCaller
) -> None:
    async with connect(WATCHES + config) as client:
        (held,) = (await ask(client, "reserve_nodes", **farm.order()))["reservations"]
        watched = await ask(client, "watch", reservation_id=held["reservation_id"])
        again = await ask(client, "watch", watch_id=watched["watch_id"])
        for told in (watched, again):
            assert told["seen"]["reservation"]["node_id"] == held["node_id"]
            assert "yours" not in told["seen"]["reservation"]
