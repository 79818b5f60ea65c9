"""What happens after a minute and after days: the leader's lock is given back, what has arrived is deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from testlab_mcp.config.loading import parse_config
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.engine import Clock, Engine
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import DeliveryRecord, RunPayload

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant


class Advanced(Clock):
    """The system's clock, so far ahead."""

    ahead = timedelta()

    def seconds(self) -> float:
        return super().seconds() + self.ahead.total_seconds()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
def clock() -> Advanced:
    return Advanced()


@pytest.fixture
def opened(plant: Plant, sqlite: str, tmp_path: Path, clock: Advanced) -> Callable[[], Any]:
    """Open the deliveries in this process; their clock is the test's."""

    @asynccontextmanager
    async def outbox() -> AsyncIterator[Outbox]:
        config = parse_config(plant.config(sqlite))
        engine = Engine(SqliteDatabase(tmp_path / "deliveries.sqlite"), clock)
        made = Outbox(engine, config.connect_services, hold_s=20)
        try:
            yield made
        finally:
            await made.aclose()

    return outbox


async def sent(outbox: Outbox, plant: Plant, serial: str, **changes: object) -> DeliveryRecord:
    run = {"variables": [], "phases": [], "sub_units": [], "ref": serial, **plant.run(serial), **changes}
    return await outbox.send(serial, "factory", RunPayload(run=run))


async def ids(outbox: Outbox) -> dict[str, list[str]]:
    return {
        which: sorted(record.delivery_id for record in listed.deliveries)
        for which, listed in (await outbox.list(100)).items()
    }


async def test_the_leader_lock_is_given_back_after_a_minute_without_work_and_taken_again_with_the_next(
    opened: Callable[[], Any], plant: Plant, clock: Advanced, until: Callable[..., Any], tmp_path: Path
) -> None:
    lock = SqliteDatabase(tmp_path / "deliveries.sqlite").leader_lock()
    async with opened() as outbox:
        assert (await sent(outbox, plant, "SN-1")).progress.state == "delivered"
        clock.ahead = timedelta(seconds=50)
        outbox.resume()
        assert not lock.acquire(), "it is kept for a minute"
        clock.ahead = timedelta(seconds=70)
        await asyncio.to_thread(until, lock.acquire)
        lock.release()
        assert (await sent(outbox, plant, "SN-2")).progress.state == "delivered"
        assert not lock.acquire()
    assert plant.serials() == ["SN-1", "SN-2"]


async def test_what_has_arrived_is_deleted_after_seven_days_and_what_is_parked_is_not(
    opened: Callable[[], Any], plant: Plant, clock: Advanced
) -> None:
    async with opened() as outbox:
        assert (await sent(outbox, plant, "SN-OLD")).progress.state == "delivered"
        assert (await sent(outbox, plant, "SN-NONE", procedure_id="none such")).progress.state == "parked"
    clock.ahead = timedelta(days=6, hours=23)
    async with opened() as outbox:
        assert (await sent(outbox, plant, "SN-NEW")).progress.state == "delivered"
        assert await ids(outbox) == {"waiting": [], "parked": ["SN-NONE"], "delivered": ["SN-NEW", "SN-OLD"]}
    clock.ahead = timedelta(days=7, hours=1)
    async with opened() as outbox:
        plant.trouble(action="status", status=503)
        assert (await sent(outbox, plant, "SN-WAITS")).progress.state in ("queued", "sending")
        assert await ids(outbox) == {"waiting": ["SN-WAITS"], "parked": ["SN-NONE"], "delivered": []}
    plant.calm()
    assert plant.serials() == ["SN-NEW", "SN-OLD"]


async def test_what_dbos_logs_goes_through_this_servers_own_formatter(opened: Callable[[], Any], plant: Plant) -> None:
    async with opened() as outbox:
        assert (await sent(outbox, plant, "SN-1")).progress.state == "delivered"
        log = logging.getLogger("dbos")
        assert log.propagate
        assert [type(handler) for handler in log.handlers] == [logging.NullHandler]
