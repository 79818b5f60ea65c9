"""Procedures, parts, batches and stations in API v2. A single station is never asked for: the reply holds its key."""

from __future__ import annotations

from typing import Any, TypeVar

from testlab_tools.capabilities import DefinitionPage, ProductionCatalog
from testlab_tools.definitions import Definition, DefinitionKind
from testlab_tools.tofupilot.api import segment
from testlab_tools.tofupilot.catalog_models import BatchEntry, BatchWhole, PartEntry, ProcedureWhole, StationEntry
from testlab_tools.tofupilot.entries import Entries
from testlab_tools.tofupilot.models import Named, PageMeta
from testlab_tools.tofupilot.v2_api import V2Api
from testlab_tools.together import together
from testlab_tools.wire import decode

DETAILED = 5
"""How many procedures are asked for one by one: their list tells neither runs, stations nor versions."""
MOST_SERIALS = 50

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
        return decode(self.checked(reply, f"list of {kind}"), shape)

    async def _procedures(self, page: Entries[Named]) -> DefinitionPage:
        after = _after(page.meta)
        if len(page.data) <= DETAILED:
            return DefinitionPage(list(await together(*(self._procedure(p.id) for p in page.data))), after)
        brief = [Definition(id=self.handle(p.id), name=p.name) for p in page.data]
        return DefinitionPage(brief, after, f"search for {DETAILED} or fewer tells their runs, version and stations.")

    async def _procedure(self, uuid: str) -> Definition:
        newest = {"procedure_ids": [uuid], "sort_by": "started_at", "sort_order": "desc", "limit": 1}
        reply, runs = await together(self.client.get(f"/api/v2/procedures/{segment(uuid)}"), self.run_page(newest))
        whole = decode(self.checked(reply, "procedure"), ProcedureWhole)
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
        units = decode(self.checked(reply, "batch"), BatchWhole).units
        serials = [unit.serial_number for unit in units[:MOST_SERIALS]]
        note = f"The first {MOST_SERIALS} of {len(units)} serial numbers." if len(units) > MOST_SERIALS else ""
        return DefinitionPage([found[0].model_copy(update={"serial_numbers": serials})], after, note)

    def _station(self, row: StationEntry) -> Definition:
        return Definition(id=self.handle(row.id), name=row.name, procedures=[p.name for p in row.procedures])


def _part(row: PartEntry) -> Definition:
    return Definition(number=row.number, name=row.name, revisions=[revision.number for revision in row.revisions])


def _after(meta: PageMeta) -> str:
    return str(meta.next_cursor) if meta.has_more and meta.next_cursor is not None else ""
