"""Tested devices: where each stands on each test plan."""

from __future__ import annotations

from datetime import datetime

from testlab_tools.capabilities import PlanState, UnitState
from testlab_tools.http import Reply
from testlab_tools.questions import RunQuery
from testlab_tools.standcloud.api import StandCloudApi
from testlab_tools.standcloud.filters import filters_of
from testlab_tools.standcloud.models import TestedDutRow, outcome
from testlab_tools.standcloud.pages import Body
from testlab_tools.wire import decode_value


class StandUnits(StandCloudApi, UnitState):
    """Devices by serial number, from `GET /tested_dut`: each test plan's last run, and how often it was started."""

    async def tested_duts(self, serial_number: str) -> list[PlanState]:
        filters = filters_of(RunQuery(unit=serial_number))

        def keep(body: Body, _: datetime) -> bool:
            return filters.allow(self.name, body)

        listing = self.listing("tested_dut", filters.params, _device, keep)
        await self.in_time(listing.read(lambda _: False))
        rows = sorted(listing.rows, key=lambda row: row.key, reverse=True)
        answer = Reply(self.name, 200, {}, b"")
        return [_state(decode_value(answer, row.body, TestedDutRow)) for row in rows]


def _device(body: Body) -> str:
    """A device on a test plan: the rows have no ids."""
    return repr([body.get(key) for key in ("test_plan_name", "serial_number", "part_number")])


def _state(row: TestedDutRow) -> PlanState:
    return PlanState(
        test=row.test_plan_name,
        outcome=outcome(row.status),
        attempts=row.attempt_count or 0,
        started_at=row.start_time or row.finish_time,
        part=row.part_number,
        station=row.test_stand_name or row.test_stand_hw_id,
    )
