"""Units in API v2, and what is built into them.

Procedures, parts, batches and stations in API v2. A single station is never asked for: the reply holds its key.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from testlab_tools.adapters.tofupilot.client import SUCCESSES, segment, unit_segment, unknown_change
from testlab_tools.adapters.tofupilot.models import (
    BatchEntry,
    BatchWhole,
    Entries,
    Identified,
    ManyIds,
    Named,
    PartEntry,
    ProcedureWhole,
    StationEntry,
)
from testlab_tools.adapters.tofupilot.v2_runs import UNKNOWN_UNIT, V2Api
from testlab_tools.capabilities import DefinitionPage, ProductionCatalog, UnitRegistry
from testlab_tools.errors import AnswerLost, LabError
from testlab_tools.fanout import gather_all
from testlab_tools.http.response import decode
from testlab_tools.models.lab import Unit
from testlab_tools.models.requests import UnitChange
from testlab_tools.models.results import Definition, DefinitionKind

_MAX_PAGES = 20
DETAILED = 5
"""How many procedures are asked for one by one: their list tells neither runs, stations nor versions."""
MAX_SERIALS = 50
Done = Callable[[Unit], bool]


class V2Units(V2Api, UnitRegistry, ProductionCatalog):
    """`/v2/units/{serial_number}` and its children; `/v2/procedures`, `/v2/parts`, `/v2/batches`, `/v2/stations`."""

    async def get_unit(self, serial_number: str) -> Unit:
        row = await self.unit_of(serial_number)
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
        path = f"/api/v2/units/{unit_segment(serial_number)}"
        for child in change.remove:
            params = {"child_serial_number": child}
            await self._change(serial_number, _without(child), "DELETE", f"{path}/children", child, params=params)
        for child in change.add:
            body = {"child_serial_number": child}
            await self._change(serial_number, _with(child), "PUT", f"{path}/children", child, body=body)
        if changed := _fields(change):
            await self._change(serial_number, _as(change), "PATCH", path, "", body=changed)
        try:
            return await self.get_unit(serial_number)
        except LabError as error:
            note = f"All that was asked for was changed; the unit could not be read back: {error.what}."
            return Unit(service=self.name, serial_number=serial_number, note=note)

    async def list_unit_runs(self, serial_number: str) -> tuple[list[str], bool]:
        await self.get_unit(serial_number)
        runs: list[str] = []
        cursor = ""
        for _ in range(_MAX_PAGES):
            page = await self.run_page({"serial_numbers": [serial_number]}, cursor)
            runs += [row.id for row in page.data]
            if not (cursor := page.next_cursor):
                return runs, True
        return runs, False

    async def delete_unit(self, serial_number: str) -> None:
        unit_segment(serial_number)
        params = {"serial_numbers": [serial_number]}
        find = partial(self.get_unit, serial_number)
        await self.delete("/api/v2/units", ManyIds, "unit", UNKNOWN_UNIT, find, serial_number, params=params)

    async def _change(self, serial: str, done: Done, method: str, path: str, child: str, **request: Any) -> None:
        """One change of a unit, or of its sub-unit `child`; sent once more when its answer was lost and the unit is not
        as it would be `done`."""
        what = "sub-unit" if child else "unit"
        hint = "It must be a known unit, not part of another, nor the unit itself; get_unit shows what was changed."
        try:
            reply = await self.change(method, path, Identified, **request)
        except AnswerLost:
            if await self._stands(serial, done):
                return
            try:
                reply = await self.change(method, path, Identified, **request)
            except AnswerLost as lost:
                stands = await self._stands(serial, done)
                if stands:
                    return
                raise (unknown_change(lost) if stands is None else _not_made(lost, what)) from None
            if reply.status not in SUCCESSES and await self._stands(serial, done):
                return
        self.check(reply, what, hint, about=child or serial)

    async def _stands(self, serial: str, done: Done) -> bool | None:
        """Whether the unit is so; None when that cannot be read."""
        try:
            return done(await self.get_unit(serial))
        except LabError:
            return None

    async def list_definitions(self, kind: DefinitionKind, search: str, limit: int, after: str = "") -> DefinitionPage:
        asked: dict[str, Any] = {"limit": limit} | ({"search_query": search} if search else {})
        match kind:
            case "procedures":
                return await self._procedures(await self.page(kind, Entries[Named], asked, after))
            case "parts":
                parts = await self.page(kind, Entries[PartEntry], asked, after)
                found = [
                    Definition(number=p.number, name=p.name, revisions=[revision.number for revision in p.revisions])
                    for p in parts.data
                ]
                return DefinitionPage(found, parts.next_cursor)
            case "batches":
                return await self._batches(await self.page(kind, Entries[BatchEntry], asked, after))
            case "stations":
                stations = await self.page(kind, Entries[StationEntry], asked, after)
                found = [
                    Definition(id=self.handle(s.id), name=s.name, procedures=[p.name for p in s.procedures])
                    for s in stations.data
                ]
                return DefinitionPage(found, stations.next_cursor)

    async def _procedures(self, page: Entries[Named]) -> DefinitionPage:
        if len(page.data) <= DETAILED:
            detailed = await gather_all(*(self._procedure(p.id) for p in page.data))
            return DefinitionPage(list(detailed), page.next_cursor)
        brief = [Definition(id=self.handle(p.id), name=p.name) for p in page.data]
        note = f"search for {DETAILED} or fewer tells their runs, version and stations."
        return DefinitionPage(brief, page.next_cursor, note)

    async def _procedure(self, uuid: str) -> Definition:
        newest = {"procedure_ids": [uuid], "sort_by": "started_at", "sort_order": "desc", "limit": 1}
        reply, runs = await gather_all(self.client.get(f"/api/v2/procedures/{segment(uuid)}"), self.run_page(newest))
        whole = decode(self.check(reply, "procedure"), ProcedureWhole)
        return Definition(
            id=self.handle(whole.id),
            name=whole.name,
            version=runs.data[0].version if runs.data else "",
            runs=whole.runs_count,
            stations=[station.name for station in whole.stations],
        )

    async def _batches(self, page: Entries[BatchEntry]) -> DefinitionPage:
        """The only one that was found is told with its units."""
        found = [Definition(number=batch.number, units=batch.unit_count) for batch in page.data]
        if len(found) != 1 or page.next_cursor:
            return DefinitionPage(found, page.next_cursor)
        reply = await self.client.get(f"/api/v2/batches/{segment(page.data[0].number)}")
        units = decode(self.check(reply, "batch"), BatchWhole).units
        serials = [unit.serial_number for unit in units[:MAX_SERIALS]]
        note = f"The first {MAX_SERIALS} of {len(units)} serial numbers." if len(units) > MAX_SERIALS else ""
        return DefinitionPage([found[0].model_copy(update={"serial_numbers": serials})], note=note)


def _not_made(lost: AnswerLost, what: str) -> AnswerLost:
    """A change whose answer was lost twice, and that the unit does not show."""
    return AnswerLost(
        lost.service,
        f"{lost.service} did not answer, and the change of the {what} was not made",
        lost.why,
        "get_unit shows what was changed before. It is safe to call again.",
    )


def _with(child: str) -> Done:
    return lambda unit: child.casefold() in (other.casefold() for other in unit.sub_units)


def _without(child: str) -> Done:
    return lambda unit: child.casefold() not in (other.casefold() for other in unit.sub_units)


def _as(change: UnitChange) -> Done:
    sample = "" if change.sample == "production" else change.sample
    return lambda unit: (
        change.batch_number.casefold() in ("", unit.batch.casefold()) and (not change.sample or sample == unit.sample)
    )


def _fields(change: UnitChange) -> dict[str, object]:
    fields: dict[str, object] = {}
    if change.batch_number:
        fields["batch_number"] = change.batch_number
    if change.sample:
        fields["sample"] = None if change.sample == "production" else change.sample
    return fields
