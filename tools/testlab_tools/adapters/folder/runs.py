"""Runs of a folder: listed, counted, described, and why they failed; all from the index."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast
from zlib import decompress

from testlab_tools.adapters.folder.archive import FolderService, Freshness
from testlab_tools.adapters.folder.index import RUN_COLUMNS
from testlab_tools.adapters.folder.reading import Record, to_micros
from testlab_tools.capabilities import Failure, FailureArchive, Failures, Runs, UnitArchive
from testlab_tools.errors import NotFound, ServiceDown, nearest
from testlab_tools.models.lab import Case, FailedRun, Outcome, Run
from testlab_tools.models.requests import FARM_FILTERS, FILTERS, RunOutcome, RunQuery, refuse_filters, refuse_outcome
from testlab_tools.models.results import Artifact, KnownRun, RunDetail
from testlab_tools.untrusted import shorten

OUTCOMES: tuple[RunOutcome, ...] = ("pass", "fail", "error", "stopped")
_NOT_PASSED = ("fail", "error", "stopped")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"[0-9a-f]{16}")
_EXACT = ("unit", "part", "station")
_COLUMNS = ", ".join(f"r.{name}" for name in RUN_COLUMNS.split(", "))
_LENGTH = "(r.ended - r.started)"


class Row(NamedTuple):
    """A run as the index has it."""

    run_id: str
    seq: int
    outcome: str
    started: int
    ended: int
    test: str
    procedure: str
    station: str
    unit: str
    part: str
    part_revision: str
    batch: str
    revision: str
    operator: str
    reason: str
    added: int

    @property
    def started_at(self) -> datetime:
        return from_micros(self.started)

    @property
    def duration_s(self) -> float:
        return (self.ended - self.started) / 1e6


def from_micros(micros: int) -> datetime:
    """The moment of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def read_body(body: bytes) -> Record:
    """What the index keeps of a run besides its row."""
    return json.loads(decompress(body))


class FolderRuns(FolderService, UnitArchive, FailureArchive):
    """The runs of all reports, each once however many files hold it."""

    def owns_run(self, run_id: str) -> bool:
        return _ID.fullmatch(run_id) is not None

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        """`text` are words that all occur in a report's path, its notes or what failed."""
        where, params = self._condition(query)
        fresh = await self.refresh()
        place, order = _order(query)
        terms, values = [where], list(params)
        if after:
            at, _, run_id = after.rpartition(":")
            terms.append(f"({place}, r.run_id) {'>' if query.oldest_first else '<'} (?, ?)")
            values += [int(at), run_id]
        sql = f"SELECT {_COLUMNS} FROM runs AS r WHERE {' AND '.join(terms)} ORDER BY {order} LIMIT ?"
        rows = [Row(*row) for row in await self.query(self.index.rows, sql, [*values, limit + 1])]
        runs = [self.run_of(row, _position(row, query)) for row in rows[:limit]]
        more = len(rows) > limit
        if after:
            return Runs(runs, more, cut=not fresh.whole)
        counted = "SELECT r.outcome, count(*) FROM runs AS r WHERE " + where + " GROUP BY r.outcome"
        counts = dict(await self.query(self.index.rows, counted, params))
        by_outcome = cast("dict[Outcome, int]", counts)
        notes = [await self.describe_gaps(fresh), "" if counts or not fresh.whole else await self._explain_empty(query)]
        note = " ".join(filter(None, notes))
        part = not fresh.whole
        return Runs(runs, more, sum(counts.values()), part, by_outcome=by_outcome, note=note, cut=part)

    async def _explain_empty(self, query: RunQuery) -> str:
        """Of an empty list of all reports: whether there is such a test. Raises NotFound for an unknown station."""
        if query.explain_empty and query.station:
            await self._require_station(query.station)
        if not query.test:
            return ""
        where, params = self._condition(RunQuery(test=query.test))
        if await self.query(self.index.rows, f"SELECT 1 FROM runs AS r WHERE {where} LIMIT 1", params):
            return "It has runs of such a test, but none that matches the rest."
        return "No report in it is of such a test: names must match whole, in any case."

    async def _require_station(self, station: str) -> None:
        every = "SELECT DISTINCT station_folded, station FROM runs WHERE station <> ''"
        known = dict(await self.query(self.index.rows, every))
        if station.casefold() in known:
            return
        near = [shorten(known[name], 120) for name in nearest(station.casefold(), known, 3, 0.4)]
        why = "Stations written alike are beside this" if near else f"Of its {len(known)} stations none is like it"
        error = NotFound(f"{self.name} has no run of that station", why, "Names must match whole, in any case.")
        raise error.naming(station).near({str(number): name for number, name in enumerate(near, 1)})

    def _condition(self, query: RunQuery) -> tuple[str, list[object]]:
        """The condition on `runs AS r`."""
        refuse_filters(self.name, query, FILTERS.keys() - FARM_FILTERS, "It knows no jobs")
        refuse_outcome(self.name, query, OUTCOMES)
        terms, params = ["1"], list[object]()
        if query.outcome:
            terms.append("r.outcome = ?")
            params.append(query.outcome)
        for name in _EXACT:
            if asked := getattr(query, name):
                terms.append(f"r.{name}_folded = ?")
                params.append(asked.casefold())
        if query.test:
            terms.append("(r.test_folded = ? OR r.procedure_folded = ?)")
            params += [query.test.casefold()] * 2
        if query.since:
            terms.append("r.started >= ?")
            params.append(to_micros(query.since))
        if query.until:
            terms.append("r.started < ?")
            params.append(to_micros(query.until))
        for word in query.text.casefold().split():
            terms.append("r.run_id IN (SELECT run_id FROM words WHERE instr(words, ?))")
            params.append(word)
        return " AND ".join(terms), params

    def run_of(self, row: Row, position: str = "") -> Run:
        """A row as a run."""
        return Run(
            run_id=self.handle(row.run_id),
            outcome=cast(Outcome, row.outcome),
            test=row.test,
            started_at=row.started_at,
            duration_s=round(row.duration_s, 1),
            station=row.station,
            unit=row.unit,
            part=row.part,
            reason=row.reason,
            revision=row.revision,
            position=position,
        )

    async def find_run(self, run_id: str) -> tuple[Row, Record]:
        """A run, and what else is kept of it.

        Raises:
            NotFound: no report is of such a run.
            ServiceDown: not all reports have been read yet.
        """
        if not self.owns_run(run_id):
            raise self.no_such_run(run_id)
        fresh = await self.refresh()
        sql = f"SELECT {_COLUMNS}, b.body FROM runs AS r JOIN bodies AS b USING (run_id) WHERE r.run_id = ?"
        found = await self.query(self.index.rows, sql, (run_id,))
        if found:
            return Row(*found[0][:-1]), read_body(found[0][-1])
        raise self.no_such_run(run_id) if fresh.whole else self.still_reading(fresh)

    def still_reading(self, fresh: Freshness) -> ServiceDown:
        """The error where an answer needs files that are not read yet."""
        far = f"{fresh.scan.done:,} of {fresh.scan.total:,} new files"
        return ServiceDown(self.name, f"{self.name} has not read all its reports yet: {far}", "", "Call again later.")

    async def get_run(self, run_id: str) -> RunDetail:
        row, body = await self.find_run(run_id)
        cases = [Case.model_validate(case) for case in body["cases"]]
        parts = {"unit_revision": row.part_revision, "part_name": body["part_name"]}
        parts["sub_units"] = ", ".join(body["sub_units"])
        known = KnownRun(
            **self.run_of(row).model_dump(),
            user=row.operator,
            batch=row.batch,
            notes=body["notes"],
            cases_run=len(cases),
        )
        return RunDetail(
            run=known,
            cases=cases,
            tags={**{name: value for name, value in parts.items() if value}, **body["tags"]},
            artifacts=[Artifact(name=name, size=size) for name, size in await self.name_files(run_id)],
            doubles=await self._note_doubles(row),
            note=f"Of the report, not shown: {', '.join(body['dropped'])}." if body["dropped"] else "",
            next="get_failed_cases explains what failed." if row.outcome != "pass" else "",
        )

    async def name_files(self, run_id: str) -> list[tuple[str, int | None]]:
        """Names and sizes of the files that a run left."""
        return []

    async def _note_doubles(self, row: Row) -> str:
        """Whether other reports are, or may be, of the same run."""
        sql = "SELECT count(*), count(DISTINCT said) FROM sources WHERE run_id = ?"
        files, sayings = (await self.query(self.index.rows, sql, (row.run_id,)))[0]
        notes = [f"{files} files hold this run; it counts once."] if files > 1 else []
        if sayings > 1:
            notes.append("They say different things of it: this is what the first by its path says.")
        sql = (
            "SELECT run_id FROM runs WHERE unit_folded = ? AND started >= ? AND started < ? AND run_id <> ? "
            "AND (test_folded = ? OR procedure_folded = ? AND procedure <> '') AND (unit <> '' OR ended = ?) LIMIT 3"
        )
        second = row.started - row.started % 1_000_000
        names = (row.test.casefold(), row.procedure.casefold())
        params = (row.unit.casefold(), second, second + 1_000_000, row.run_id, *names, row.ended)
        if others := [self.handle(other[0]) for other in await self.query(self.index.rows, sql, params)]:
            notes.append(
                f"Another report is of the same unit, test and second, and counts besides: {', '.join(others)}."
            )
        return " ".join(notes)

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        row, body = await self.find_run(run_id)
        cases = [Case.model_validate(case) for case in body["cases"] if case["outcome"] in ("fail", "error")]
        explained = any(case.reason for case in cases)
        return [
            FailedRun(
                **self.run_of(row).model_dump(exclude={"reason"}),
                reason="" if explained or row.outcome == "pass" else body["notes"],
                cases=cases,
                cases_run=len(body["cases"]),
                artifacts=[name for name, _ in await self.name_files(run_id)],
            )
        ]

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """Where the query has no outcome, stopped runs are among them."""
        if query.job:
            return Failures([], 0)
        where, params = self._condition(query)
        fresh = await self.refresh()
        among = "" if query.outcome else f" AND r.outcome IN ({', '.join(repr(one) for one in _NOT_PASSED)})"
        sql = (
            f"SELECT {_COLUMNS}, b.body FROM runs AS r JOIN bodies AS b USING (run_id) WHERE {where}{among} "
            "ORDER BY r.started DESC, r.run_id DESC LIMIT ?"
        )
        found = await self.query(self.index.rows, sql, [*params, limit + 1])
        failures = await self.query(self._explain_rows, found[:limit])
        return Failures(failures, min(limit, len(found)), len(found) > limit or not fresh.whole)

    def _explain_rows(self, found: Sequence[Sequence[Any]]) -> list[Failure]:
        failures: list[Failure] = []
        for *cells, packed in found:
            row, body = Row(*cells), read_body(packed)
            run = self.run_of(row)
            cases = [case for case in body["cases"] if case["outcome"] in ("fail", "error")]
            failures += [Failure(run, c["case"], c["reason"], row.revision, c["attempts"] - 1) for c in cases]
            if not cases:
                failures.append(Failure(run, "", body["notes"], row.revision))
        return failures


def _order(query: RunQuery) -> tuple[str, str]:
    """What the order goes by, and the order."""
    place = _LENGTH if query.longest_first else "r.started"
    way = "ASC" if query.oldest_first else "DESC"
    return place, f"{place} {way}, r.run_id {way}"


def _position(row: Row, query: RunQuery) -> str:
    return f"{row.ended - row.started if query.longest_first else row.started}:{row.run_id}"
