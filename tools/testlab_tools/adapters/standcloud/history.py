"""The history of an organisation in StandCloud: its test runs in whatever order and pages it lists them, and their
failed cases, one request a run.

There is no filter by time and no total. Where the newest come first, reading ends early; else all is read each time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from testlab_tools.adapters.standcloud.models import TestRunRow, outcome
from testlab_tools.adapters.standcloud.paging import Body, Listing, Row, start_of
from testlab_tools.adapters.standcloud.runs import MAX_READ, StandRuns
from testlab_tools.archive.schema import EndedAs, Failure, Run
from testlab_tools.capabilities import FailuresRead, HistoryFeed, HistoryPage, Stretch
from testlab_tools.capabilities.history import ENDLESS
from testlab_tools.models import lab
from testlab_tools.times import EARLIEST

OVERLAP = timedelta(days=1)
"""Before the last run that was seen, what is new is read from: a stand without network sends its runs late."""
GIVEN_UP = timedelta(days=7)
"""A run that is still running after so long is not waited for."""
_TICK = timedelta(microseconds=1)


class StandHistory(StandRuns, HistoryFeed):
    """All test runs of an organisation, and their failed cases."""

    cannot = (
        "StandCloud tells no measurements, and only of failed cases",
        "runs that came more than a day late are noticed for a week",
    )
    failing = ("fail",)

    async def identify(self) -> str:
        return await self.client.identify()

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        """`resume` is how many rows were read and when the last of them began: from there on, if that still follows."""
        place, _, moment = resume.partition(" ")
        known = datetime.fromisoformat(moment) if moment else None
        listing = self._listing()

        def follows(body: Body) -> bool:
            return known is None or start_of(body) >= known

        until = known + _TICK if known else ENDLESS
        async for rows in _whole_moments(listing, max(0, int(place or 0) - 1), follows):
            page = self._page(listing, rows, until)
            yield page
            until = page.back_to or until

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        """Newest first where the service lists them so; the mark goes on with the last page only."""
        listing, until = self._listing(), ENDLESS
        since = datetime.fromisoformat(mark) - OVERLAP
        newest, going = mark, ""
        async for rows in _whole_moments(listing):
            page = self._page(listing, rows, until)
            going = min(filter(None, (going, _oldest_going(page.running))), default="")
            newest = max(newest, page.mark)
            ended = listing.whole or (page.back_to is not None and page.back_to <= since)
            yield page._replace(mark=(going or newest) if ended else "", resume="")
            if ended:
                return
            until = page.back_to or until

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        """At most MAX_READ of them."""
        read = await self.read_cases([self.native(run.run_id) for run in runs[:MAX_READ]])
        rows: list[Failure] = []
        for run, cases in zip(runs, read, strict=False):
            common = (self.name, run.run_id, run.test, run.started_at)
            if cases is not None:
                rows += [Failure(*common, case.case, case.reason, case.attempts) for case in cases]
                if not cases:
                    rows.append(Failure(*common, "", ""))
        return FailuresRead(rows, len(runs) - sum(cases is not None for cases in read))

    def _listing(self) -> Listing:
        return self.listing({}, self.id_of, lambda body, moment: True)

    def _page(self, listing: Listing, rows: Sequence[Row], until: datetime) -> HistoryPage:
        """A page as the list stands now. Without an order of time, nothing is known of any stretch before the end."""
        self.refuse_cut(listing)
        decoded = [self.decode_row(row, TestRunRow) for row in rows]
        frontier = listing.frontier or EARLIEST
        back_to = EARLIEST if listing.whole else frontier + _TICK if listing.falling else None
        running = [self._run(row) for row in decoded if outcome(row.status) == "running"]
        newest = max((row.start_time or EARLIEST for row in decoded), default=None) if until == ENDLESS else None
        return HistoryPage(
            [self._history_run(row) for row in decoded if outcome(row.status) != "running"],
            Stretch(back_to, until) if back_to is not None and listing.falling else None,
            back_to,
            _oldest_going(running) or (min(newest, datetime.now(UTC)).isoformat() if newest else ""),
            f"{listing.read_to} {frontier.isoformat()}" if listing.falling and not listing.whole else "",
            running=running,
        )

    def _history_run(self, row: TestRunRow) -> Run:
        began = row.start_time or row.finish_time or EARLIEST
        return Run(
            service=self.name,
            run_id=self.handle(row.test_run_id),
            test=row.test_plan_name,
            ended_as=cast(EndedAs, outcome(row.status)),
            started_at=began,
            duration_s=row.seconds if row.duration or row.finish_time else None,
            station=row.test_stand_name or row.test_stand_hw_id,
            unit=row.serial_number,
            part=row.part_number,
            part_revision=str((row.dut_info or {}).get("revision") or ""),
            batch=row.batch_number,
            attempt=row.number_of_attempt,
        )


async def _whole_moments(
    listing: Listing, at: int = 0, follows: Callable[[Body], bool] = bool
) -> AsyncGenerator[list[Row], None]:
    """The pages of a list, without the rows of its last moment, which come with the next: there may be more of them."""
    kept_back: list[Row] = []
    async for page in listing.pages(at, follows):
        rows = kept_back + page
        kept_back = [] if listing.whole else [row for row in rows if row.moment == listing.frontier]
        yield [row for row in rows if row not in kept_back] if kept_back else rows


def _oldest_going(running: Iterable[lab.Run]) -> str:
    """When the oldest of the runs began that may still end; a stand's clock may be ahead."""
    now = datetime.now(UTC)
    starts = [run.started_at for run in running if now - run.started_at <= GIVEN_UP]
    return min(*starts, now).isoformat() if starts else ""
