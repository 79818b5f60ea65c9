"""The failed phases of many runs in API v2: listed by the page, never asked for run by run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from testlab_tools.capabilities import Failure, FailureArchive, Failures
from testlab_tools.questions import RunQuery
from testlab_tools.tofupilot.models import RunRow
from testlab_tools.tofupilot.reasons import Told, failures_of, last_words, told_of
from testlab_tools.tofupilot.v2 import ASKED, V2Runs
from testlab_tools.tofupilot.v2_body import stamp
from testlab_tools.tofupilot.v2_entries import FULL_PAGE, Allowance, Listed, Started, V2Entries
from testlab_tools.together import together

MOST_PAGES = 150
"""Of phases and measurements, for one question."""
MOST_LOG_PAGES = 60
MOST_NAMED = 50
"""Serial numbers or run ids in one request: they stand in its URL."""
LOG_UNREAD = "Not known: the logs hold more errors than are read for one question"

_NOT_PASSED = [*ASKED["fail"], *ASKED["error"], *ASKED["stopped"]]
_SHARED = ("serial_numbers", "part_numbers", "created_by_station_ids")
_MARGIN = timedelta(seconds=1)
_EVER = datetime.max.replace(tzinfo=UTC)


class Reading(NamedTuple):
    """What failed, by run id; of the runs in `unread` it is not known whole."""

    told: dict[str, Told]
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
        left = Allowance(MOST_PAGES)
        read = await together(*(self._of_procedure(group, params, left) for group in groups.values()))
        told = {run: phases for reading in read for run, phases in reading.told.items()}
        return Reading(told, frozenset[str]().union(*(reading.unread for reading in read)))

    async def _of_procedure(self, rows: Sequence[RunRow], params: dict[str, Any], left: Allowance) -> Reading:
        shared = _bounds(rows) | {key: params[key] for key in _SHARED if key in params}
        serials = sorted({row.unit.serial_number for row in rows})
        if len(serials) <= MOST_NAMED:
            shared["serial_numbers"] = serials
        outcomes = params["outcomes"]
        phases, failing = await together(
            self.phases(shared | {"outcomes": ["FAIL", "ERROR"], "run_outcomes": outcomes}, left),
            self.measurements(shared | {"measurement_outcomes": ["FAIL"], "outcomes": outcomes}, left),
        )
        until = max(_read_until(phases), _read_until(failing))
        unread = frozenset(row.id for row in rows if row.started_at <= until)
        return Reading(told_of(phases.entries, failing.entries), unread)

    async def _words(self, rows: Sequence[RunRow]) -> dict[str, str]:
        """The last error in each run's log, of those that have one."""
        left = Allowance(MOST_LOG_PAGES)
        ids = [row.id for row in rows]
        chunks = [ids[n : n + MOST_NAMED] for n in range(0, len(ids), MOST_NAMED)]
        listed = await together(*(self.log_lines(_errors_of(chunk), left) for chunk in chunks))
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


def _unexplained(told: Told) -> bool:
    """Whether a run's log has to say why: no phase of it failed, or one did without a failing measurement."""
    return not told or any(not reason for _, reason in told)


def _errors_of(run_ids: list[str]) -> dict[str, Any]:
    return {"run_ids": run_ids, "levels": ["ERROR", "CRITICAL"]}


_EVER_BEFORE = datetime.min.replace(tzinfo=UTC)
