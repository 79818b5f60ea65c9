"""The history of a portal: its results, 2,000 at most an answer, by when they began.

A failure is the result itself. The list tells neither a result's category nor its user, and no total.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from testlab_tools.adapters.stbtester.models import ResultRow
from testlab_tools.adapters.stbtester.runs import Results
from testlab_tools.adapters.stbtester.search import ROW_LIMIT, around
from testlab_tools.archive.schema import Failure, Run
from testlab_tools.capabilities import (
    FailuresRead,
    HistoryFeed,
    HistoryPage,
    Stretch,
)
from testlab_tools.capabilities.history import ENDLESS
from testlab_tools.models.requests import RunQuery
from testlab_tools.times import EARLIEST
from testlab_tools.untrusted import shorten

OVERLAP = timedelta(days=1)
"""Before the last result that was seen, what is new is read from: a result is listed when it ends, by when it began."""
_TICK = timedelta(microseconds=1)


class ResultHistory(Results, HistoryFeed):
    """All results of a portal."""

    cannot = (
        "Stb-tester tells no measurements, no units and no category of results",
        "results that were deleted, or came more than a day late, are noticed for a week",
    )
    has_units = False

    async def identify(self) -> str:
        return await self.client.identify()

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        """Newest start first. Of the moment at which an answer is cut nothing is given: the next has it whole."""
        edge = datetime.fromisoformat(resume) if resume else None
        while True:
            rows = await self.rows(RunQuery(), around(None, edge if edge else None))
            cut = min(row.start_time for row in rows) if len(rows) >= ROW_LIMIT else None
            if cut is not None and (edge == cut or all(row.start_time == cut for row in rows)):
                raise self.too_many()
            kept = [row for row in rows if cut is None or row.start_time > cut]
            back_to = cut + _TICK if cut else EARLIEST
            yield HistoryPage(
                [self._history_run(row) for row in kept],
                Stretch(back_to, edge + _TICK if edge else ENDLESS),
                back_to,
                _mark(kept),
                cut.isoformat() if cut else "",
            )
            if cut is None:
                return
            edge = cut

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        """Oldest start first, so that a page once read need not be read again."""
        edge = datetime.fromisoformat(mark) - OVERLAP
        while True:
            rows = await self.rows(RunQuery(oldest_first=True), around(edge, None))
            cut = max(row.start_time for row in rows) if len(rows) >= ROW_LIMIT else None
            if cut is not None and (edge == cut or all(row.start_time == cut for row in rows)):
                raise self.too_many()
            kept = [row for row in rows if (cut is None or row.start_time < cut)]
            mark = max(mark, _mark(kept))
            yield HistoryPage(
                [self._history_run(row) for row in kept if row.start_time >= edge],
                Stretch(edge, cut or ENDLESS),
                mark=mark,
            )
            if cut is None:
                return
            edge = cut

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        return FailuresRead(
            [Failure(self.name, run.run_id, run.test, run.started_at, run.test, run.reason) for run in runs]
        )

    def _history_run(self, row: ResultRow) -> Run:
        run = self.run_of(row)
        return Run(
            service=self.name,
            run_id=run.run_id,
            test=run.test,
            ended_as=row.result,
            started_at=row.start_time,
            duration_s=(row.end_time - row.start_time).total_seconds() if row.end_time else None,
            station=run.station,
            revision=run.revision,
            job_uid=run.job_uid,
            reason=shorten(run.reason),
        )


def _mark(rows: Sequence[ResultRow]) -> str:
    """When the last of the results began; a node's clock may be ahead."""
    if not rows:
        return ""
    return min(max(row.start_time for row in rows), datetime.now(UTC)).isoformat(timespec="microseconds")
