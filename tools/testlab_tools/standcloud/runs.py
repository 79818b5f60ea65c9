"""Test runs: lists of them, one with all that is told of it, and its failed cases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from testlab_tools.capabilities import Runs, UnitArchive
from testlab_tools.errors import BadReply, NotFound
from testlab_tools.http import Reply
from testlab_tools.models import Case, FailedRun, Run
from testlab_tools.questions import RunQuery
from testlab_tools.records import KnownRun, RunDetail
from testlab_tools.standcloud.api import StandCloudApi, listed
from testlab_tools.standcloud.cases import case_of
from testlab_tools.standcloud.filters import filters_of
from testlab_tools.standcloud.models import FailedCaseRow, TestRunRow, outcome
from testlab_tools.standcloud.order import Mark, Order
from testlab_tools.standcloud.pages import EARLIEST, Body, started
from testlab_tools.standcloud.tags import tags_of
from testlab_tools.wire import decode_value


class StandRuns(StandCloudApi, UnitArchive):
    """Test runs of an organisation."""

    def owns_run(self, run_id: str) -> bool:
        return len(run_id) == 36 and run_id.count("-") == 4

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        if query.job:
            return Runs([], more=False, total=0)
        order, filters = Order(query, limit, Mark.read(after)), filters_of(query)

        def keep(body: Body, moment: datetime) -> bool:
            return order.within(moment) and filters.allow(self.name, body)

        listing = self.listing("test_run", filters.params, self._id_of, keep)
        at = max(0, order.mark.offset - 1) if order.mark else 0
        await self.in_time(listing.read(order.enough, at, lambda body: order.before_mark(started(body))))
        rest = [row for row in order.sorted(listing.rows) if order.after_mark(row)]
        held = order.held(listing)
        runs = [self._run(self._decoded(row.body), row.offset if held else 0) for row in rest[:limit]]
        total = len(listing.rows) if listing.begun_at == 0 else None
        return Runs(runs, len(rest) > limit, total, at_least=total is not None and not order.complete(listing))

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self._row(run_id)
        run = self._run(row)
        failed = [] if run.outcome == "pass" else await self.failed_cases(run_id)
        return RunDetail(
            run=KnownRun(**run.model_dump(), batch=row.batch_number),
            tags=tags_of(row),
            cases=failed,
            note="StandCloud tells only of failed cases, and keeps no files.",
        )

    async def failures(self, run_id: str) -> list[FailedRun]:
        run = self._run(await self._row(run_id))
        failed = [] if run.outcome == "pass" else await self.failed_cases(run_id)
        return [FailedRun(**run.model_dump(), cases=failed)]

    async def failed_cases(self, run_id: str) -> list[Case]:
        """The failed cases of a run, by its native id."""
        reply = await self.reply(f"{self.run_path(run_id)}/failed_case", "test run's failed cases")
        return [case_of(row) for row in decode_value(reply, listed(reply), list[FailedCaseRow])]

    def _id_of(self, body: Body) -> str:
        if isinstance(run_id := body.get("test_run_id"), str) and run_id:
            return run_id
        raise BadReply(self.name, f"{self.name} sent a run without test_run_id", "", "`testlab-mcp doctor` tests it.")

    def _decoded(self, body: dict[str, Any]) -> TestRunRow:
        return decode_value(Reply(self.name, 200, {}, b""), body, TestRunRow)

    async def _row(self, run_id: str) -> TestRunRow:
        what, then = f"{self.name} has no such test run", "list_runs shows the runs there are."
        if not self.owns_run(run_id):
            raise NotFound(what, "Its run ids are UUIDs", then)
        reply = await self.reply(self.run_path(run_id), "test run")
        rows = decode_value(reply, listed(reply), list[TestRunRow])
        found = next((row for row in rows if row.test_run_id.casefold() == run_id.casefold()), None)
        if found is None:
            raise NotFound(what, "", then)
        return found

    def _run(self, row: TestRunRow, offset: int = 0) -> Run:
        began = row.start_time or row.finish_time or EARLIEST
        return Run(
            run_id=self.handle(row.test_run_id),
            outcome=outcome(row.status),
            test=row.test_plan_name,
            started_at=began,
            duration_s=round(row.seconds, 1),
            station=row.test_stand_name or row.test_stand_hw_id,
            unit=row.serial_number,
            part=row.part_number,
            attempt=row.number_of_attempt or 0,
            position=str(Mark(began, row.test_run_id, offset)),
        )
