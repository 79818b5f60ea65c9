"""The history of a stand: every run that its panel keeps, with failures and measurements, read in one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

from testlab_tools.adapters.hardpy.cases import make_measurements, name_cases
from testlab_tools.adapters.hardpy.models import ENDED, StateDocument
from testlab_tools.adapters.hardpy.runs import StandRuns, job_of
from testlab_tools.adapters.hardpy.store import EndedRun, is_run, summarise
from testlab_tools.archive.schema import EndedAs, Failure, Measurement, Run
from testlab_tools.capabilities import FailuresRead, HistoryFeed, HistoryPage, MeasurementPage, Stretch
from testlab_tools.times import EARLIEST
from testlab_tools.untrusted import shorten

PAGE_ROWS = 2_000


class StandHistory(StandRuns, HistoryFeed):
    """All runs of a stand. The panel answers all of them each time, so that each reading is whole."""

    cannot = ("HardPy keeps what a case measured at its last attempt alone, and times in whole seconds",)
    failing = ("fail", "error")
    has_measurements = True

    async def identify(self) -> str:
        return await self.client.identify()

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        yield await self._read_page()

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        yield await self._read_page()

    async def _read_page(self) -> HistoryPage:
        store = await self.read_store(fresh=True)
        mark = max((run.run_id for run in store.runs), key=int, default="0")
        whole = None if store.unread else Stretch()
        return HistoryPage([self._history_run(run) for run in store.runs], whole, EARLIEST, mark)

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        known = {self.handle(run.run_id): run for run in (await self.read_store()).runs}
        rows: list[Failure] = []
        for run in runs:
            found = known.get(run.run_id)
            cases = found.failed if found else ()
            rows += [
                Failure(self.name, run.run_id, run.test, run.started_at, case, reason, max(1, attempts))
                for case, reason, attempts in cases
            ] or [Failure(self.name, run.run_id, run.test, run.started_at, "", run.reason)]
        return FailuresRead(rows)

    async def count_runs(self) -> Mapping[str, int] | None:
        store = await self.read_store()
        return None if store.unread else Counter(run.test for run in store.runs)

    async def read_measurements(
        self, test: str, name: str, until: datetime | None = None
    ) -> AsyncGenerator[MeasurementPage, None]:
        async with aclosing(self._measured(test, name, until, None)) as pages:
            async for page in pages:
                yield page
        yield MeasurementPage([], EARLIEST)

    async def read_measurements_of(
        self, test: str, name: str, runs: Sequence[Run]
    ) -> AsyncGenerator[MeasurementPage, None]:
        wanted = {self.native(run.run_id) for run in runs}
        async with aclosing(self._measured(test, name, None, wanted)) as pages:
            async for page in pages:
                yield page

    async def _measured(
        self, test: str, name: str, until: datetime | None, wanted: Collection[str] | None
    ) -> AsyncGenerator[MeasurementPage, None]:
        rows: list[Measurement] = []
        chosen = self.iter_documents(lambda known: is_run(known) and (wanted is None or known in wanted))
        async with aclosing(chosen) as documents:
            async for document in documents:
                run = summarise(document) if document.status in ENDED else None
                if run is not None and run.test == test and (until is None or run.began < until):
                    rows += self._rows_of(document, run, name)
                if len(rows) >= PAGE_ROWS:
                    yield MeasurementPage(rows)
                    rows = []
        yield MeasurementPage(rows)

    def _rows_of(self, document: StateDocument, run: EndedRun, name: str) -> list[Measurement]:
        return [
            Measurement(
                service=self.name,
                run_id=self.handle(run.run_id),
                test=run.test,
                started_at=run.began,
                case_name=case_name,
                name=made.name,
                value=float(made.value) if _is_number(made.value) else None,
                text="" if made.value is None or _is_number(made.value) else shorten(str(made.value)),
                units=made.units,
                low=made.lower,
                high=made.upper,
                outcome=made.outcome,
            )
            for case_name, case in name_cases(document)
            for made in make_measurements(case)
            if not name or made.name == name
        ]

    def _history_run(self, run: EndedRun) -> Run:
        return Run(
            service=self.name,
            run_id=self.handle(run.run_id),
            test=run.test,
            ended_as=cast(EndedAs, run.outcome),
            started_at=run.began,
            duration_s=run.duration_s,
            station=self.name,
            unit=run.unit,
            part=run.part,
            part_revision=run.revision,
            batch=run.batch,
            job_uid=self.handle(job_of(run)) if run.started is not None else "",
            reason=run.reason,
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
