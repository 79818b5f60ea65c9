"""Stb-tester as an archive of runs, their logs and artifacts: "Test results" of its REST API."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from testlab_tools.adapters.stbtester.client import PORTAL, Portal
from testlab_tools.adapters.stbtester.models import ArtifactEntry, JobStatus, ResultDetail, ResultRow, path_of
from testlab_tools.adapters.stbtester.search import ROW_LIMIT, around, expression, matches, result_path
from testlab_tools.capabilities import (
    DETAILED_FAILURES,
    ArtifactKeeper,
    Download,
    Failure,
    FailureArchive,
    Failures,
    KeptFile,
    LogKeeper,
    Runs,
)
from testlab_tools.errors import BadInput, BadReply, NotFound, Unsupported
from testlab_tools.fanout import gather_all
from testlab_tools.http.errors import foreign
from testlab_tools.http.response import decode
from testlab_tools.models.lab import Case, FailedRun, Outcome, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import Artifact, KnownRun, RunDetail, labels
from testlab_tools.times import EARLIEST
from testlab_tools.untrusted import shorten

NO_LOGS = ("text/html", "application/json")
"""A log is `text/plain` ("Get log output from test run"): these are a proxy's page, or another service's answer."""
REQUESTS = 5
"""The most lists one page is put together from."""


class TimeSpan(NamedTuple):
    """Rows in the query's order; `cut`: others follow them. `by_outcome` counts what the first list held, `at_least`
    that many there are."""

    rows: list[ResultRow]
    cut: bool
    by_outcome: Mapping[Outcome, int]
    at_least: bool


class Results(Portal, FailureArchive, LogKeeper, ArtifactKeeper):
    """Lists results, explains failures and streams what they left."""

    count_page = ROW_LIMIT - 100
    """What one list holds, without the rows of the moment at which it was cut."""

    def owns_run(self, run_id: str) -> bool:
        return run_id.startswith("/")

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        found = await self._span(query, limit, after)
        runs = [self._listed(row, query) for row in found.rows[:limit]]
        more = len(found.rows) > limit or (found.cut and not query.longest_first)
        note = f"It lists only its {ROW_LIMIT} longest." if query.longest_first and found.cut and not more else ""
        if query.explain_empty and not found.rows and not after:
            note = await self._note_on_nothing(query)
        return Runs(
            runs,
            more=more,
            total=sum(found.by_outcome.values()),
            at_least=found.at_least,
            by_outcome=found.by_outcome,
            note=note,
            cut=found.cut and not more,
        )

    async def _note_on_nothing(self, query: RunQuery) -> str:
        """What an empty list may be empty for. Of the search grammar only terms `key:value` are shown in the
        vendor's examples; one that compares without a key may be read as words, and found nowhere."""
        notes = [await self._whether_there_is(query)] if query.test else []
        if any(":" not in term and re.search("[<>=]", term) for term in query.text.split()):
            notes.append(
                "A term of filter compares without key: as in date:>=2026-01-01, so it may be read as words to find. "
                'sort="longest" shows the longest runs.'
            )
        return " ".join(notes)

    async def _whether_there_is(self, query: RunQuery) -> str:
        """Of an empty list: whether such a test has ever run here."""
        known = RunQuery(test=query.test, explain_empty=True)
        rows = [] if query == known else await self.rows(known, ())
        if any(matches(row, known) for row in rows):
            return "It has runs of such a test, but none that matches the rest."
        return "No run here, of any time, is of such a test. A test pack may have it all the same."

    async def _span(self, query: RunQuery, limit: int, after: str = "") -> TimeSpan:
        """At least `limit` rows that match, if there are as many, past the portal's limit of rows.

        Raises Unsupported for what results do not carry, NotFound for a node there is not.
        """
        self.refuse_unknown(query)
        if query.outcome not in ("", "pass", "fail", "error"):
            return TimeSpan([], cut=False, by_outcome={}, at_least=False)
        if query.station:
            query = replace(query, station=await self.node_id(query.station))
        if query.longest_first:
            return await self._longest(query, after)
        found, cut = await self._matching(query, after)
        counts, at_least = _count(found), cut is not None
        rest = _past(found, after, query.oldest_first)
        for _ in range(REQUESTS - 1):
            if cut is None or len(rest) > limit:
                break
            following, edge = await self._matching(query, cut)
            rest += _past(following, cut, query.oldest_first)
            if edge == cut:
                break
            cut = edge
        if cut is not None and not rest:
            raise self.too_many()
        return TimeSpan(rest, cut is not None, counts, at_least)

    async def _longest(self, query: RunQuery, after: str) -> TimeSpan:
        """The longest first, of one list: no filter is documented that would go on where the portal cut it."""
        rows = await self.rows(query, around(query.since, query.until))
        cut = len(rows) >= ROW_LIMIT
        found = sorted((row for row in rows if matches(row, query)), key=_length, reverse=True)
        if after:
            seconds, _, result_id = after.partition(" ")
            rest = [row for row in found if _length(row) < (float(seconds), result_id)]
        else:
            rest = found
        if cut and not found:
            raise self.too_many()
        return TimeSpan(rest, cut, _count(found), cut)

    def refuse_unknown(self, query: RunQuery) -> None:
        """Raise Unsupported for what results do not carry."""
        if query.unit or query.part:
            raise Unsupported(
                f"{self.name} cannot find runs by serial number or part",
                "Stb-tester results carry neither",
                "Ask by test, station or job instead, or put a filter in its own grammar into filter.",
            )

    async def node_id(self, station: str) -> str:
        """The id of the node of that id or friendly name: a name that no node has would read as "no runs"."""
        named = station.casefold()
        for status in await self.list_statuses():
            if named in (status.node_id.casefold(), (status.friendly_name or "").casefold()):
                return status.node_id
        raise NotFound(f"{self.name} has no node of that name", "", "list_nodes shows all nodes.").naming(station)

    async def get_run(self, run_id: str) -> RunDetail:
        detail = await self.detail(run_id)
        failed = detail.result != "pass"
        known = KnownRun(
            **self.run_of(detail).model_dump(),
            user=detail.username or "",
            category=detail.job_category or "",
            branch=(detail.test_pack_branch or "").removeprefix("refs/heads/"),
            triage_url=detail.triage_url or "",
            cases_run=1,
        )
        return RunDetail(
            run=known,
            cases=[_case(detail)],
            tags=labels(detail.tags),
            artifacts=[Artifact(name=name, size=entry.size) for name, entry in sorted(detail.artifacts.items())],
            next="get_failed_cases explains it. read_log has its log. get_artifact has its files." if failed else "",
        )

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        if len(run_id.strip("/").split("/")) == 3:
            return await self._job_failures(run_id)
        return [self._failed(await self.detail(run_id))]

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """One failure per result, which is one test case, run once. Each outcome is asked for by itself: the search
        grammar is not documented to join terms with "or"."""
        outcomes = [query.outcome] if query.outcome else ["fail", "error"]
        asked = [replace(query, outcome=outcome, oldest_first=False) for outcome in outcomes]
        spans = await gather_all(*(self._span(one, limit) for one in asked))
        rows = _newest_first(spans)
        more = len(rows) > limit or any(span.cut for span in spans)
        failures = [
            Failure(self.run_of(r), shorten(r.test_case), shorten(r.failure_reason or ""), shorten(r.test_pack_sha))
            for r in rows[:limit]
        ]
        return Failures(failures, len(failures), more)

    @asynccontextmanager
    async def open_log(self, run_id: str, tz: str) -> AsyncGenerator[Download, None]:
        async with self.client.stream(f"{result_path(self.name, run_id)}/stbt.log", {"tz": tz}) as stream:
            if stream.status == 400:
                raise BadInput(f"{self.name} does not know that time zone", "", "Leave tz out for UTC.")
            await self.check_result(stream.reply, run_id)
            if stream.headers.get("content-type", "").startswith(NO_LOGS):
                raise foreign(self.name, PORTAL, stream.status)
            yield Download(stream.chunks(), stream.says_its_end)

    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        reply = await self.client.get(f"{result_path(self.name, run_id)}/artifacts/")
        await self.check_result(reply, run_id)
        entries = decode(reply, dict[str, ArtifactEntry])
        return [KeptFile(name, entry.size) for name, entry in sorted(entries.items())]

    @asynccontextmanager
    async def open_artifact(self, run_id: str, name: str) -> AsyncGenerator[Download, None]:
        path = f"{result_path(self.name, run_id)}/artifacts/{quote(name, safe='/')}"
        async with self.client.stream(path) as stream:
            shown = "get_artifact with an empty name lists them."
            await self.check_found(stream.reply, "artifact of this result", shown, lambda: self.has_file(run_id, name))
            yield Download(stream.chunks())

    async def detail(self, run_id: str) -> ResultDetail:
        """A result as the portal tells it ("Get detailed information about a test run")."""
        reply = await self.client.get(result_path(self.name, run_id))
        return decode(await self.check_result(reply, run_id), ResultDetail)

    async def rows(self, query: RunQuery, dates: Iterable[str]) -> list[ResultRow]:
        """The first ROW_LIMIT results, in the query's order and within `dates`, as the portal picks them."""
        order = "duration:desc" if query.longest_first else "date:asc" if query.oldest_first else "date:desc"
        params = {"filter": expression(query, dates), "sort": order, "tz": "UTC"}
        reply = await self.client.get("/api/v2/results", params)
        return decode(self.check(reply, "list of results"), list[ResultRow])

    async def _job_failures(self, job_uid: str) -> list[FailedRun]:
        status = await self.client.get(f"/api/v2/jobs{path_of(job_uid)}")
        shown = "list_runs shows runs and their job_uid."
        decode(await self.check_found(status, "job", shown, lambda: self.has_job(job_uid), about=job_uid), JobStatus)
        job = "/" + job_uid.strip("/")
        # Each outcome by itself: a soak job has more results than the portal lists, nearly all of them passes.
        asked = (RunQuery(job=job, outcome=outcome, oldest_first=True) for outcome in ("fail", "error"))
        found = await gather_all(*(self._matching(query, "") for query in asked))
        failed = sorted((row for rows, _ in found for row in rows), key=_order)
        detailed = await gather_all(*(self.detail(row.result_id) for row in failed[:DETAILED_FAILURES]))
        return [self._failed(row) for row in (*detailed, *failed[DETAILED_FAILURES:])]

    async def _matching(self, query: RunQuery, after: str) -> tuple[list[ResultRow], str | None]:
        """Rows in order, from the position `after` on and perhaps a few before it; then where the portal cut the list,
        as the position to go on from, or None when it is whole.

        Of the moment at which it was cut, some rows may be missing, so none is given: the next list has them all.
        """
        start = _start_of(after)
        upward = query.oldest_first
        dates = around(start or query.since, query.until) if upward else around(query.since, start or query.until)
        rows = await self.rows(query, dates)
        cut = None
        if len(rows) >= ROW_LIMIT:
            moments = [row.start_time for row in rows]
            edge = max(moments) if upward else min(moments)
            cut = f"{edge.isoformat()} " + ("" if upward else _LAST)
            rows = [row for row in rows if row.start_time != edge]
        wanted = [row for row in rows if matches(row, query)]
        return sorted(wanted, key=_order, reverse=not upward), cut

    def too_many(self) -> BadReply:
        """What to say when a list is cut so that it cannot be gone on with."""
        return BadReply(
            self.name,
            f"{self.name} lists no more than {ROW_LIMIT} results at a time, and none of them is one asked for",
            "Very many began at one moment, or it reads the filter otherwise than its documentation says",
            "Narrow the question: since, until, station or test.",
        )

    def run_of(self, row: ResultRow) -> Run:
        """A row as a run."""
        return Run(
            run_id=self.handle(row.result_id),
            outcome=row.result,
            test=row.test_case,
            started_at=row.start_time,
            duration_s=round(_length(row)[0], 1),
            station=row.node_id,
            job_uid=self.handle(row.job_uid),
            reason=row.failure_reason or "",
            position=f"{row.start_time.isoformat()} {row.result_id}",
            revision=row.test_pack_sha,
        )

    def _listed(self, row: ResultRow, query: RunQuery) -> Run:
        run = self.run_of(row)
        if query.longest_first:
            run.position = f"{_length(row)[0]} {row.result_id}"
        return run

    def _failed(self, row: ResultRow) -> FailedRun:
        return FailedRun(
            **self.run_of(row).model_dump(exclude={"reason"}),
            cases=[] if row.result == "pass" else [_case(row)],
            cases_run=1,
            artifacts=sorted(row.artifacts) if isinstance(row, ResultDetail) else [],
        )


_LAST = "\U0010ffff"
"""Sorts after every id."""


def _case(row: ResultRow) -> Case:
    traceback = (row.traceback or "") if isinstance(row, ResultDetail) else ""
    return Case(case=row.test_case, outcome=row.result, reason=row.failure_reason or "", traceback=traceback)


def _order(row: ResultRow) -> tuple[datetime, str]:
    return (row.start_time, row.result_id)


def _length(row: ResultRow) -> tuple[float, str]:
    """In seconds, 0 where it has no end; and the id, which orders those of one length."""
    seconds = (row.end_time - row.start_time).total_seconds() if row.end_time else 0.0
    return (seconds, row.result_id)


def _count(rows: Iterable[ResultRow]) -> Mapping[Outcome, int]:
    return Counter(row.result for row in rows)


def _start_of(after: str) -> datetime | None:
    return datetime.fromisoformat(after.partition(" ")[0]) if after else None


def _past(rows: list[ResultRow], after: str, ascending: bool) -> list[ResultRow]:
    """The rows that follow the position `after` in the list's order."""
    start = _start_of(after)
    if start is None:
        return rows
    mark = (start, after.partition(" ")[2])
    return [row for row in rows if (_order(row) > mark if ascending else _order(row) < mark)]


def _newest_first(spans: Sequence[TimeSpan]) -> list[ResultRow]:
    """The rows of several lists, back to where the first of them was cut: beyond it, rows of that one are missing."""
    since = max((s.rows[-1].start_time for s in spans if s.cut and s.rows), default=EARLIEST)
    rows = [row for span in spans for row in span.rows if row.start_time >= since]
    return sorted(rows, key=_order, reverse=True)
