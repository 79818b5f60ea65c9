"""Starts the campaigns that are due. A start has an id of its own, so that it is made once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.campaigns.orders import check_size, check_soak
from testlab_tools.capabilities import Service, TestPack
from testlab_tools.durable.engine import Clock
from testlab_tools.errors import LabError, NotFound, Unsupported
from testlab_tools.long_services import LaunchServices
from testlab_tools.schedules.store import Schedule, ScheduleStore
from testlab_tools.schedules.timetable import LATE, Timetable, find_due, parse_timetable
from testlab_tools.times import iso

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

LONGEST_S = 20.0
"""Between two looks at the clock, which may be set meanwhile."""
logger = logging.getLogger("testlab_tools")


def campaign_of(schedule_id: str, slot: datetime) -> str:
    """The id of the campaign of one start."""
    return f"c{hashlib.sha256(f'{schedule_id} {iso(slot)}'.encode()).hexdigest()[:10]}"


class ScheduleWorker:
    """The schedules of one launch of the engine."""

    def __init__(self, store: ScheduleStore, services: LaunchServices, campaigns: Campaigns, clock: Clock) -> None:
        self._store = store
        self._launch_services = services
        self._services: Mapping[str, Service] = services.open()
        self._campaigns = campaigns
        self._clock = clock

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Serve a schedule until it is ended."""
        schedule_id, generation = inputs
        complained, is_first = False, True
        while True:
            pause = LONGEST_S
            try:
                schedule = await asyncio.to_thread(self._store.read, schedule_id)
                if schedule is None or schedule.ended or schedule.generation != generation:
                    return
                pause = await self._step(schedule, is_first)
                complained = is_first = False
            except Exception:
                if not complained:
                    logger.exception("schedule %s stands still; this goes on trying", schedule_id)
                complained = True
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close the services, unless other work of this launch uses them."""
        await self._launch_services.aclose()

    async def _step(self, schedule: Schedule, is_first: bool) -> float:
        """Start what is due; the pause until the next look, in seconds; `is_first` for a process's first."""
        table, now = parse_timetable(schedule.timetable, schedule.zone), self._clock.now()
        due = find_due(table, await self._since(schedule, table, now, is_first), now)
        if due is not None:
            campaign_id = campaign_of(schedule.schedule_id, due.slot)
            is_started = due.too_late and await self._is_started(campaign_id)
            if due.too_late and not is_started:
                await self._note_skipped(schedule, due.slot)
            elif not is_started and (trouble := await self._start(schedule, campaign_id)):
                await self._note(schedule, note=f"The start of {iso(due.slot)} waits: {trouble}.")
                return LONGEST_S
            else:
                note = f"Campaign {campaign_id} of {iso(due.slot)} was started."
                await self._note(schedule, note=note, last_at=due.slot.timestamp())
        return min(LONGEST_S, max(0.1, (table.next_after(now) - now).total_seconds()))

    async def _since(self, schedule: Schedule, table: Timetable, now: datetime, is_first: bool) -> datetime:
        """After which moment a start counts as come: the last start, or where a clock that is set back is before that,
        when this was first seen; what came just before a process began that a clock had run ahead of is made late.
        What comes again is not made again, by its id."""
        last = datetime.fromtimestamp(schedule.last_at, UTC)
        if now >= last:
            return last
        is_start = table.last_until(last) == last
        since = now - LATE if is_first and is_start else now
        await self._note(schedule, last_at=since.timestamp())
        return since

    async def _is_started(self, campaign_id: str) -> bool:
        try:
            await self._campaigns.find(campaign_id)
        except NotFound:
            return False
        return True

    async def _note_skipped(self, schedule: Schedule, slot: datetime) -> None:
        """Say it once. The start stays open: it is made where a clock that was ahead is set right."""
        skipped = f"The start of {iso(slot)} was skipped: it was more than an hour late."
        if not schedule.note.startswith(skipped):
            await self._note(schedule, note=f"{skipped} {schedule.note}"[:500])

    async def _note(self, schedule: Schedule, **changes: Any) -> None:
        await asyncio.to_thread(lambda: self._store.note(schedule.schedule_id, **changes))

    async def _start(self, schedule: Schedule, campaign_id: str) -> str:
        """What is in the way, if anything."""
        try:
            names = schedule.names
            if not names:
                pack = self._services.get(schedule.service)
                if not isinstance(pack, TestPack):
                    missing = f"No service {schedule.service} that lists test cases is configured any more"
                    raise Unsupported(missing, "", "")
                names = await pack.list_test_cases(schedule.order.test_pack_revision)
                check_size(len(names), schedule.order.repeat or 1)
                if not schedule.order.repeat:
                    check_soak(len(names), schedule.order.until_below, schedule.order.until_within)
            await self._campaigns.start_as(campaign_id, schedule.order, names)
        except LabError as error:
            return error.what
        return ""
