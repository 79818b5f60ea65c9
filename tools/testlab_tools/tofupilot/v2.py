"""TofuPilot API v2: `/api/v2/…`, as its client 2.26.1 speaks it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any
from uuid import UUID

from testlab_tools.capabilities import Health, RunArchive, Runs, RunSink
from testlab_tools.errors import BadInput, NotFound
from testlab_tools.http import clock_skew
from testlab_tools.models import CreatedRun, FailedRun, Run
from testlab_tools.questions import NewRun, RunQuery
from testlab_tools.records import RunDetail
from testlab_tools.tofupilot.api import TofuPilotApi
from testlab_tools.tofupilot.details import v2_detail
from testlab_tools.tofupilot.models import Created, Named, Procedures, RunRow, RunRows, Who, WholeRun
from testlab_tools.tofupilot.phases import OUTCOMES, cases
from testlab_tools.tofupilot.v2_body import run_body, stamp
from testlab_tools.untrusted import capped
from testlab_tools.wire import decode

PAGE = 50
"""The documented default `limit`. Always the same, so that a cursor and an index into its page name a run."""

SHIFTED_PAGES = 4
"""How many pages a run is looked for in, when others have come before it since its place was given out."""

_ASKED: dict[str, list[str]] = {
    "pass": ["PASS"],
    "fail": ["FAIL"],
    "error": ["ERROR", "TIMEOUT"],
    "stopped": ["ABORTED"],
}


class TofuPilotV2(TofuPilotApi, RunArchive, RunSink):
    """Runs of an organisation, read and recorded."""

    def owns_run(self, run_id: str) -> bool:
        return _is_uuid(run_id)

    async def probe(self) -> Health:
        reply = self.checked(await self.client.get("/api/v2/whoami"), "account")
        who = decode(reply, Who)
        account = who.station.name if who.station else str((who.user or {}).get("email", who.type))
        return Health(f"{account} of {who.organization.name}", clock_skew(reply.headers))

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if query.job or query.outcome == "skip":
            return Runs([], more=False, total=0)
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
            page = await self._page(params, cursor)

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self._whole(run_id)
        return v2_detail(self._run(row, ""), row)

    async def failures(self, run_id: str) -> list[FailedRun]:
        run = await self._whole(run_id)
        every = cases(run.phases or [])
        errors = [line.message for line in run.logs or [] if line.level in ("ERROR", "CRITICAL")]
        said = errors[-1] if errors else run.docstring or ""
        failed = [case for case in every if case.outcome in ("fail", "error")]
        for case in failed:
            case.reason = case.reason or capped(said)
        return [
            FailedRun(
                **self._run(run, "").model_dump(exclude={"reason"}),
                reason=said,
                cases=failed,
                cases_run=len(every),
                artifacts=[attachment.name for attachment in run.attachments or []],
            )
        ]

    async def create_run(self, run: NewRun) -> CreatedRun:
        procedure = await self._procedure(run)
        reply = await self.client.send("POST", "/api/v2/runs", body=dict(run_body(run, procedure.id)))
        self.checked(reply, "run", "Check serial_number, part_number and the phases' times.")
        return CreatedRun(
            run_id=self.handle(decode(reply, Created).id),
            procedure=procedure.name,
            next="get_failed_cases(run_id) reads it back." if run.outcome != "pass" else "",
        )

    async def _whole(self, run_id: str) -> WholeRun:
        if not _is_uuid(run_id):
            raise NotFound(
                f"{self.name} has no such run", "Its run ids are UUIDs", "list_runs shows the runs there are."
            )
        reply = await self.client.get(f"/api/v2/runs/{run_id}")
        return decode(self.checked(reply, "run", "list_runs shows the runs there are."), WholeRun)

    async def _page(self, params: dict[str, Any], cursor: str) -> RunRows:
        at = {"cursor": cursor} if cursor else {}
        reply = await self.client.get("/api/v2/runs", {**params, **at})
        return decode(self.checked(reply, "list of runs"), RunRows)

    async def _resumed(self, params: dict[str, Any], after: str) -> tuple[RunRows, str, int]:
        """The page, its cursor and the index in it to go on from: cursors count rows, so a run recorded meanwhile
        shifts those that began before it. Where the run at `after` is no longer found, it is the place it had."""
        place, _, run_id = after.rpartition(":")
        first, _, index = place.partition(":")
        begun = page = await self._page(params, first)
        cursor = first
        for _ in range(SHIFTED_PAGES if run_id else 0):
            ids = [row.id for row in page.data]
            if run_id in ids:
                return page, cursor, ids.index(run_id) + 1
            if not page.meta.has_more or page.meta.next_cursor is None:
                break
            cursor = str(page.meta.next_cursor)
            page = await self._page(params, cursor)
        return begun, first, int(index or 0)

    async def _params(self, query: RunQuery) -> dict[str, Any]:
        """The query as parameters (repeated keys for lists).

        Raises:
            NotFound: a procedure or station of that name exists nowhere, which would read as "no runs".
        """
        params: dict[str, Any] = {
            "limit": PAGE,
            "sort_by": "started_at",
            "sort_order": "asc" if query.oldest_first else "desc",
        }
        if query.outcome:
            params["outcomes"] = _ASKED[query.outcome]
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
                params[key] = [item.id for item in await self._named(path, wanted)]
                if not params[key]:
                    raise NotFound(f"{self.name} has no {noun} of that name", "", "Names must match whole.")
        return params

    async def _procedure(self, run: NewRun) -> Named:
        """The procedure of that id or name. Raises NotFound naming the nearest of those there are."""
        wanted = run.procedure_id
        found = await self._named("/api/v2/procedures", wanted)
        if not found and run.procedure_name:
            found = await self._named("/api/v2/procedures", run.procedure_name)
        if len(found) == 1:
            return found[0]
        if found:
            raise BadInput("Several procedures have that name", "", "Give the procedure's id.")
        every = await self._every("/api/v2/procedures")
        names = {p.name: p.id for p in every if p.name.isprintable() and len(p.name) < 80}
        near = get_close_matches(wanted, names, n=3, cutoff=0.4)
        raise NotFound(
            f"{self.name} has no such procedure",
            f"It has {len(every)}",
            f"Nearest ids: {', '.join(names[n] for n in near)}." if near else "",
        )

    async def _named(self, path: str, wanted: str) -> list[Named]:
        every = await self._every(path)
        folded = wanted.casefold()
        return [item for item in every if item.id == wanted] or [i for i in every if i.name.casefold() == folded]

    async def _every(self, path: str) -> list[Named]:
        items: list[Named] = []
        cursor: dict[str, Any] = {}
        while True:
            reply = await self.client.get(path, {"limit": PAGE, **cursor})
            page = decode(self.checked(reply, f"list at {path}"), Procedures)
            items += page.data
            if not page.meta.has_more or page.meta.next_cursor is None:
                return items
            cursor = {"cursor": page.meta.next_cursor}

    def _run(self, row: RunRow, position: str) -> Run:
        return Run(
            run_id=self.handle(row.id),
            outcome=OUTCOMES[row.outcome],
            test=row.procedure.name,
            started_at=row.started_at,
            duration_s=round((row.ended_at - row.started_at).total_seconds(), 1),
            station=row.created_by_station.name if row.created_by_station else "",
            unit=row.unit.serial_number,
            part=row.unit.part.number if row.unit.part else "",
            sample=row.unit.sample or "",
            position=position,
        )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
