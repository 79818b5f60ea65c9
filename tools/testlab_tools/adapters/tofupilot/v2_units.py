"""Units in API v2, and what is built into them.

Procedures, parts, batches and stations in API v2. A single station is never asked for: the reply holds its key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from testlab_tools.adapters.tofupilot.client import (
    SUCCESSES,
    segment,
    still_there,
    unit_segment,
    unknown_change,
    unknown_whether,
)
from testlab_tools.adapters.tofupilot.models import (
    BatchEntry,
    BatchWhole,
    Created,
    Entries,
    ManyIds,
    Named,
    PageMeta,
    PartEntry,
    ProcedureWhole,
    StationEntry,
)
from testlab_tools.adapters.tofupilot.v2_client import UNKNOWN_UNIT, V2Api
from testlab_tools.capabilities import DefinitionPage, ProductionCatalog, UnitRegistry
from testlab_tools.errors import AnswerLost, LabError, NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.http.response import decode
from testlab_tools.models.lab import Unit
from testlab_tools.models.requests import UnitChange
from testlab_tools.models.results import Definition, DefinitionKind

_MAX_PAGES = 20
Done = Callable[[Unit], bool]


class V2Units(V2Api, UnitRegistry):
    """`/v2/units/{serial_number}` and its children."""

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
            gone = _without(child)
            await self._change(serial_number, gone, "DELETE", f"{path}/children", "sub-unit", params=params)
        for child in change.add:
            body = {"child_serial_number": child}
            await self._change(serial_number, _with(child), "PUT", f"{path}/children", "sub-unit", body=body)
        if changed := _fields(change):
            await self._change(serial_number, _as(change), "PATCH", path, "unit", body=changed)
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
            if not page.meta.has_more or page.meta.next_cursor is None:
                return runs, True
            cursor = str(page.meta.next_cursor)
        return runs, False

    async def delete_unit(self, serial_number: str) -> None:
        unit_segment(serial_number)
        try:
            reply = await self.change("DELETE", "/api/v2/units", ManyIds, params={"serial_numbers": [serial_number]})
        except AnswerLost as lost:
            try:
                await self.get_unit(serial_number)
            except NotFound:
                return
            except LabError as error:
                raise unknown_whether(lost, "unit", error) from None
            raise still_there(lost, "unit") from None
        self.check(reply, "unit", UNKNOWN_UNIT, act="delete")

    async def _change(self, serial: str, done: Done, method: str, path: str, what: str, **request: Any) -> None:
        """One change, sent once more when its answer was lost and the unit is not as it would be `done`."""
        hint = "It must be a known unit, not part of another, nor the unit itself; get_unit shows what was changed."
        try:
            reply = await self.change(method, path, Created, **request)
        except AnswerLost:
            if await self._stands(serial, done):
                return
            try:
                reply = await self.change(method, path, Created, **request)
            except AnswerLost as lost:
                stands = await self._stands(serial, done)
                if stands:
                    return
                raise (unknown_change(lost) if stands is None else _not_made(lost, what)) from None
            if reply.status not in SUCCESSES and await self._stands(serial, done):
                return
        self.check(reply, what, hint)

    async def _stands(self, serial: str, done: Done) -> bool | None:
        """Whether the unit is so; None when that cannot be read."""
        try:
            return done(await self.get_unit(serial))
        except LabError:
            return None


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


DETAILED = 5
"""How many procedures are asked for one by one: their list tells neither runs, stations nor versions."""
MAX_SERIALS = 50

E = TypeVar("E")


class V2Catalog(V2Api, ProductionCatalog):
    """`GET /v2/procedures`, `/v2/parts`, `/v2/batches`, `/v2/stations`."""

    async def list_definitions(self, kind: DefinitionKind, search: str, limit: int, after: str = "") -> DefinitionPage:
        asked: dict[str, Any] = {"limit": limit}
        if search:
            asked["search_query"] = search
        if after:
            asked["cursor"] = after
        match kind:
            case "procedures":
                return await self._procedures(await self._page(kind, asked, Entries[Named]))
            case "parts":
                parts = await self._page(kind, asked, Entries[PartEntry])
                return DefinitionPage([_part(part) for part in parts.data], _after(parts.meta))
            case "batches":
                return await self._batches(await self._page(kind, asked, Entries[BatchEntry]))
            case "stations":
                stations = await self._page(kind, asked, Entries[StationEntry])
                return DefinitionPage([self._station(station) for station in stations.data], _after(stations.meta))

    async def _page(self, kind: DefinitionKind, asked: dict[str, Any], shape: type[Entries[E]]) -> Entries[E]:
        reply = await self.client.get(f"/api/v2/{kind}", asked)
        return decode(self.check(reply, f"list of {kind}"), shape)

    async def _procedures(self, page: Entries[Named]) -> DefinitionPage:
        after = _after(page.meta)
        if len(page.data) <= DETAILED:
            return DefinitionPage(list(await gather_all(*(self._procedure(p.id) for p in page.data))), after)
        brief = [Definition(id=self.handle(p.id), name=p.name) for p in page.data]
        return DefinitionPage(brief, after, f"search for {DETAILED} or fewer tells their runs, version and stations.")

    async def _procedure(self, uuid: str) -> Definition:
        newest = {"procedure_ids": [uuid], "sort_by": "started_at", "sort_order": "desc", "limit": 1}
        reply, runs = await gather_all(self.client.get(f"/api/v2/procedures/{segment(uuid)}"), self.run_page(newest))
        whole = decode(self.check(reply, "procedure"), ProcedureWhole)
        version = runs.data[0].procedure.version if runs.data else None
        return Definition(
            id=self.handle(whole.id),
            name=whole.name,
            version=version.tag if version else "",
            runs=whole.runs_count,
            stations=[station.name for station in whole.stations],
        )

    async def _batches(self, page: Entries[BatchEntry]) -> DefinitionPage:
        """The only one that was found is told with its units."""
        after = _after(page.meta)
        found = [Definition(number=batch.number, units=batch.unit_count) for batch in page.data]
        if len(found) != 1 or after:
            return DefinitionPage(found, after)
        reply = await self.client.get(f"/api/v2/batches/{segment(page.data[0].number)}")
        units = decode(self.check(reply, "batch"), BatchWhole).units
        serials = [unit.serial_number for unit in units[:MAX_SERIALS]]
        note = f"The first {MAX_SERIALS} of {len(units)} serial numbers." if len(units) > MAX_SERIALS else ""
        return DefinitionPage([found[0].model_copy(update={"serial_numbers": serials})], after, note)

    def _station(self, row: StationEntry) -> Definition:
        return Definition(id=self.handle(row.id), name=row.name, procedures=[p.name for p in row.procedures])


def _part(row: PartEntry) -> Definition:
    return Definition(number=row.number, name=row.name, revisions=[revision.number for revision in row.revisions])


def _after(meta: PageMeta) -> str:
    return str(meta.next_cursor) if meta.has_more and meta.next_cursor is not None else ""
