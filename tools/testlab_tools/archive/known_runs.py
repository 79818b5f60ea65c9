"""Runs and failures of a service, answered from the history that is held of it, as the service would answer.

What history does not have, or may read otherwise than the service (parts of names, filters of its own), the service is
asked itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from testlab_tools.archive.archive import HistoryArchive, ServiceHistory, key_of
from testlab_tools.archive.reading import FURTHER_SECONDS, Scope, as_run
from testlab_tools.archive.schema import Run as Row
from testlab_tools.archive.store import HistoryDamaged, HistoryView
from testlab_tools.archive.sync_state import MAX_RUNNING
from testlab_tools.capabilities import Failure, FailureArchive, Failures, Health, HistoryFeed, RunArchive, Runs
from testlab_tools.errors import LabError
from testlab_tools.fanout import gather_all
from testlab_tools.lab import Lab
from testlab_tools.models.lab import FailedRun, Outcome, Run
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import RunDetail
from testlab_tools.times import EARLIEST

_OUTCOMES: Mapping[str, Outcome] = {
    "pass": "pass",
    "fail": "fail",
    "error": "error",
    "timeout": "error",
    "aborted": "stopped",
    "skip": "skip",
    "stopped": "stopped",
}
_EXACT = ("test", "station", "unit", "part")
WATCHED = timedelta(days=6)
"""A run that has not ended and is older is not looked for at each reading: it may have ended since."""
_COLUMNS = ", ".join(f"r.{name}" for name in Row._fields)


class KnownRuns(FailureArchive):
    """Stands in for a service whose history has just been brought up to date."""

    def __init__(self, feed: HistoryFeed, view: HistoryView, held: ServiceHistory) -> None:
        super().__init__(feed.name)
        self.kind = feed.kind
        self._feed = feed
        self._view = view
        self._held = held

    async def probe(self) -> Health:
        return await self._feed.probe()

    async def get_run(self, run_id: str) -> RunDetail:
        return await self._feed.get_run(run_id)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        return await self._feed.get_failures(run_id)

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        """Those of exactly the query's test, where the service may give those of tests that contain its name, too."""
        try:
            found = None if after else await self._find_runs(query, limit)
        except HistoryDamaged:
            found = None
        return found or await self._feed.list_runs(query, limit, after)

    async def _find_runs(self, query: RunQuery, limit: int) -> Runs | None:
        endings = [ending for ending, outcome in _OUTCOMES.items() if query.outcome in ("", outcome)]
        running, cut = self._find_running(query), not self._held.covers(query.since)
        if query.longest_first or running is None or (cut and query.oldest_first):
            return None
        where = await self._where(replace(query, since=self._held.held_since) if cut else query, endings)
        if where is None:
            return None
        order = "" if query.oldest_first else "DESC"
        rows = await self._view.rows(
            f"SELECT {_COLUMNS} FROM runs AS r WHERE {where[0]} ORDER BY r.started_at {order}, r.run_id {order} "
            f"LIMIT {limit + 1}",
            where[1],
        )
        if cut and len(rows) <= limit:  # what is held does not reach as far as the page does
            return None
        found = [_run(as_run(row)) for row in rows] + running
        found.sort(key=lambda run: (run.started_at, run.run_id), reverse=not query.oldest_first)
        return Runs(found[:limit], more=len(found) > limit)

    def _find_running(self, query: RunQuery) -> list[Run] | None:
        """Those of the runs that had not ended just now; None where one of them is not looked at again each time."""
        if query.outcome not in ("", "running"):
            return []
        if len(self._held.running) >= MAX_RUNNING:
            return None
        asked = {name: getattr(query, name) for name in _EXACT if getattr(query, name)}
        in_any_case = [
            run
            for run in self._held.running
            if query.contains(run.started_at)
            and all(getattr(run, name).casefold() == text.casefold() for name, text in asked.items())
        ]
        found = [run for run in in_any_case if all(getattr(run, name) == text for name, text in asked.items())]
        watched = all(run.started_at > datetime.now(UTC) - WATCHED for run in found)
        return found if watched and found == in_any_case else None

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        try:
            found = await self._find_failures(query, limit)
        except HistoryDamaged:
            found = None
        if found is not None:
            return found
        assert isinstance(self._feed, FailureArchive)
        return await self._feed.list_failures(query, limit)

    async def _find_failures(self, query: RunQuery, limit: int) -> Failures | None:
        endings = [one for one in self._feed.failing if query.outcome in ("", _OUTCOMES[one])]
        where = await self._where(query, endings)
        if where is None or (query.test and await self._is_part(query.test)):
            return None
        newest = f"SELECT {_COLUMNS} FROM runs AS r WHERE {where[0]} ORDER BY r.started_at DESC, r.run_id DESC"
        rows = await self._view.rows(
            f"WITH newest AS ({newest} LIMIT {limit + 1}) SELECT {_COLUMNS}, f.case_name, f.reason, f.attempts "
            "FROM newest AS r LEFT JOIN failures AS f ON f.run_id = r.run_id "
            "ORDER BY r.started_at DESC, r.run_id DESC",
            where[1],
        )
        runs: dict[str, Run] = {}
        failures: list[Failure] = []
        unread = 0
        for *columns, case, reason, attempts in rows:
            row = as_run(columns)
            if row.run_id not in runs and len(runs) == limit:
                return Failures(failures, limit, True, unread)
            run = runs.setdefault(row.run_id, _run(row))
            unread += case is None
            failures.append(Failure(run, case or "", reason or "", run.revision, (attempts or 1) - 1))
        return Failures(failures, len(runs), False, unread)

    async def _where(self, query: RunQuery, endings: Sequence[str]) -> tuple[str, dict[str, object]] | None:
        """The condition on `runs AS r`; None where history cannot answer the query as the service would."""
        if query.job or query.text or query.category or query.user or not self._held.covers(query.since):
            return None
        terms = [f"r.ended_as IN ({', '.join(repr(ending) for ending in endings)})" if endings else "1 = 0"]
        params: dict[str, object] = {"since": query.since or EARLIEST}
        terms.append("r.started_at >= $since")
        if query.until:
            terms.append("r.started_at < $until")
            params["until"] = query.until
        for column in _EXACT:
            if asked := getattr(query, column):
                if not await self._has(column, asked):
                    return None
                terms.append(f"r.{column} = ${column}")
                params[column] = asked
        return " AND ".join(terms), params

    async def _has(self, column: str, asked: str) -> bool:
        """Whether there is such a name, and no other of other case."""
        found = await self._view.rows(
            f"SELECT DISTINCT {column} FROM runs WHERE lower({column}) = lower($asked)", {"asked": asked}
        )
        return found == [(asked,)]

    async def _is_part(self, test: str) -> bool:
        """Whether other tests' names contain it: some services give their failures as well."""
        sql = "SELECT count(DISTINCT test) FROM runs WHERE position(lower($test) IN lower(test)) > 0"
        return (await self._view.rows(sql, {"test": test})) != [(1,)]


async def use_history(lab: Lab, archives: Sequence[RunArchive], since: datetime, seconds: float) -> list[Any]:
    """The archives; in place of each whose history is held from `since` on, and could be brought up to date in time,
    one that answers from it."""
    archive = lab.archive
    if archive is None:
        return list(archives)
    return list(await gather_all(*(_known(archive, one, since, seconds) for one in archives)))


async def _known(archive: HistoryArchive, service: RunArchive, since: datetime, seconds: float) -> RunArchive:
    if not isinstance(service, HistoryFeed) or not isinstance(service, FailureArchive):
        return service
    try:
        _, state = await archive.read_state(service)
        if not state.mark or not state.covers(since):
            return service
        held = await archive.refresh(service, Scope(needed_since=since), max(seconds, FURTHER_SECONDS))
    except LabError:
        return service
    if held.error or held.busy or not held.covers(since):
        return service
    return KnownRuns(service, archive.store.view([await key_of(service)]), held)


def _run(row: Row) -> Run:
    """A row as `list_runs` has it."""
    return Run(
        run_id=row.run_id,
        outcome=_OUTCOMES[row.ended_as],
        test=row.test,
        started_at=row.started_at,
        duration_s=round(row.duration_s or 0, 1),
        station=row.station,
        unit=row.unit,
        part=row.part,
        sample=row.sample,
        job_uid=row.job_uid,
        reason=row.reason,
        revision=row.revision,
        attempt=row.attempt or 0,
    )
