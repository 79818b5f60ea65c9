"""Stb-tester as an archive of runs: "Test results" of its REST API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from testlab_tools.capabilities import RunArchive, Runs
from testlab_tools.errors import Unsupported
from testlab_tools.models import Case, FailedRun, Run
from testlab_tools.questions import RunQuery
from testlab_tools.stbtester.models import ResultDetail, ResultRow
from testlab_tools.stbtester.portal import Portal, path_of
from testlab_tools.times import iso
from testlab_tools.wire import decode

ROW_LIMIT = 2_000
"""`GET /api/v2/results` returns the first 2,000 matches and no cursor ("Get list of test results", Notes)."""

DETAILED_FAILURES = 20
"""A job's failures beyond these are listed without traceback, to bound the requests of one call."""


class Results(Portal, RunArchive):
    """Lists results and explains failures."""

    def owns_run(self, run_id: str) -> bool:
        return run_id.startswith("/")

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if query.unit or query.part:
            raise Unsupported(
                f"{self.name} cannot find runs by serial number or part",
                "Stb-tester results carry neither",
                "Ask by test, station or job instead, or put a filter in its own grammar into filter.",
            )
        if query.outcome not in ("", "pass", "fail", "error"):
            return Runs([], more=False, total=0)
        rows = await self._rows(query, after)
        matching = sorted((row for row in rows if _matches(row, query)), key=_order, reverse=not query.oldest_first)
        rest = _past(matching, after, query.oldest_first)
        capped = len(rows) >= ROW_LIMIT
        runs = [self._run(row) for row in rest[:limit]]
        return Runs(runs, more=len(rest) > limit or capped, total=len(matching), at_least=capped)

    async def failures(self, run_id: str) -> list[FailedRun]:
        if len(run_id.strip("/").split("/")) == 3:
            return await self._job_failures(run_id)
        return [await self._failed_run(run_id)]

    async def _job_failures(self, job_uid: str) -> list[FailedRun]:
        status = await self.client.get(f"/api/v2/jobs{path_of(job_uid)}")
        self.checked(status, "job", "list_runs shows runs and their job_uid.")
        rows = await self._rows(RunQuery(job="/" + job_uid.strip("/")), "")
        failed = sorted((row for row in rows if row.result != "pass"), key=_order)
        detailed = await asyncio.gather(*(self._failed_run(row.result_id) for row in failed[:DETAILED_FAILURES]))
        return [*detailed, *(self._failed(row) for row in failed[DETAILED_FAILURES:])]

    async def _failed_run(self, run_id: str) -> FailedRun:
        reply = await self.client.get(f"/api/v2/results{path_of(run_id)}")
        self.checked(reply, "result", "list_runs shows the runs there are.")
        return self._failed(decode(reply, ResultDetail))

    async def _rows(self, query: RunQuery, after: str) -> list[ResultRow]:
        order = "asc" if query.oldest_first else "desc"
        params = {"filter": _filter(query, after), "sort": f"date:{order}", "tz": "UTC"}
        reply = await self.client.get("/api/v2/results", params)
        return decode(self.checked(reply, "the filter or list of results"), list[ResultRow])

    def _run(self, row: ResultRow) -> Run:
        return Run(
            run_id=self.handle(row.result_id),
            outcome=row.result,
            test=row.test_case,
            started_at=row.start_time,
            duration_s=_seconds(row.start_time, row.end_time),
            station=row.node_id,
            job_uid=self.handle(row.job_uid),
            reason=row.failure_reason or "",
            position=_position(row),
        )

    def _failed(self, row: ResultRow) -> FailedRun:
        detail = row if isinstance(row, ResultDetail) else None
        cases = [
            Case(
                case=row.test_case,
                outcome=row.result,
                reason=row.failure_reason or "",
                traceback=(detail.traceback or "") if detail else "",
            )
        ]
        return FailedRun(
            **self._run(row).model_dump(exclude={"reason"}),
            cases=[] if row.result == "pass" else cases,
            cases_run=1,
            artifacts=sorted(detail.artifacts) if detail else [],
        )


def _filter(query: RunQuery, after: str) -> str:
    """The query in the portal's search grammar, as in its own examples: `job:/node/0a23/972`, space-separated.

    Dates narrow what is sent; `_matches` decides, so that a portal reading them otherwise cannot add or hide a row.
    """
    start = _start_of(after)
    since, until = (start or query.since, query.until) if query.oldest_first else (query.since, start or query.until)
    terms: Iterable[str] = (
        f"job:{query.job}" if query.job else "",
        f"result:{query.outcome}" if query.outcome else "",
        f"testcase:{_quoted(query.test)}" if query.test else "",
        f"node:{_quoted(query.station)}" if query.station else "",
        f"date:>={iso(since)}" if since else "",
        f"date:<={iso(until + timedelta(seconds=1))}" if until else "",
        query.text,
    )
    return " ".join(term for term in terms if term)


def _matches(row: ResultRow, query: RunQuery) -> bool:
    return (
        (not query.outcome or row.result == query.outcome)
        and (not query.test or query.test in row.test_case)
        and (not query.station or row.node_id == query.station)
        and (not query.job or row.job_uid == query.job)
        and (query.since is None or row.start_time >= query.since)
        and (query.until is None or row.start_time < query.until)
    )


def _order(row: ResultRow) -> tuple[datetime, str]:
    return (row.start_time, row.result_id)


def _position(row: ResultRow) -> str:
    return f"{row.start_time.isoformat()} {row.result_id}"


def _start_of(after: str) -> datetime | None:
    return datetime.fromisoformat(after.partition(" ")[0]) if after else None


def _past(rows: list[ResultRow], after: str, ascending: bool) -> list[ResultRow]:
    """The rows that follow the position `after` in the list's order."""
    start = _start_of(after)
    if start is None:
        return rows
    mark = (start, after.partition(" ")[2])
    return [row for row in rows if (_order(row) > mark if ascending else _order(row) < mark)]


def _seconds(start: datetime, end: datetime | None) -> float:
    return round((end - start).total_seconds(), 1) if end else 0


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text
