"""Failed phases of many runs in API v2: read from lists that span runs, page by page within a budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from testlab_tools.adapters.tofupilot.cases import measured, reason_of
from testlab_tools.adapters.tofupilot.client import stamp
from testlab_tools.adapters.tofupilot.models import (
    Entries,
    LogEntry,
    MeasurementEntry,
    MeasurementRow,
    PhaseEntry,
    RunRow,
)
from testlab_tools.adapters.tofupilot.v2_runs import ASKED, FULL_PAGE, V2Runs
from testlab_tools.capabilities import Failure, FailureArchive, Failures
from testlab_tools.fanout import gather_all
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import FARM_FILTERS, FILTERS, RunQuery, refuse_filters
from testlab_tools.times import EARLIEST
from testlab_tools.untrusted import shorten

LAST_ATTEMPTS = {"exclude_retries": "true"}
"""Sent with every list of phases and measurements: a phase retried within a run counts once, with its last attempt, as
in `get_failed_cases`; one that passed in the end is no failure. The vendor's client 2.26.1 sends it unasked; what a
server does without it is not documented."""
_UNLISTED = frozenset({"multidimensional", "json"})
"""Types of measurement whose values `GET /v2/measurements` leaves out."""
_NEWEST_FIRST = {"sort_by": "started_at", "sort_order": "desc"}
OLDER = "Older servers do not list these; get_failed_cases explains runs one by one."
MAX_PAGES = 150
"""Of phases and measurements, for one question."""
MAX_LOG_PAGES = 60
MAX_NAMED = 50
"""Serial numbers or run ids in one request: they stand in its URL."""
LOG_UNREAD = "Not known: the logs hold more errors than are read for one question"

NOT_PASSED = [*ASKED["fail"], *ASKED["error"], *ASKED["stopped"]]
_SHARED = ("serial_numbers", "part_numbers", "created_by_station_ids")
_MARGIN = timedelta(seconds=1)
_EVER = datetime.max.replace(tzinfo=UTC)


E = TypeVar("E")
F = TypeVar("F", PhaseEntry, MeasurementEntry)
FailedPhases = list[tuple[PhaseEntry, str]]
"""A run's failed phases in order of time, each with what its failing measurements say: value against limits."""
Left = Iterator[int]
"""Pages that may still be asked for: the next of them is taken before each request."""


class Listed(NamedTuple, Generic[E]):
    """What a list held; `cut`: there was more than the pages let through."""

    entries: list[E]
    cut: bool


class V2Failures(V2Runs, FailureArchive):
    """Failed phases from `GET /v2/phases`, why from `/v2/measurements` and `/v2/logs`, their runs from `/v2/runs`."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """Where the query has no outcome, aborted runs are among them, with outcome `stopped`."""
        if query.job:
            return Failures([], 0)
        refuse_filters(self.name, query, FILTERS.keys() - FARM_FILTERS, "It knows no jobs")
        params = await self.params_of(query)
        params["outcomes"] = ASKED[query.outcome] if query.outcome else NOT_PASSED
        rows, more = await self._newest(query, params, limit)
        found, unread = await self.failures_of(rows, params)
        return Failures(found, len(rows), more, len(unread))

    async def failures_of(self, rows: Sequence[RunRow], params: dict[str, Any]) -> tuple[list[Failure], set[str]]:
        """The failures of runs, which `params` are of, and the ids of those whose cases could not all be read: each of
        them is one failure without a case."""
        reading = await self._reading(rows, params)
        words = await self._words([row for row in rows if _unexplained(reading[row.id])])
        found: list[Failure] = []
        for row in rows:
            told = reading[row.id]
            said = "" if told is None else words.get(row.id) or row.docstring or ""
            found += _failures_of(row, self.run_of(row), told or [], said)
        return found, {run_id for run_id, told in reading.items() if told is None}

    async def _newest(self, query: RunQuery, params: dict[str, Any], limit: int) -> tuple[list[RunRow], bool]:
        """The newest `limit` runs, and whether there are others. One that is listed again, because a newer one has
        come before it meanwhile, counts once."""
        params = params | {"sort_order": "desc", "limit": min(limit, FULL_PAGE)}
        rows: dict[str, RunRow] = {}
        cursor = ""
        while True:
            page = await self.run_page(params, cursor)
            for row in page.data:
                if query.contains(row.started_at):
                    rows.setdefault(row.id, row)
            cursor = page.next_cursor
            if not cursor or len(rows) >= limit:
                return list(rows.values())[:limit], bool(cursor) or len(rows) > limit

    async def _reading(self, rows: Sequence[RunRow], params: dict[str, Any]) -> dict[str, FailedPhases | None]:
        """All failed phases of each run, by its id; None where they are not known whole. The lists are of one procedure
        each."""
        groups: defaultdict[str, list[RunRow]] = defaultdict(list)
        for row in rows:
            groups[row.procedure.id].append(row)
        left = iter(range(MAX_PAGES))
        read = await gather_all(*(self._of_procedure(group, params, left) for group in groups.values()))
        return {run_id: told for reading in read for run_id, told in reading.items()}

    async def _of_procedure(
        self, rows: Sequence[RunRow], params: dict[str, Any], left: Left
    ) -> dict[str, FailedPhases | None]:
        shared = _bounds(rows) | {key: params[key] for key in _SHARED if key in params}
        serials = sorted({row.unit.serial_number for row in rows})
        if len(serials) <= MAX_NAMED:
            shared["serial_numbers"] = serials
        outcomes = params["outcomes"]
        failed = shared | {"outcomes": ["FAIL", "ERROR"], "run_outcomes": outcomes}
        broken = shared | {"measurement_outcomes": ["FAIL"], "outcomes": outcomes}
        phases, failing = await gather_all(
            self._last_attempts("phases", Entries[PhaseEntry], failed, left),
            self._last_attempts("measurements", Entries[MeasurementEntry], broken, left),
        )
        until = max(_read_until(phases), _read_until(failing))
        told = _phases_by_run(phases.entries, failing.entries)
        return {row.id: None if row.started_at <= until else told.get(row.id, []) for row in rows}

    async def _words(self, rows: Sequence[RunRow]) -> dict[str, str]:
        """The last error in each run's log, of those that have one."""
        left = iter(range(MAX_LOG_PAGES))
        ids = [row.id for row in rows]
        chunks = [ids[n : n + MAX_NAMED] for n in range(0, len(ids), MAX_NAMED)]
        listed = await gather_all(*(self._listed("logs", Entries[LogEntry], _errors_of(ids), left) for ids in chunks))
        words: dict[str, str] = {}
        for chunk, lines in zip(chunks, listed, strict=True):
            said = {line.run.id: line.message for line in lines.entries}
            words |= dict.fromkeys(chunk, LOG_UNREAD) if lines.cut else said
        return words

    async def _last_attempts(self, noun: str, shape: type[Entries[F]], params: dict[str, Any], left: Left) -> Listed[F]:
        """Last attempts at one procedure's phases, or their measurements: newest first, none twice."""
        listed = await self._listed(noun, shape, params | LAST_ATTEMPTS | _NEWEST_FIRST, left)
        found = {entry.id: entry for entry in listed.entries if entry.is_final_attempt}
        return Listed(list(found.values()), listed.cut)

    async def _listed(self, noun: str, shape: type[Entries[E]], params: dict[str, Any], left: Left) -> Listed[E]:
        found: list[E] = []
        cursor = ""
        for _ in left:
            page = await self.page(noun, shape, {"limit": FULL_PAGE, **params}, cursor, unlisted=OLDER)
            found += page.data
            if not (cursor := page.next_cursor):
                return Listed(found, cut=False)
        return Listed(found, cut=True)


def _bounds(rows: Sequence[RunRow]) -> dict[str, Any]:
    """The runs' procedure, and a span that holds both the runs' and their phases' starts: the documentation does not
    say which of them `started_after` and `started_before` go by."""
    return {
        "procedure_id": rows[0].procedure.id,
        "started_after": stamp(min(row.started_at for row in rows) - _MARGIN),
        "started_before": stamp(max(max(row.started_at, row.ended_at) for row in rows) + _MARGIN),
    }


def _read_until(listed: Listed[PhaseEntry] | Listed[MeasurementEntry]) -> datetime:
    """The start of the last entry of a list that was cut: whatever run began after it has been read whole."""
    if not listed.cut:
        return EARLIEST
    starts = [entry.started_at for entry in listed.entries if entry.started_at]
    return starts[-1] if starts else _EVER


def _unexplained(told: FailedPhases | None) -> bool:
    """Whether a run's log has to say why: no phase of it failed, or one did without a failing measurement."""
    return told is not None and (not told or any(not reason for _, reason in told))


def _errors_of(run_ids: list[str]) -> dict[str, Any]:
    """The lines of logs that say errors, oldest first, as they were written."""
    order = {"sort_by": "created_at", "sort_order": "asc"}
    return {"run_ids": run_ids, "levels": ["ERROR", "CRITICAL"], **order}


def _phases_by_run(phases: Iterable[PhaseEntry], failing: Iterable[MeasurementEntry]) -> dict[str, FailedPhases]:
    """What failed in each run, by its id."""
    by_run: defaultdict[str, list[PhaseEntry]] = defaultdict(list)
    measurements: defaultdict[str, list[MeasurementEntry]] = defaultdict(list)
    for phase in phases:
        by_run[phase.run_id].append(phase)
    for measurement in failing:
        measurements[measurement.run_id].append(measurement)
    return {run_id: _explain_phases(of_run, measurements[run_id]) for run_id, of_run in by_run.items()}


def _failures_of(row: RunRow, run: Run, told: FailedPhases, said: str) -> list[Failure]:
    """One failure per failed phase; for a run without any, one with an empty case. `said` stands where no measurement
    says why: the last error of the run's log, or its notes."""
    revision = shorten(row.version)
    found = [
        Failure(run, shorten(phase.name), shorten(reason or said), revision, phase.retry_count)
        for phase, reason in told
    ]
    return found or [Failure(run, "", shorten(said), revision)]


def _explain_phases(phases: Sequence[PhaseEntry], failing: Collection[MeasurementEntry]) -> FailedPhases:
    ordered = sorted(phases, key=lambda phase: phase.started_at or EARLIEST)
    return [(phase, "; ".join(_said(m) for m in _within(phase, phases, failing))) for phase in ordered]


def _within(
    phase: PhaseEntry, phases: Sequence[PhaseEntry], failing: Collection[MeasurementEntry]
) -> list[MeasurementEntry]:
    """A phase's measurements: they name it, and say no sequence; namesakes are told apart by when they began."""
    named = [m for m in failing if m.phase_name == phase.name]
    if sum(other.name == phase.name for other in phases) == 1:
        return named
    return [m for m in named if m.started_at == phase.started_at]


def _said(entry: MeasurementEntry) -> str:
    if entry.measurement_type in _UNLISTED:
        return f"{entry.measurement_name} does not keep its limits"
    values = (entry.value, entry.bool_value, entry.string_value)
    row = MeasurementRow(
        name=entry.measurement_name,
        outcome=entry.measurement_outcome,
        measured_value=next((value for value in values if value is not None), None),
        units=entry.units,
        validators=entry.validators,
    )
    return reason_of([measured(row)])
