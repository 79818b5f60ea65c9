"""TofuPilot API v2: `/api/v2/…`, as its client 2.26.1 speaks it.

Logs of runs in API v2: lines put together from the entries that `GET /v2/logs` lists.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

from testlab_tools.adapters.tofupilot.cases import OUTCOMES, cases
from testlab_tools.adapters.tofupilot.client import still_there, unknown_whether
from testlab_tools.adapters.tofupilot.models import Entries, LogEntry, ManyIds, RunRow, RunRows, Who, WholeRun
from testlab_tools.adapters.tofupilot.run_detail import v2_detail
from testlab_tools.adapters.tofupilot.v2_body import stamp
from testlab_tools.adapters.tofupilot.v2_client import V2Api, is_uuid
from testlab_tools.capabilities import Download, Health, LogKeeper, RunContents, RunEraser, Runs, UnitArchive
from testlab_tools.errors import AnswerLost, LabError, NotFound
from testlab_tools.http import clock_skew
from testlab_tools.http.response import decode
from testlab_tools.models.lab import FailedRun, Run
from testlab_tools.models.requests import FILTERS, RunQuery, refuse_filters, refuse_outcome
from testlab_tools.models.results import RunDetail
from testlab_tools.untrusted import shorten

SHIFTED_PAGES = 4
"""How many pages a run is looked for in, when others have come before it since its place was given out."""

ASKED: dict[str, list[str]] = {
    "pass": ["PASS"],
    "fail": ["FAIL"],
    "error": ["ERROR", "TIMEOUT"],
    "stopped": ["ABORTED"],
}
"""Outcomes of runs, as they are asked for."""


class V2Runs(V2Api, UnitArchive, RunEraser):
    """Runs of an organisation, read and deleted."""

    def owns_run(self, run_id: str) -> bool:
        return is_uuid(run_id)

    async def probe(self) -> Health:
        reply = self.check(await self.client.get("/api/v2/whoami"), "account")
        who = decode(reply, Who)
        account = who.station.name if who.station else str((who.user or {}).get("email", who.type))
        return Health(f"{account} of {who.organization.name}", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        refuse_filters(self.name, query, FILTERS.keys() - {"job"}, "It knows no jobs")
        refuse_outcome(self.name, query, ASKED)
        params = await self._params(query)
        page, cursor, index = await self._resumed(params, after)
        runs: list[Run] = []
        while True:
            fresh = page.data[index:]
            runs += [self._run(row, f"{cursor}:{index + n + 1}:{row.id}") for n, row in enumerate(fresh)]
            following = page.meta.next_cursor if page.meta.has_more else None
            if len(runs) > limit or following is None:
                return Runs(runs[:limit], more=len(runs) > limit or following is not None)
            cursor, index = str(following), 0
            page = await self.run_page(params, cursor)

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self._whole(run_id)
        return v2_detail(self._run(row, ""), row)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        run = await self._whole(run_id)
        every = cases(run.phases or [])
        errors = [line.message for line in run.logs or [] if line.level in ("ERROR", "CRITICAL")]
        said = errors[-1] if errors else run.docstring or ""
        failed = [case for case in every if case.outcome in ("fail", "error")]
        for case in failed:
            case.reason = case.reason or shorten(said)
        return [
            FailedRun(
                **self._run(run, "").model_dump(exclude={"reason"}),
                reason=said,
                cases=failed,
                cases_run=len(every),
                artifacts=[attachment.name for attachment in run.attachments or []],
            )
        ]

    async def get_run_contents(self, run_id: str) -> RunContents:
        run = await self._whole(run_id)
        phases = run.phases or []
        measurements = sum(len(phase.measurements) for phase in phases)
        return RunContents(self._run(run, ""), len(phases), measurements, len(run.attachments or []))

    async def delete_run(self, run_id: str) -> None:
        try:
            reply = await self.change("DELETE", "/api/v2/runs", ManyIds, params={"ids": [run_id]})
        except AnswerLost as lost:
            try:
                await self._whole(run_id)
            except NotFound:
                return
            except LabError as error:
                raise unknown_whether(lost, "run", error) from None
            raise still_there(lost, "run") from None
        self.check(reply, "run", "list_runs shows the runs there are.", act="delete")

    async def _whole(self, run_id: str) -> WholeRun:
        if not is_uuid(run_id):
            raise NotFound(
                f"{self.name} has no such run", "Its run ids are UUIDs", "list_runs shows the runs there are."
            )
        reply = await self.client.get(f"/api/v2/runs/{run_id}")
        return decode(self.check(reply, "run", "list_runs shows the runs there are."), WholeRun)

    async def _resumed(self, params: dict[str, Any], after: str) -> tuple[RunRows, str, int]:
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
            if not page.meta.has_more or page.meta.next_cursor is None:
                break
            cursor = str(page.meta.next_cursor)
            page = await self.run_page(params, cursor)
        return begun, first, int(index or 0)

    async def _params(self, query: RunQuery) -> dict[str, Any]:
        """The query as parameters (repeated keys for lists).

        Raises:
            NotFound: a procedure or station of that name exists nowhere, which would read as "no runs".
        """
        params: dict[str, Any] = {
            "sort_by": "started_at",
            "sort_order": "asc" if query.oldest_first else "desc",
        }
        if query.outcome:
            params["outcomes"] = ASKED[query.outcome]
        if query.unit:
            params["serial_numbers"] = [query.unit]
        if query.part:
            params["part_numbers"] = [query.part]
        if query.since:
            params["started_after"] = stamp(query.since)
        if query.until:
            params["started_before"] = stamp(query.until)
        if query.text:
            params["search_query"] = query.text
        for key, noun, path, wanted in (
            ("procedure_ids", "procedure", "/api/v2/procedures", query.test),
            ("created_by_station_ids", "station", "/api/v2/stations", query.station),
        ):
            if wanted:
                params[key] = [item.id for item in await self.named(path, wanted)]
                if not params[key]:
                    raise NotFound(f"{self.name} has no {noun} of that name", "", "Names must match whole.")
        return params

    def _run(self, row: RunRow, position: str) -> Run:
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
            revision=row.procedure.version.tag if row.procedure.version else "",
        )


_PAGE = 100


class V2Logs(V2Api, LogKeeper):
    """`GET /v2/logs` of one run, oldest first."""

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        if not is_uuid(run_id):
            raise NotFound(f"{self.name} has no such run", "Its run ids are UUIDs", "list_runs shows the runs.")
        first = await self._entries(run_id, {})
        if not first.data:
            reply = await self.client.get(f"/api/v2/runs/{run_id}")
            self.check(reply, "run", "list_runs shows the runs there are.")
        yield Download(self._lines(run_id, first, ZoneInfo(tz)))

    async def _lines(self, run_id: str, page: Entries[LogEntry], zone: ZoneInfo) -> AsyncIterator[bytes]:
        while True:
            yield "".join(_line(entry, zone) for entry in page.data).encode()
            if not page.meta.has_more or page.meta.next_cursor is None:
                return
            page = await self._entries(run_id, {"cursor": page.meta.next_cursor})

    async def _entries(self, run_id: str, at: dict[str, Any]) -> Entries[LogEntry]:
        params = {"run_ids": [run_id], "limit": _PAGE, "sort_by": "created_at", "sort_order": "asc", **at}
        return decode(self.check(await self.client.get("/api/v2/logs", params), "log"), Entries[LogEntry])


def _line(entry: LogEntry, zone: ZoneInfo) -> str:
    at = entry.created_at.astimezone(zone).isoformat(timespec="milliseconds")
    source = f" {entry.source_file}:{entry.line_number or '?'}" if entry.source_file else ""
    return f"{at} {entry.level}{source} {entry.message}\n"
