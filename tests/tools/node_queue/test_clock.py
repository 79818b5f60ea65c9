"""Deadlines where the clock is wrong when the line begins to be served, is set right, and jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from testlab_tools.capabilities import Service
from testlab_tools.capabilities.service import Health
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.engine import Clock
from testlab_tools.durable.steady_clock import SteadyClock
from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.granter import Granter
from testlab_tools.node_queue.store import TicketStore
from testlab_tools.node_queue.tickets import NodeRequest

HOUR_S = 3600.0


class Hand(Clock):
    """A clock set by hand: `day_s` is the time of day, `passed_s` what has passed."""

    day_s = 1_900_000_000.0
    passed_s = 100.0

    def seconds(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.day_s, UTC)


class Farm(Service):
    """A service without nodes, so that a ticket waits."""

    def __init__(self) -> None:
        self.name = "portal"

    async def probe(self) -> Health:
        raise NotImplementedError


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - the rows of a database wake nobody
            await asyncio.sleep(0.01)


async def test_a_ticket_waits_as_long_as_it_may_whatever_the_clock_says_meanwhile(tmp_path: Path) -> None:
    clock = Hand()
    workflows = Workflows(SqliteDatabase(tmp_path / "d.sqlite"))
    store = TicketStore(workflows)
    clock.day_s += HOUR_S
    granter = Granter(Farm(), store, clock, 0.01, 600)
    clock.day_s -= HOUR_S
    request = NodeRequest(service="portal", node_ids=("a",), count=1, message="m", duration_s=60, caller="local")

    def state() -> str:
        ticket = store.read("ticket-1")
        assert ticket is not None
        return f"{ticket.state} {bool(ticket.reason)}"

    store.submit(request, "ticket-1", clock.now().timestamp(), HOUR_S / 2)
    served = asyncio.create_task(granter.attend("ticket-1"))
    await until(lambda: state() != "waiting False")
    assert state() == "waiting True", "it was looked at, and waits"
    clock.day_s += 24 * HOUR_S
    store.note_outlook("ticket-1", {})
    granter.wake()
    await until(lambda: state() != "waiting False")
    assert state() == "waiting True"
    clock.passed_s += HOUR_S / 2 + 1
    granter.wake()
    await asyncio.wait_for(served, 10)
    assert state() == "expired True"
    workflows.close()


def test_the_time_of_day_is_the_one_that_the_clock_was_set_to() -> None:
    clock = Hand()
    steady = SteadyClock(clock)
    clock.day_s += HOUR_S
    assert steady.now() == clock.day_s, "receivers refuse a message that is signed with another"
    assert steady.age("x", clock.day_s - 5) == 5
    assert steady.age("y", clock.day_s + HOUR_S) == 0, "what was written by a clock that was ahead waits its whole time"
