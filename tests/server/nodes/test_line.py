"""The line for nodes, at a portal that has none of its own: order, all or none, and nothing is held for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.durable.database import open_database
from testlab_tools.durable.engine import Engine
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.queue import NodeRequest, ReservationQueue, Ticket

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm

Ask = Callable[..., NodeRequest]


@pytest.fixture
async def line(farm: Farm, tmp_path: Path) -> AsyncGenerator[ReservationQueue]:
    config = parse_config(farm.table)
    engine = Engine(open_database(tmp_path / "d.sqlite"))
    yield ReservationQueue(engine, LaunchServices(engine, config.connect_services), poll_s=0.1, collect_s=2.0)
    await asyncio.to_thread(engine.close)


@pytest.fixture
def ask_for(farm: Farm) -> Ask:
    def make(*nodes: int, **more: object) -> NodeRequest:
        named = tuple(farm.nodes[number] for number in nodes)
        facts = {"service": "portal", "message": "soak", "duration_s": 600, "caller": "local", "count": len(named)}
        return NodeRequest.model_validate({**facts, "node_ids": named, **more})

    return make


async def until_granted(line: ReservationQueue, ticket_id: str) -> Ticket:
    ticket = await line.follow(ticket_id, 20)
    assert ticket.state == "granted", ticket
    return ticket


async def until(line: ReservationQueue, ticket_id: str, true: Callable[[Ticket], bool]) -> Ticket:
    for _ in range(400):
        if true(ticket := await line.find(ticket_id)):
            return ticket
        await asyncio.sleep(0.05)
    raise AssertionError(await line.find(ticket_id))


async def test_free_nodes_are_granted_at_once_with_the_tickets_marker_in_their_message(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    await line.submit(ask_for(0, 1, caller="alice"), "t1", 60)
    ticket = await until_granted(line, "t1")
    assert [held.node_id for held in ticket.reservations] == farm.nodes[:2]
    shown = farm.held()
    assert shown is not None
    assert shown["message"].startswith("soak (alice) #q")
    assert str(shown["reservation_id"]) == ticket.reservations[0].reservation_id


async def test_who_waits_has_a_place_and_gets_the_node_when_its_holder_gives_it_back(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    held = farm.reserve(farm.colleague).partition(":")[2]
    await line.submit(ask_for(0), "t1", 60)
    await line.submit(ask_for(0), "t2", 60)
    second = await until(line, "t2", lambda ticket: ticket.place == 2)
    assert second.expected_wait is not None
    assert 1100 < second.expected_wait[1] <= 1200, "until the holder's end, and the 600 s that the first asked for"
    first = await line.find("t1")
    assert first.place == 1
    assert first.expected_wait is not None
    assert 500 < first.expected_wait[1] <= 600
    farm.colleague.delete(f"/reservations/{held}").raise_for_status()
    granted = await until_granted(line, "t1")
    assert (await line.find("t2")).state == "waiting"
    farm.you.delete(f"/reservations/{granted.reservations[0].reservation_id}").raise_for_status()
    await until_granted(line, "t2")


async def test_how_long_a_campaign_holds_its_nodes_is_not_known_neither_ahead_in_line_nor_once_it_has_them(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    held = farm.reserve(farm.colleague).partition(":")[2]
    await line.submit(ask_for(0, extended=True), "t1", 60)
    await line.submit(ask_for(0), "t2", 60)
    second = await until(line, "t2", lambda ticket: ticket.place == 2)
    assert second.expected_wait is None
    farm.colleague.delete(f"/reservations/{held}").raise_for_status()
    await until_granted(line, "t1")
    first = await until(line, "t2", lambda ticket: ticket.place == 1)
    assert first.expected_wait is None


async def test_two_tickets_never_each_hold_a_half_of_the_others_nodes(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    held = farm.reserve(farm.colleague, number=1).partition(":")[2]
    await line.submit(ask_for(0, 1), "t1", 60)
    await line.submit(ask_for(1, 0), "t2", 60)
    await until(line, "t2", lambda ticket: ticket.place == 2)
    assert farm.held(0) is None
    farm.colleague.delete(f"/reservations/{held}").raise_for_status()
    assert len((await until_granted(line, "t1")).reservations) == 2
    assert (await line.find("t2")).state == "waiting"


async def test_a_ticket_whose_time_is_over_has_expired_and_holds_nothing(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    farm.reserve(farm.colleague)
    await line.submit(ask_for(0), "t1", 0.5)
    ticket = await line.follow("t1", 20)
    assert ticket.state == "expired"
    assert "time to wait was over" in ticket.reason


async def test_nodes_that_nobody_comes_for_are_given_back(line: ReservationQueue, ask_for: Ask, farm: Farm) -> None:
    await line.submit(ask_for(0), "t1", 60)
    await until(line, "t1", lambda ticket: ticket.state == "granted")
    ticket = await until(line, "t1", lambda ticket: ticket.state == "ended")
    assert "Nobody came" in ticket.reason
    await farm.until(lambda: farm.held() is None)


async def test_leaving_the_line_ends_what_was_granted_and_nothing_else(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    await line.submit(ask_for(0), "t1", 60)
    await until_granted(line, "t1")
    other = farm.reserve(farm.you, number=1)
    assert (await line.cancel("t1")).state == "cancelled"
    assert farm.held() is None
    assert f"portal:{(farm.held(1) or {})['reservation_id']}" == other


async def test_a_reservation_that_somebody_made_since_is_not_ended_with_the_ticket(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    await line.submit(ask_for(0), "t1", 60)
    ticket = await until_granted(line, "t1")
    farm.you.delete(f"/reservations/{ticket.reservations[0].reservation_id}").raise_for_status()
    farm.reserve(farm.colleague)
    await line.cancel("t1")
    assert (farm.held() or {})["reserved_by_you"] is False


async def test_a_lost_answer_is_looked_up_and_nothing_is_reserved_twice(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    farm.fault("/reservations", "POST", 1, action="reset-after")
    await line.submit(ask_for(0), "t1", 60)
    ticket = await until_granted(line, "t1")
    assert str((farm.held() or {})["reservation_id"]) == ticket.reservations[0].reservation_id
    assert farm.asked("POST", "/reservations") == 1


async def test_a_service_that_does_not_answer_is_waited_for_and_said(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    farm.fault("/nodes", "GET", 0, status=503)
    await line.submit(ask_for(0), "t1", 60)
    await until(line, "t1", lambda ticket: bool(ticket.reason))
    farm.calm()
    await until_granted(line, "t1")


async def test_a_reservation_whose_answer_was_lost_is_granted_and_stands_when_the_services_are_closed(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    farm.fault("/reservations", "POST", action="reset-after", spreads=True)
    await line.submit(ask_for(0), "t1", 60)
    await until(line, "t1", lambda ticket: bool(ticket.reason))
    farm.calm()
    ticket = await until_granted(line, "t1")
    await asyncio.to_thread(line.engine.close)
    assert str((farm.held() or {}).get("reservation_id")) == ticket.reservations[0].reservation_id


async def test_a_node_named_that_is_offline_is_waited_for_and_one_of_a_type_is_passed_over(
    line: ReservationQueue, ask_for: Ask, farm: Farm
) -> None:
    offline = next(n["node_id"] for n in farm.you.get("/nodes").json() if not n["online"])
    await line.submit(ask_for(node_ids=(offline,), count=1), "t1", 60)
    ticket = await until(line, "t1", lambda ticket: bool(ticket.passed_over))
    assert ticket.passed_over == {offline: "offline"}
    assert ticket.state == "waiting"
    await line.submit(ask_for(count=0), "t2", 60)
    everything = await until_granted(line, "t2")
    assert offline not in [held.node_id for held in everything.reservations]


async def test_the_portal_is_asked_once_for_all_who_wait(line: ReservationQueue, ask_for: Ask, farm: Farm) -> None:
    farm.reserve(farm.colleague)
    for number in range(20):
        await line.submit(ask_for(0), f"t{number:02}", 60)
    await until(line, "t19", lambda ticket: ticket.place == 20)
    assert [ticket.place for ticket in await line.list("portal")] == list(range(1, 21))
    assert farm.asked("GET", "/nodes") < 40
