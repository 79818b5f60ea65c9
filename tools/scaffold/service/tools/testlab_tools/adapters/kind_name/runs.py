"""KindName as an archive of runs: a capability that only reads."""

from __future__ import annotations

from testlab_tools.adapters.kind_name.client import KindNameApi
from testlab_tools.adapters.kind_name.models import RunRow
from testlab_tools.capabilities import RunArchive, Runs
from testlab_tools.errors import NotFound
from testlab_tools.http.response import decode
from testlab_tools.models.lab import Case, FailedRun, Outcome, Run
from testlab_tools.models.requests import RunQuery, refuse_filters
from testlab_tools.models.results import KnownRun, RunDetail

OUTCOMES: dict[str, Outcome] = {"passed": "pass", "failed": "fail"}


class KindNameRuns(KindNameApi, RunArchive):
    """Lists runs and explains them."""

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        refuse_filters(self.name, query, {"outcome", "test", "station", "since", "until"})
        matching = [self._run(row) for row in await self._run_rows() if _matches(row, query)]
        matching.sort(key=lambda run: run.position, reverse=not query.oldest_first)
        left = [run for run in matching if not after or (run.position > after) == query.oldest_first]
        left = [run for run in left if run.position != after]
        return Runs(left[:limit], more=len(left) > limit, total=len(matching))

    async def get_run(self, run_id: str) -> RunDetail:
        run = await self._find_run(run_id)
        return RunDetail(run=KnownRun(**run.model_dump(), cases_run=1), cases=[_case(run)])

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        run = await self._find_run(run_id)
        cases = [] if run.outcome == "pass" else [_case(run)]
        return [FailedRun(**run.model_dump(), cases=cases, cases_run=1)]

    def owns_run(self, run_id: str) -> bool:
        return run_id.startswith("run-")

    async def _find_run(self, run_id: str) -> Run:
        found = next((self._run(row) for row in await self._run_rows() if row.id == run_id), None)
        if found is None:
            raise NotFound(f"{self.name} has no such run", "", "list_runs shows the runs there are.")
        return found

    async def _run_rows(self) -> list[RunRow]:
        return decode(self.checked(await self.client.get("/api/runs"), "list of runs"), list[RunRow])

    def _run(self, row: RunRow) -> Run:
        return Run(
            run_id=self.handle(row.id),
            outcome=OUTCOMES[row.result],
            test=row.test,
            started_at=row.started,
            station=row.node,
            reason=row.message,
            position=f"{row.started.timestamp():017.6f} {row.id}",
        )


def _matches(row: RunRow, query: RunQuery) -> bool:
    return (
        query.outcome in ("", OUTCOMES[row.result])
        and query.test in ("", row.test)
        and query.station in ("", row.node)
        and (query.since is None or row.started >= query.since)
        and (query.until is None or row.started < query.until)
    )


def _case(run: Run) -> Case:
    return Case(case=run.test, outcome=run.outcome, reason=run.reason)
