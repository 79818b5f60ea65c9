"""Failed phases of many runs in API v2: read from lists that span runs, page by page within a budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from testlab_tools.adapters.tofupilot.cases import FailedPhases, failures_of, last_words, phases_by_run
from testlab_tools.adapters.tofupilot.models import Entries, LogEntry, MeasurementEntry, PhaseEntry, RunRow
from testlab_tools.adapters.tofupilot.v2_body import stamp
from testlab_tools.adapters.tofupilot.v2_client import V2Api
from testlab_tools.adapters.tofupilot.v2_runs import ASKED, V2Runs
from testlab_tools.capabilities import Failure, FailureArchive, Failures
from testlab_tools.errors import NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.http.response import decode
from testlab_tools.models.requests import RunQuery

FULL_PAGE = 100
LAST_ATTEMPTS = {"exclude_retries": "true"}
"""Sent with every list of phases and measurements: a phase retried within a run counts once, with its last attempt, as
in `get_failed_cases`; one that passed in the end is no failure. The vendor's client 2.26.1 sends it unasked; what a
server does without it is not documented."""
_OLDER = "Older servers do not list these; get_failed_cases explains runs one by one."

E = TypeVar("E", covariant=True)


class Started(Protocol):
    """A phase or measurement; some do not say when they began."""

    @property
    def started_at(self) -> datetime | None: ...


@dataclass
class PageBudget:
    """How many more pages may be asked for."""

    pages: int

    def take(self) -> bool:
        """Whether there was one left."""
        self.pages -= 1
        return self.pages >= 0


class Listed(NamedTuple, Generic[E]):
    """What a list held, none twice; `cut`: there was more than the allowance let through."""

    entries: list[E]
    cut: bool


class V2Entries(V2Api):
    """`GET /v2/phases`, `/v2/measurements` and `/v2/logs`."""

    async def phases(self, params: dict[str, Any], left: PageBudget) -> Listed[PhaseEntry]:
        """Last attempts of one procedure's phases, newest first."""
        listed = await self._listed("phases", params | LAST_ATTEMPTS | _NEWEST_FIRST, Entries[PhaseEntry], left)
        found = {entry.id: entry for entry in listed.entries if entry.is_final_attempt}
        return Listed(list(found.values()), listed.cut)

    async def measurements(self, params: dict[str, Any], left: PageBudget) -> Listed[MeasurementEntry]:
        """Measurements of last attempts at one procedure's phases, newest first."""
        shape = Entries[MeasurementEntry]
        listed = await self._listed("measurements", params | LAST_ATTEMPTS | _NEWEST_FIRST, shape, left)
        found = {entry.id: entry for entry in listed.entries if entry.is_final_attempt}
        return Listed(list(found.values()), listed.cut)

    async def log_lines(self, params: dict[str, Any], left: PageBudget) -> Listed[LogEntry]:
        """Lines of logs, oldest first, as they were written."""
        order = {"sort_by": "created_at", "sort_order": "asc"}
        return await self._listed("logs", params | order, Entries[LogEntry], left)

    async def _listed(self, noun: str, params: dict[str, Any], shape: type[Entries[E]], left: PageBudget) -> Listed[E]:
        found: list[E] = []
        at: dict[str, Any] = {}
        while left.take():
            reply = await self.client.get(f"/api/v2/{noun}", {"limit": FULL_PAGE, **params, **at})
            if reply.status == 404:
                raise NotFound(f"{self.name} has no such list of {noun}", "", _OLDER)
            page = decode(self.check(reply, f"list of {noun}"), shape)
            found += page.data
            if not page.meta.has_more or page.meta.next_cursor is None:
                return Listed(found, cut=False)
            at = {"cursor": page.meta.next_cursor}
        return Listed(found, cut=True)


_NEWEST_FIRST = {"sort_by": "started_at", "sort_order": "desc"}


MAX_PAGES = 150
"""Of phases and measurements, for one question."""
MAX_LOG_PAGES = 60
MAX_NAMED = 50
"""Serial numbers or run ids in one request: they stand in its URL."""
LOG_UNREAD = "Not known: the logs hold more errors than are read for one question"

_NOT_PASSED = [*ASKED["fail"], *ASKED["error"], *ASKED["stopped"]]
_SHARED = ("serial_numbers", "part_numbers", "created_by_station_ids")
_MARGIN = timedelta(seconds=1)
_EVER = datetime.max.replace(tzinfo=UTC)


class Reading(NamedTuple):
    """What failed, by run id; of the runs in `unread` it is not known whole."""

    told: dict[str, FailedPhases]
    unread: frozenset[str]


class V2Failures(V2Runs, V2Entries, FailureArchive):
    """Failed phases from `GET /v2/phases`, why from `/v2/measurements` and `/v2/logs`, their runs from `/v2/runs`."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """Where the query has no outcome, aborted runs are among them, with outcome `stopped`."""
        if query.job:
            return Failures([], 0)
        params = await self._params(query)
        params["outcomes"] = ASKED[query.outcome] if query.outcome else _NOT_PASSED
        rows, more = await self._newest(params, limit)
        reading = await self._reading(rows, params)
        read = [row for row in rows if row.id not in reading.unread]
        words = await self._words([row for row in read if _unexplained(reading.told.get(row.id, []))])
        found: list[Failure] = []
        for row in rows:
            run, known = self._run(row, ""), row.id not in reading.unread
            told, said = reading.told.get(row.id, []), words.get(row.id) or row.docstring or ""
            found += failures_of(row, run, told, said) if known else failures_of(row, run, [], "")
        return Failures(found, len(rows), more, len(reading.unread))

    async def _newest(self, params: dict[str, Any], limit: int) -> tuple[list[RunRow], bool]:
        """The newest `limit` runs, and whether there are others. One that is listed again, because a newer one has
        come before it meanwhile, counts once."""
        params = params | {"sort_order": "desc", "limit": min(limit, FULL_PAGE)}
        rows: dict[str, RunRow] = {}
        cursor = ""
        while True:
            page = await self.run_page(params, cursor)
            for row in page.data:
                rows.setdefault(row.id, row)
            ended = not page.meta.has_more or page.meta.next_cursor is None
            if ended or len(rows) >= limit:
                return list(rows.values())[:limit], not ended or len(rows) > limit
            cursor = str(page.meta.next_cursor)

    async def _reading(self, rows: Sequence[RunRow], params: dict[str, Any]) -> Reading:
        """All failed phases of the runs: both lists are of one procedure each."""
        groups: defaultdict[str, list[RunRow]] = defaultdict(list)
        for row in rows:
            groups[row.procedure.id].append(row)
        left = PageBudget(MAX_PAGES)
        read = await gather_all(*(self._of_procedure(group, params, left) for group in groups.values()))
        told = {run: phases for reading in read for run, phases in reading.told.items()}
        return Reading(told, frozenset[str]().union(*(reading.unread for reading in read)))

    async def _of_procedure(self, rows: Sequence[RunRow], params: dict[str, Any], left: PageBudget) -> Reading:
        shared = _bounds(rows) | {key: params[key] for key in _SHARED if key in params}
        serials = sorted({row.unit.serial_number for row in rows})
        if len(serials) <= MAX_NAMED:
            shared["serial_numbers"] = serials
        outcomes = params["outcomes"]
        phases, failing = await gather_all(
            self.phases(shared | {"outcomes": ["FAIL", "ERROR"], "run_outcomes": outcomes}, left),
            self.measurements(shared | {"measurement_outcomes": ["FAIL"], "outcomes": outcomes}, left),
        )
        until = max(_read_until(phases), _read_until(failing))
        unread = frozenset(row.id for row in rows if row.started_at <= until)
        return Reading(phases_by_run(phases.entries, failing.entries), unread)

    async def _words(self, rows: Sequence[RunRow]) -> dict[str, str]:
        """The last error in each run's log, of those that have one."""
        left = PageBudget(MAX_LOG_PAGES)
        ids = [row.id for row in rows]
        chunks = [ids[n : n + MAX_NAMED] for n in range(0, len(ids), MAX_NAMED)]
        listed = await gather_all(*(self.log_lines(_errors_of(chunk), left) for chunk in chunks))
        words: dict[str, str] = {}
        for chunk, lines in zip(chunks, listed, strict=True):
            words |= dict.fromkeys(chunk, LOG_UNREAD) if lines.cut else last_words(lines.entries)
        return words


def _bounds(rows: Sequence[RunRow]) -> dict[str, Any]:
    """The runs' procedure, and a span that holds both the runs' and their phases' starts: the documentation does not
    say which of them `started_after` and `started_before` go by."""
    return {
        "procedure_id": rows[0].procedure.id,
        "started_after": stamp(min(row.started_at for row in rows) - _MARGIN),
        "started_before": stamp(max(max(row.started_at, row.ended_at) for row in rows) + _MARGIN),
    }


def _read_until(listed: Listed[Started]) -> datetime:
    """The start of the last entry of a list that was cut: whatever run began after it has been read whole."""
    if not listed.cut:
        return _EVER_BEFORE
    starts = [entry.started_at for entry in listed.entries if entry.started_at]
    return starts[-1] if starts else _EVER


def _unexplained(told: FailedPhases) -> bool:
    """Whether a run's log has to say why: no phase of it failed, or one did without a failing measurement."""
    return not told or any(not reason for _, reason in told)


def _errors_of(run_ids: list[str]) -> dict[str, Any]:
    return {"run_ids": run_ids, "levels": ["ERROR", "CRITICAL"]}


_EVER_BEFORE = datetime.min.replace(tzinfo=UTC)
