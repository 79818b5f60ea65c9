"""TofuPilot API v2: `/api/v2/…`, as its client 2.26.1 speaks it. Its lists, and the runs of an organisation.

Logs are put together from the entries that `GET /v2/logs` lists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from testlab_tools.adapters.tofupilot.cases import OUTCOMES, cases, failed, v2_detail
from testlab_tools.adapters.tofupilot.client import TofuPilotApi, stamp, unit_segment
from testlab_tools.adapters.tofupilot.models import Entries, LogEntry, ManyIds, Named, RunRow, UnitWhole, Who, WholeRun
from testlab_tools.capabilities import Download, Health, LogKeeper, RunContents, RunEraser, Runs, UnitArchive
from testlab_tools.errors import BadInput, NotFound, nearest
from testlab_tools.http import Reply, clock_skew
from testlab_tools.http.response import decode
from testlab_tools.models.lab import FailedRun, Run
from testlab_tools.models.requests import FARM_FILTERS, FILTERS, NewRun, RunQuery, refuse_filters, refuse_outcome
from testlab_tools.models.results import RunDetail
from testlab_tools.untrusted import quote, shorten

PAGE = 50
"""The documented default `limit`. Always the same, so that a cursor and an index into its page name a run for good."""
FULL_PAGE = 100
SHIFTED_PAGES = 4
"""How many pages a run is looked for in, when others have come before it since its place was given out."""
UNKNOWN_UNIT = "list_runs(unit=…) shows a unit's runs; a serial number must be exact."
ASKED: dict[str, list[str]] = {
    "pass": ["PASS"],
    "fail": ["FAIL"],
    "error": ["ERROR", "TIMEOUT"],
    "stopped": ["ABORTED"],
}
"""Outcomes of runs, as they are asked for."""
_WIDER = timedelta(milliseconds=1)
"""Asked for on both sides of a span: whether its ends are in it is not documented, so that is looked at here."""
_SHOWN = "list_runs shows the runs there are."
_CODES = {400: "BAD_REQUEST", 403: "FORBIDDEN", 404: "NOT_FOUND", 409: "CONFLICT", 422: "UNPROCESSABLE_CONTENT"}
E = TypeVar("E")


class V2Api(TofuPilotApi):
    """What all of v2 goes by: pages of lists, and things found by id or name."""

    version = "v2"

    def is_own_error(self, reply: Reply) -> bool:
        """`{"message", "code", "issues"}` with the code that belongs to the status, as every error of v2 is documented;
        client 2.26.1 has no issues where there are none."""
        error = reply.members
        known = error.get("code") == _CODES.get(reply.status, reply.status)
        return known and isinstance(error.get("message"), str) and isinstance(error.get("issues") or [], list)

    async def page(
        self,
        noun: str,
        shape: type[Entries[E]],
        params: Mapping[str, Any],
        cursor: str = "",
        *,
        what: str = "",
        listing: bool = False,
        unlisted: str = "",
    ) -> Entries[E]:
        """A page of `GET /v2/{noun}`. Raises NotFound with the next step `unlisted` where there is no such list."""
        at = {"cursor": cursor} if cursor else {}
        reply = await self.client.get(f"/api/v2/{noun}", {"limit": PAGE, **params, **at})
        if reply.status == 404 and unlisted:
            raise NotFound(f"{self.name} has no such list of {noun}", "", unlisted)
        return decode(self.check(reply, what or f"list of {noun}", listing=listing), shape)

    async def run_page(self, params: Mapping[str, Any], cursor: str = "") -> Entries[RunRow]:
        """A page of `GET /v2/runs`."""
        return await self.page("runs", Entries[RunRow], params, cursor, listing=True)

    async def unit_of(self, serial_number: str) -> UnitWhole:
        """`GET /v2/units/{serial_number}`."""
        reply = await self.client.get(f"/api/v2/units/{unit_segment(serial_number)}")
        return decode(self.check(reply, "unit", UNKNOWN_UNIT, about=serial_number), UnitWhole)

    async def procedure(self, run: NewRun) -> Named:
        """The procedure of that id or name. Raises NotFound naming the nearest of those there are."""
        every = await self._every("procedures")
        found = _find(every, run.procedure_id) or (_find(every, run.procedure_name) if run.procedure_name else [])
        if len(found) == 1:
            return found[0]
        if found:
            raise BadInput("Several procedures have that name", "", "Give the procedure's id.")
        names = {p.name: p.id for p in every if p.name.isprintable() and len(p.name) < 80}
        near = nearest(run.procedure_id, names, 3, cutoff=0.4)
        ids = [self.handle(names[name]) for name in near]
        hint = f"Nearest ids: {', '.join(ids)}. " if ids else ""
        raise NotFound(
            f"{self.name} has no such procedure: {quote(run.procedure_id, 80)}",
            f"It has {len(every)}",
            f"{hint}list_catalog shows ids and names: give either.",
        ).near(dict(zip(ids, near, strict=True)))

    async def ids_of(self, noun: str, wanted: str) -> list[str]:
        """The ids of procedures or stations of that id or name. Raises NotFound where there is none: a list of the runs
        of none would read as "no runs"."""
        if found := _find(await self._every(f"{noun}s"), wanted):
            return [item.id for item in found]
        raise NotFound(f"{self.name} has no {noun} of that name", "", "Names must match whole.").naming(wanted)

    async def _every(self, noun: str) -> list[Named]:
        every: list[Named] = []
        cursor = ""
        while True:
            page = await self.page(noun, Entries[Named], {}, cursor, what=f"list at /api/v2/{noun}", listing=True)
            every += page.data
            if not (cursor := page.next_cursor):
                return every


def _find(every: list[Named], wanted: str) -> list[Named]:
    """Those with that id; else with that name, in any case."""
    folded = wanted.casefold()
    return [item for item in every if item.id == wanted] or [i for i in every if i.name.casefold() == folded]


def is_uuid(text: str) -> bool:
    """Whether it has the shape of v2's ids."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True


class V2Runs(V2Api, UnitArchive, RunEraser, LogKeeper):
    """Runs of an organisation, read and deleted, and their logs."""

    def owns_run(self, run_id: str) -> bool:
        return is_uuid(run_id)

    async def probe(self) -> Health:
        reply = self.check(await self.client.get("/api/v2/whoami"), "account")
        who = decode(reply, Who)
        account = who.station.name if who.station else str((who.user or {}).get("email", who.type))
        return Health(f"{account} of {who.organization.name}", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        refuse_filters(self.name, query, FILTERS.keys() - FARM_FILTERS, "It knows no jobs")
        refuse_outcome(self.name, query, ASKED)
        params = await self.params_of(query)
        if query.longest_first:
            params |= {"sort_by": "duration", "sort_order": "desc"}
        page, cursor, index = await self._resumed(params, after)
        runs: list[Run] = []
        while True:
            fresh = page.data[index:]
            runs += [
                self.run_of(row, f"{cursor}:{index + n + 1}:{row.id}")
                for n, row in enumerate(fresh)
                if query.contains(row.started_at)  # whether the service counts the ends in is not documented
            ]
            following = page.next_cursor
            if len(runs) > limit or not following:
                note = "It has such a procedure, but no run of it that matches." if query.test and not runs else ""
                return Runs(runs[:limit], more=len(runs) > limit or bool(following), note="" if after else note)
            cursor, index = following, 0
            page = await self.run_page(params, cursor)

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self.whole_run(run_id)
        return v2_detail(self.run_of(row), row)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        run = await self.whole_run(run_id)
        every = cases(run.phases or [])
        errors = [line.message for line in run.logs or [] if line.level in ("ERROR", "CRITICAL")]
        said = errors[-1] if errors else run.docstring or ""
        not_passed = failed(every)
        explained = any(case.reason for case in not_passed)
        for case in not_passed:
            case.reason = case.reason or shorten(said)
        return [
            FailedRun(
                **self.run_of(run).model_dump(exclude={"reason"}),
                reason="" if explained else said,
                cases=not_passed,
                cases_run=len(every),
                artifacts=[attachment.name for attachment in run.attachments or []],
            )
        ]

    async def get_run_contents(self, run_id: str) -> RunContents:
        run = await self.whole_run(run_id)
        phases = run.phases or []
        measurements = sum(len(phase.measurements) for phase in phases)
        return RunContents(self.run_of(run), len(phases), measurements, len(run.attachments or []))

    async def delete_run(self, run_id: str) -> None:
        await self.delete(
            "/api/v2/runs", ManyIds, "run", _SHOWN, lambda: self.whole_run(run_id), run_id, params={"ids": [run_id]}
        )

    async def whole_run(self, run_id: str) -> WholeRun:
        """`GET /v2/runs/{id}`."""
        if not is_uuid(run_id):
            raise self._no_such_run(run_id)
        reply = await self.client.get(f"/api/v2/runs/{run_id}")
        return decode(self.check(reply, "run", _SHOWN, about=run_id), WholeRun)

    def _no_such_run(self, run_id: str) -> NotFound:
        return NotFound(f"{self.name} has no such run", "Its run ids are UUIDs", _SHOWN).naming(run_id)

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        if not is_uuid(run_id):
            raise self._no_such_run(run_id)
        first = await self._log_page(run_id)
        if not first.data:
            reply = await self.client.get(f"/api/v2/runs/{run_id}")
            self.check(reply, "run", _SHOWN, about=run_id)
        yield Download(self._lines(run_id, first, ZoneInfo(tz)))

    async def _lines(self, run_id: str, page: Entries[LogEntry], zone: ZoneInfo) -> AsyncIterator[bytes]:
        while True:
            yield "".join(_line(entry, zone) for entry in page.data).encode()
            if not page.next_cursor:
                return
            page = await self._log_page(run_id, page.next_cursor)

    async def _log_page(self, run_id: str, cursor: str = "") -> Entries[LogEntry]:
        params = {"run_ids": [run_id], "limit": FULL_PAGE, "sort_by": "created_at", "sort_order": "asc"}
        return await self.page("logs", Entries[LogEntry], params, cursor, what="log")

    async def _resumed(self, params: dict[str, Any], after: str) -> tuple[Entries[RunRow], str, int]:
        """The page, its cursor and the index in it to go on from: cursors count rows, so a run recorded meanwhile
        shifts those that began before it. Where the run at `after` is no longer found, it is the place it had."""
        place, _, run_id = after.rpartition(":")
        first, _, index = place.partition(":")
        begun = page = await self.run_page(params, first)
        cursor = first
        for _ in range(SHIFTED_PAGES if run_id else 0):
            ids = [row.id for row in page.data]
            if run_id in ids:
                return page, cursor, ids.index(run_id) + 1
            if not (cursor := page.next_cursor):
                break
            page = await self.run_page(params, cursor)
        return begun, first, int(index or 0)

    async def params_of(self, query: RunQuery) -> dict[str, Any]:
        """The query as parameters (repeated keys for lists). Raises NotFound for an unknown procedure or station."""
        params: dict[str, Any] = {
            "outcomes": ASKED[query.outcome] if query.outcome else [],
            "serial_numbers": [query.unit] if query.unit else [],
            "part_numbers": [query.part] if query.part else [],
            "started_after": stamp(query.since - _WIDER) if query.since else "",
            "started_before": stamp(query.until + _WIDER) if query.until else "",
            "search_query": query.text,
            "procedure_ids": await self.ids_of("procedure", query.test) if query.test else [],
            "created_by_station_ids": await self.ids_of("station", query.station) if query.station else [],
        }
        order = {"sort_by": "started_at", "sort_order": "asc" if query.oldest_first else "desc"}
        return order | {key: value for key, value in params.items() if value}

    def run_of(self, row: RunRow, position: str = "") -> Run:
        """A row as a run."""
        return Run(
            run_id=self.handle(row.id),
            outcome=OUTCOMES[row.outcome],
            test=row.procedure.name,
            started_at=row.started_at,
            duration_s=round((row.ended_at - row.started_at).total_seconds(), 1),
            station=(row.created_by_station.name or "") if row.created_by_station else "",
            unit=row.unit.serial_number,
            part=row.unit.part.number if row.unit.part else "",
            sample=row.unit.sample or "",
            position=position,
            revision=row.version,
        )


def _line(entry: LogEntry, zone: ZoneInfo) -> str:
    at = entry.created_at.astimezone(zone).isoformat(timespec="milliseconds")
    source = f" {entry.source_file}:{entry.line_number or '?'}" if entry.source_file else ""
    return f"{at} {entry.level}{source} {entry.message}\n"
