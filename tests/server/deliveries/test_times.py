"""What happens after a minute and after days: the turn is given back, what has arrived is deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from testlab_mcp.config import parse_config
from testlab_tools.deliveries.clock import Clock
from testlab_tools.deliveries.database import SqliteDatabase
from testlab_tools.deliveries.outbox import Outbox
from testlab_tools.deliveries.parcel import RunParcel
from testlab_tools.deliveries.progress import Kept


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
def opened(plant: Any, sqlite: str, tmp_path: Path, clock: Advanced) -> Callable[[], Any]:
    """Open the deliveries in this process; their clock is the test's."""

    @asynccontextmanager
    async def outbox() -> AsyncIterator[Outbox]:
        config = parse_config(plant.config(sqlite))
        made = Outbox(tmp_path / "deliveries.sqlite", config.connected, clock=clock)
        try:
            yield made
        finally:
            await made.aclose()

    return outbox


async def sent(outbox: Outbox, plant: Any, serial: str, **changes: object) -> Kept:
    run = {"variables": [], "phases": [], "sub_units": [], "ref": serial, **plant.run(serial), **changes}
    return await outbox.send(serial, "factory", RunParcel(run=run))


async def ids(outbox: Outbox) -> dict[str, list[str]]:
    return {
        which: sorted(kept.delivery_id for kept in (await outbox.list(which, 100))[0])
        for which in ("waiting", "parked", "delivered")
    }


async def test_the_turn_is_given_back_after_a_minute_without_work_and_taken_again_with_the_next(
    opened: Any, plant: Any, clock: Advanced, until: Any, tmp_path: Path
) -> None:
    lock = SqliteDatabase(tmp_path / "deliveries.sqlite").lock()
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
    opened: Any, plant: Any, clock: Advanced
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
