"""Stb-tester's reports of results: "Get list of test results (CSV)" and "(XML)" of its REST API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from typing import Literal

from testlab_tools.adapters.stbtester.models import node_of
from testlab_tools.adapters.stbtester.runs import Results
from testlab_tools.adapters.stbtester.search import ROW_LIMIT, exact, expression, matches
from testlab_tools.capabilities import Export, RunExport
from testlab_tools.errors import BadReply
from testlab_tools.models.requests import RunQuery, refuse_outcome
from testlab_tools.report_merge import EVERYTHING, ColumnFilter, CsvMerger, Merger, Words, make_merger
from testlab_tools.times import iso

MAX_PAGE_BYTES = 256 * 2**20


class Reports(Results, RunExport):
    """Writes all results that match, page by page past the portal's limit of rows."""

    async def export_runs(
        self, query: RunQuery, form: Literal["csv", "junit"], write: Callable[[bytes], Awaitable[None]]
    ) -> Export:
        self.refuse_unknown(query)
        refuse_outcome(self.name, query, ("pass", "fail", "error"))
        query = replace(query, since=_second(query.since), until=_second(query.until))
        if query.station:
            query = replace(query, station=await self.node_id(query.station))
        node = query.station
        keep: ColumnFilter = {"result_id": lambda run_id: node_of(run_id) == node} if node else EVERYTHING
        merged, listed, pages = make_merger(form, keep, self._words()), 0, 0
        async with aclosing(self._spans(query)) as spans:
            async for dates, count in spans:
                listed += count
                pages += 1
                await self._page(expression(query, dates), form, merged, write)
        await write(merged.end())
        return Export(merged.runs, listed, pages, merged.columns if isinstance(merged, CsvMerger) else ())

    def _words(self) -> Words:
        """Its columns in the words of list_runs; those that have none keep their names."""
        return {
            "result_id": ("run_id", self.handle),
            "job_uid": ("job_uid", self.handle),
            "start_time": ("started_at", None),
            "end_time": ("ended_at", None),
            "test_case": ("test", None),
            "test_pack_sha": ("revision", None),
            "result": ("outcome", None),
            "failure_reason": ("reason", None),
        }

    async def _page(
        self, text: str, form: Literal["csv", "junit"], merged: Merger, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """`include_tz` is always sent: its default may change ("Get list of test results (XML)")."""
        name, zone = ("results.xml", {"include_tz": "true"}) if form == "junit" else ("results.csv", {})
        params = {"filter": text, "sort": "date:desc", "tz": "UTC", **zone}
        try:
            async with self.client.stream(f"/api/v2/{name}", params, most_bytes=MAX_PAGE_BYTES) as stream:
                self.check(stream.reply, "report of results")
                async for chunk in stream.chunks():
                    await write(merged.feed(chunk))
            await write(merged.end_page())
        except ValueError as error:
            unusable = f"{self.name} sent a report that cannot be used"
            raise BadReply(self.name, unusable, str(error), "Nothing was saved.") from None

    async def _spans(self, query: RunQuery) -> AsyncGenerator[tuple[list[str], int], None]:
        """Spans of time, newest first, that hold fewer results than the portal lists at once: their dates in the search
        grammar, and how many results are listed. They do not overlap and leave nothing out, even where several results
        have one start time.

        The rows of a report may not show when they began, so the dates alone must tell its pages apart, to the
        microsecond in which results state theirs. `since` and `until` hold to the second.
        """
        bounds = [
            *([f"date:>={iso(query.since)}"] if query.since else []),
            *([f"date:<{iso(query.until)}"] if query.until else []),
        ]
        upto: datetime | None = None
        while True:
            dates = [*bounds, *([exact("<=", upto)] if upto else [])]
            rows = await self.rows(query, dates)
            if query.station and any(row.node_id != query.station for row in rows):
                raise BadReply(
                    self.name,
                    f"{self.name} lists results of other nodes than the one asked for",
                    "It reads the filter otherwise than its documentation says, and its reports cannot be sifted",
                    "Nothing was saved. Leave test out, or list the runs instead.",
                )
            wanted = [row for row in rows if matches(row, query) and (upto is None or row.start_time <= upto)]
            if len(rows) < ROW_LIMIT:
                yield dates, len(wanted)
                return
            edge = min(row.start_time for row in rows)
            newer = [row for row in wanted if row.start_time > edge]
            if not newer:
                raise self.too_many()
            yield [*dates, exact(">", edge)], len(newer)
            upto = edge


def _second(moment: datetime | None) -> datetime | None:
    return moment.replace(microsecond=0) if moment else None
