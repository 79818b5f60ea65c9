"""The history of an organisation in API v2: runs by start, or by when they were created; failed phases as
`list_failures` reads them; measurements of one procedure each.

The lists do not say how many there are; `GET /v2/procedures/{id}` does (`runs_count`), of all time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from testlab_tools.adapters.tofupilot.cases import measured
from testlab_tools.adapters.tofupilot.client import segment, stamp
from testlab_tools.adapters.tofupilot.models import (
    Entries,
    MeasurementEntry,
    MeasurementRow,
    Named,
    ProcedureWhole,
    RunOutcome,
    RunRow,
)
from testlab_tools.adapters.tofupilot.v2_failures import LAST_ATTEMPTS, MAX_NAMED, NOT_PASSED, OLDER, V2Failures
from testlab_tools.adapters.tofupilot.v2_runs import FULL_PAGE
from testlab_tools.archive.schema import EndedAs, Failure, Measurement, Run
from testlab_tools.capabilities import (
    FailuresRead,
    HistoryFeed,
    HistoryPage,
    MeasurementPage,
    Stretch,
)
from testlab_tools.capabilities.history import ENDLESS
from testlab_tools.errors import NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.http.response import decode
from testlab_tools.times import EARLIEST, Moment
from testlab_tools.untrusted import shorten

CHUNK_PAGES = 10
"""Pages of 100 that make one page of history: their failures are read together."""
MAX_PAGES = 100
"""Where ten all began at one moment, or are of one run."""
LATE = timedelta(minutes=2)
"""Before the last run that was seen, what is new is read from: one may be stamped before another and be seen later."""
_EDGE = timedelta(milliseconds=1)
_TICK = timedelta(microseconds=1)
_MARGIN = timedelta(seconds=1)
_ENDED: Mapping[RunOutcome, EndedAs] = {
    "PASS": "pass",
    "FAIL": "fail",
    "ERROR": "error",
    "TIMEOUT": "timeout",
    "ABORTED": "aborted",
}


class HistoryRow(RunRow):
    """An element of `GET /v2/runs` with what history goes by."""

    created_at: Moment
    slot_key: str | None = None
    slot_name: str | None = None


class V2History(V2Failures, HistoryFeed):
    """All runs of an organisation, their failed phases and their measurements."""

    has_measurements = True

    async def identify(self) -> str:
        return await self.client.identify()

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        """Newest start first. Each page asks anew for what began before the last, so that runs which come or go
        meanwhile shift no more than the pages of one."""
        edge = datetime.fromisoformat(resume) if resume else None
        while True:
            order = {"sort_by": "started_at", "sort_order": "desc"}
            before = {"started_before": stamp(edge + _EDGE)} if edge else {}
            rows, more = await self._chunk(order | before)
            oldest = min((row.started_at for row in rows.values()), default=EARLIEST)
            back_to = oldest + _TICK if more else EARLIEST
            yield HistoryPage(
                [self._history_run(row) for row in rows.values()],
                Stretch(back_to, edge + _TICK if edge else ENDLESS),
                back_to,
                _mark(rows),
                oldest.isoformat() if more else "",
                rows,
            )
            if not more or oldest == edge:
                return
            edge = oldest

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        params = {"sort_by": "created_at", "sort_order": "asc"}
        params["created_after"] = stamp(datetime.fromisoformat(mark) - LATE)
        cursor = ""
        while True:
            page = await self.page("runs", Entries[HistoryRow], params | {"limit": FULL_PAGE}, cursor, listing=True)
            rows = {row.id: row for row in page.data}
            mark = max(datetime.fromisoformat(known) for known in (mark, _mark(rows)) if known).isoformat()
            yield HistoryPage([self._history_run(row) for row in page.data], mark=mark, source=rows)
            if not (cursor := page.next_cursor):
                return

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        ids = [self.native(run.run_id) for run in runs]
        rows: dict[str, RunRow] = {run_id: source[run_id] for run_id in ids if run_id in source}
        asked = [run_id for run_id in ids if run_id not in rows]
        for n in range(0, len(asked), MAX_NAMED):
            page = await self.run_page({"ids": asked[n : n + MAX_NAMED], "limit": FULL_PAGE})
            rows |= {row.id: row for row in page.data}
        try:
            found, unread = await self.failures_of(list(rows.values()), {"outcomes": NOT_PASSED})
        except NotFound as error:
            if error.next_step != OLDER:
                raise
            return FailuresRead([], len(runs))
        known = [failure for failure in found if self.native(failure.run.run_id) not in unread]
        return FailuresRead(
            [
                Failure(
                    self.name,
                    f.run.run_id,
                    f.run.test,
                    f.run.started_at,
                    f.case,
                    f.reason,
                    f.retried + 1 if f.case else None,
                )
                for f in known
            ],
            len(runs) - len({failure.run.run_id for failure in known}),
        )

    async def count_runs(self) -> Mapping[str, int] | None:
        every = await self._every("procedures")
        counts = await gather_all(*(self._count_runs_of(procedure) for procedure in every))
        totals: dict[str, int] = {}
        for procedure, count in zip(every, counts, strict=True):
            totals[procedure.name] = totals.get(procedure.name, 0) + count
        return totals

    async def _count_runs_of(self, procedure: Named) -> int:
        reply = await self.client.get(f"/api/v2/procedures/{segment(procedure.id)}")
        return decode(self.check(reply, "procedure"), ProcedureWhole).runs_count

    async def read_measurements(
        self, test: str, name: str, until: datetime | None = None
    ) -> AsyncGenerator[MeasurementPage, None]:
        """Which of runs' and phases' starts the list goes by is not documented: each page asks for what began before
        the oldest phase seen, so that a run whose phases were cut comes again."""
        ids = await self.ids_of("procedure", test)
        for nth, procedure_id in enumerate(ids):
            edge = until
            while True:
                before = {"started_before": stamp(edge + _EDGE)} if edge else {}
                found, more = await self._measured(procedure_id, name, before)
                oldest = min((entry.started_at for entry in found if entry.started_at), default=EARLIEST)
                rows = [self._history_measurement(test, entry) for entry in found]
                back_to = oldest + _TICK if more else EARLIEST
                yield MeasurementPage(rows, back_to if nth + 1 == len(ids) else None)
                if not more or oldest == edge:
                    break
                edge = oldest

    async def read_measurements_of(
        self, test: str, name: str, runs: Sequence[Run]
    ) -> AsyncGenerator[MeasurementPage, None]:
        ids = {self.native(run.run_id) for run in runs}
        for procedure_id in await self.ids_of("procedure", test):
            ends = [run.started_at + timedelta(seconds=run.duration_s or 0) for run in runs]
            params: dict[str, Any] = {
                "serial_numbers": sorted({run.unit for run in runs}),
                "started_after": stamp(min(run.started_at for run in runs) - _MARGIN),
                "started_before": stamp(max(ends) + _MARGIN),
            }
            edge = ""
            while params["started_before"] != edge:
                edge = params["started_before"]
                found, more = await self._measured(procedure_id, name, params)
                yield MeasurementPage([self._history_measurement(test, e) for e in found if e.run_id in ids])
                if more:
                    starts = [entry.started_at for entry in found if entry.started_at]
                    params["started_before"] = stamp(min(starts) + _EDGE)

    async def _measured(
        self, procedure_id: str, name: str, params: Mapping[str, Any]
    ) -> tuple[list[MeasurementEntry], bool]:
        order = {"sort_by": "started_at", "sort_order": "desc", **LAST_ATTEMPTS}
        named = {"measurement_name": name} if name else {}
        asked = {"procedure_id": procedure_id, **named, **params, **order}
        found: dict[str, MeasurementEntry] = {}
        cursor = ""
        for nth in range(MAX_PAGES):
            page = await self.page(
                "measurements", Entries[MeasurementEntry], asked | {"limit": FULL_PAGE}, cursor, unlisted=OLDER
            )
            found |= {entry.id: entry for entry in page.data if entry.is_final_attempt}
            if not (cursor := page.next_cursor):
                return list(found.values()), False
            if nth + 1 >= CHUNK_PAGES and len({entry.run_id for entry in found.values()}) > 1:
                break
        return list(found.values()), True

    async def _chunk(self, params: Mapping[str, Any]) -> tuple[dict[str, HistoryRow], bool]:
        """The next pages of runs, none twice, and whether others follow; more pages where all began at one moment."""
        rows: dict[str, HistoryRow] = {}
        cursor = ""
        for nth in range(MAX_PAGES):
            page = await self.page("runs", Entries[HistoryRow], {**params, "limit": FULL_PAGE}, cursor, listing=True)
            rows |= {row.id: row for row in page.data}
            if not (cursor := page.next_cursor):
                return rows, False
            if nth + 1 >= CHUNK_PAGES and len({row.started_at for row in rows.values()}) > 1:
                break
        return rows, True

    def _history_run(self, row: HistoryRow) -> Run:
        unit, run = row.unit, self.run_of(row)
        return Run(
            service=self.name,
            run_id=run.run_id,
            test=run.test,
            ended_as=_ENDED[row.outcome],
            started_at=row.started_at,
            duration_s=(row.ended_at - row.started_at).total_seconds(),
            station=run.station,
            slot=row.slot_name or row.slot_key or "",
            unit=run.unit,
            part=run.part,
            part_revision=unit.part.revision.number if unit.part and unit.part.revision else "",
            batch=unit.batch.number if unit.batch else "",
            sample=run.sample,
            revision=run.revision,
            created_at=row.created_at,
        )

    def _history_measurement(self, test: str, entry: MeasurementEntry) -> Measurement:
        values = (entry.value, entry.bool_value, entry.string_value)
        value = next((told for told in values if told is not None), None)
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        shown = measured(
            MeasurementRow(name=entry.measurement_name, outcome=entry.measurement_outcome, validators=entry.validators)
        )
        return Measurement(
            service=self.name,
            run_id=self.handle(entry.run_id),
            test=test,
            started_at=entry.started_at if entry.started_at else EARLIEST,
            case_name=entry.phase_name,
            name=entry.measurement_name,
            value=float(value) if numeric and value is not None else None,
            text="" if numeric or value is None else shorten(str(value)),
            units=entry.units or "",
            low=shown.lower,
            high=shown.upper,
            outcome=entry.measurement_outcome.lower(),
        )


def _mark(rows: Mapping[str, HistoryRow]) -> str:
    """When the last of the runs was created."""
    return max(row.created_at for row in rows.values()).isoformat() if rows else ""
