"""The schedules of a lab, as tools use them. The first use imports DBOS."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error
from testlab_tools.errors import NotFound
from testlab_tools.long_services import LaunchServices
from testlab_tools.repeated_calls import OrderResult
from testlab_tools.schedules.timetable import parse_timetable

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows
    from testlab_tools.schedules.store import Schedule, ScheduleStore
    from testlab_tools.schedules.worker import ScheduleWorker

WORKFLOW = "schedule"
PREFIX = "s"


class Schedules:
    """Schedules on the engine of a lab; its leader starts what is due."""

    def __init__(self, engine: Engine, services: LaunchServices, campaigns: Campaigns) -> None:
        self.engine = engine
        self._services, self._campaigns = services, campaigns
        self._database = LateStore(engine, _open_store, _failure)
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    async def begin(
        self, order: CampaignOrder, names: Sequence[str], timetable: str, zone: str
    ) -> OrderResult[Schedule]:
        """Have a campaign started again and again; of all test cases, without `names`. The same again is the same
        schedule. Raises BadInput for what is no timetable, Refused for too many."""
        parse_timetable(timetable, zone)
        same = f"{order.model_dump_json()} {sorted(names)} {timetable} {zone}"
        now = self.engine.clock.now().timestamp()

        def write(store: ScheduleStore) -> Schedule:
            from testlab_tools.schedules.store import Schedule

            schedule = Schedule(
                schedule_id=f"{PREFIX}{hashlib.sha256(same.encode()).hexdigest()[:10]}",
                caller=order.caller,
                service=order.service,
                timetable=timetable,
                zone=zone,
                order=order,
                names=list(names),
                generation=0,
                ended=False,
                last_at=now,
            )
            return store.begin(schedule)

        made: Schedule = await self._database.ask(write)
        self.engine.wake()
        return OrderResult(made, made.last_at != now)

    async def list(self, caller: str, all_callers: bool, services: Collection[str]) -> list[Schedule]:
        """The schedules that go on and that a caller may see."""
        whose = None if all_callers else caller
        return await self._database.ask(lambda store: store.list(whose, list(services)))

    async def find(self, schedule_id: str, caller: str, all_callers: bool, services: Collection[str]) -> Schedule:
        """A schedule of the caller's, with `all_callers` anybody's, on a service of the caller's. Raises NotFound."""
        found: Schedule | None = await self._database.ask(lambda store: store.read(schedule_id))
        theirs = found is not None and (all_callers or found.caller == caller)
        if found is None or not theirs or found.service not in services:
            raise NotFound("You have no such schedule", "", "list_campaigns shows yours.").naming(schedule_id)
        return found

    async def end(self, schedule: Schedule) -> None:
        """End a schedule; campaigns that it has started go on."""
        await self._database.ask(lambda store: store.note(schedule.schedule_id, ended=1))

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now().timestamp())

    def _open_worker(self) -> ScheduleWorker:
        from testlab_tools.schedules.worker import ScheduleWorker

        return ScheduleWorker(self._database.open(), self._services, self._campaigns, self.engine.clock)


def _open_store(workflows: Workflows) -> ScheduleStore:
    from testlab_tools.schedules.store import ScheduleStore

    return ScheduleStore(workflows)


_failure = database_error("schedules", "Call again later.")
