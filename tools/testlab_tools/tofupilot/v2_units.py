"""Units in API v2, and what is built into them."""

from __future__ import annotations

from typing import Any

from testlab_tools.capabilities import UnitRegistry
from testlab_tools.errors import AnswerLost, NotFound
from testlab_tools.models import Unit
from testlab_tools.questions import UnitChange
from testlab_tools.tofupilot.api import segment, still_there
from testlab_tools.tofupilot.models import UnitWhole
from testlab_tools.tofupilot.v2_api import V2Api
from testlab_tools.wire import decode

_UNKNOWN = "list_runs(unit=…) shows a unit's runs; a serial number must be exact."
_MOST_PAGES = 20


class V2Units(V2Api, UnitRegistry):
    """`/v2/units/{serial_number}` and its children."""

    async def get_unit(self, serial_number: str) -> Unit:
        reply = await self.client.get(f"/api/v2/units/{segment(serial_number)}")
        row = decode(self.checked(reply, "unit", _UNKNOWN), UnitWhole)
        return Unit(
            service=self.name,
            serial_number=row.serial_number,
            part=row.part.number if row.part else "",
            revision=row.part.revision.number if row.part and row.part.revision else "",
            batch=row.batch.number if row.batch else "",
            sample=row.sample or "",
            parent=row.parent.serial_number if row.parent else "",
            sub_units=[child.serial_number for child in row.children or ()],
        )

    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """One request per sub-unit: when one is refused, the ones before it stay as they were made."""
        path = f"/api/v2/units/{segment(serial_number)}"
        for child in change.remove:
            params = {"child_serial_number": child}
            await self._change("DELETE", f"{path}/children", "sub-unit", params=params)
        for child in change.add:
            await self._change("PUT", f"{path}/children", "sub-unit", body={"child_serial_number": child})
        if changed := _fields(change):
            await self._change("PATCH", path, "unit", body=changed)
        return await self.get_unit(serial_number)

    async def count_runs(self, serial_number: str) -> tuple[int, bool]:
        await self.get_unit(serial_number)
        count, cursor = 0, ""
        for _ in range(_MOST_PAGES):
            page = await self.run_page({"serial_numbers": [serial_number]}, cursor)
            count += len(page.data)
            if not page.meta.has_more or page.meta.next_cursor is None:
                return count, True
            cursor = str(page.meta.next_cursor)
        return count, False

    async def delete_unit(self, serial_number: str) -> None:
        segment(serial_number)
        try:
            reply = await self.client.send("DELETE", "/api/v2/units", params={"serial_numbers": [serial_number]})
        except AnswerLost as lost:
            try:
                await self.get_unit(serial_number)
            except NotFound:
                return
            raise still_there(lost, "unit") from None
        self.checked(reply, "unit", _UNKNOWN)

    async def _change(self, method: str, path: str, what: str, **request: Any) -> None:
        """Each of them may be asked for twice (PUT and DELETE by RFC 9110, PATCH as it names what to have)."""
        try:
            reply = await self.client.send(method, path, **request)
        except AnswerLost:
            reply = await self.client.send(method, path, **request)
        hint = "It must be a known unit, not part of another, nor the unit itself; get_unit shows what was changed."
        self.checked(reply, what, hint)


def _fields(change: UnitChange) -> dict[str, object]:
    fields: dict[str, object] = {}
    if change.batch_number:
        fields["batch_number"] = change.batch_number
    if change.sample:
        fields["sample"] = None if change.sample == "production" else change.sample
    return fields
