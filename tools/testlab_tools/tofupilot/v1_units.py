"""Units in API v1: their sub-units are added, and they are deleted; they are read from their runs."""

from __future__ import annotations

from testlab_tools.capabilities import UnitRegistry
from testlab_tools.errors import AnswerLost, NotFound, Unsupported
from testlab_tools.models import Unit
from testlab_tools.questions import UnitChange
from testlab_tools.tofupilot.api import segment, still_there
from testlab_tools.tofupilot.v1_api import V1Api

_UNKNOWN = "list_runs(unit=…) shows a unit's runs; a serial number must be exact."


class V1Units(V1Api, UnitRegistry):
    """`PATCH` and `DELETE /v1/units/{serial_number}`."""

    async def get_unit(self, serial_number: str) -> Unit:
        """What its last run tells: v1 has no operation for a unit."""
        rows = await self.rows(serial_number)
        if rows is None:
            raise NotFound(f"{self.name} has no such unit", "", _UNKNOWN)
        told = [row.unit for row in sorted(rows, key=lambda row: row.started_at) if row.unit]
        unit, revision = (told[-1], told[-1].revision) if told else (None, None)
        return Unit(
            service=self.name,
            serial_number=unit.serial_number if unit else serial_number,
            part=revision.component.part_number if revision and revision.component else "",
            revision=revision.identifier if revision else "",
            batch=unit.batch.number if unit and unit.batch else "",
            note="TofuPilot v1 does not tell sub-units, parent or sample.",
        )

    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """Adding a sub-unit that is there already does no harm, so a lost answer is asked for once more."""
        if change.remove or change.batch_number or change.sample:
            raise Unsupported(f"{self.name} speaks TofuPilot API v1, which only adds sub-units")
        path = f"/api/v1/units/{segment(serial_number)}"
        body = {"sub_units": [{"serial_number": child} for child in change.add]}
        try:
            reply = await self.client.send("PATCH", path, body=body)
        except AnswerLost:
            reply = await self.client.send("PATCH", path, body=body)
        self.checked(reply, "unit", "It, or one of sub_units, is not known there; or is part of another unit.")
        return Unit(
            service=self.name,
            serial_number=serial_number,
            sub_units=list(change.add),
            note="Added; TofuPilot v1 does not tell whether it has others.",
        )

    async def count_runs(self, serial_number: str) -> tuple[int, bool]:
        rows = await self.rows(serial_number)
        if rows is None:
            raise NotFound(f"{self.name} has no such unit", "", _UNKNOWN)
        return len(rows), True

    async def delete_unit(self, serial_number: str) -> None:
        try:
            reply = await self.client.send("DELETE", f"/api/v1/units/{segment(serial_number)}")
        except AnswerLost as lost:
            if await self.rows(serial_number) is not None:
                raise still_there(lost, "unit") from None
            return
        self.checked(reply, "unit", _UNKNOWN)
