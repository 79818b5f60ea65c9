"""The history of a folder, from its index: runs by their start, or in the order in which they were read; why they
failed; what was measured."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from testlab_tools.adapters.folder.archive import describe_left_out
from testlab_tools.adapters.folder.index import RUN_COLUMNS, count_contents
from testlab_tools.adapters.folder.reading import to_micros
from testlab_tools.adapters.folder.runs import FolderRuns, Row, from_micros, read_body
from testlab_tools.archive.schema import EndedAs, Failure, Measurement, Run
from testlab_tools.capabilities import FailuresRead, HistoryFeed, HistoryPage, MeasurementPage, Stretch
from testlab_tools.capabilities.history import ENDLESS
from testlab_tools.times import EARLIEST
from testlab_tools.untrusted import shorten

PAGE = 2_000
MEASURED = 500
"""Runs whose measurements make a page."""
MAX_IDS = 500
_TICK = timedelta(microseconds=1)
_COLUMNS = ", ".join(f"r.{name}" for name in RUN_COLUMNS.split(", "))


class FolderHistory(FolderRuns, HistoryFeed):
    """All runs of a folder, their failed cases and measurements. Nothing of it is told before all files were read."""

    has_measurements = True
    failing = ("fail", "error", "stopped")

    async def identify(self) -> str:
        """Another for the same path on another machine."""
        return sha256(f"{socket.gethostname()}\n{self.key}".encode()).hexdigest()[:24]

    async def _await_whole(self) -> None:
        """Read all files, however long it takes: a part of them would be taken for all."""
        while not (await self.refresh(None)).whole:
            pass
        contents = await self.query(count_contents, self.index)
        self.left_out = describe_left_out(contents) if contents.left_out else ""

    async def read_back(self, resume: str = "") -> AsyncGenerator[HistoryPage, None]:
        """Each page holds all runs of its stretch."""
        await self._await_whole()
        mark = await self._mark()
        edge = int(resume) if resume else None
        while True:
            rows = await self._page(edge)
            more = len(rows) >= PAGE
            oldest = rows[-1].started if rows else None
            back_to = from_micros(oldest) if more and oldest is not None else EARLIEST
            yield HistoryPage(
                [self._history_run(row) for row in rows],
                Stretch(back_to, ENDLESS if edge is None else from_micros(edge)),
                back_to,
                mark,
                str(oldest) if more else "",
            )
            if not more:
                return
            edge = oldest

    async def _page(self, edge: int | None) -> list[Row]:
        """The newest runs that began before an edge, with all that began at the moment of the last of them."""
        before = "" if edge is None else "WHERE r.started < :edge"
        sql = f"SELECT {_COLUMNS} FROM runs AS r {before} ORDER BY r.started DESC, r.run_id DESC LIMIT {PAGE}"
        rows = [Row(*row) for row in await self.query(self.index.rows, sql, {"edge": edge})]
        if len(rows) < PAGE:
            return rows
        last = rows[-1]
        sql = f"SELECT {_COLUMNS} FROM runs AS r WHERE r.started = ? AND r.run_id < ? ORDER BY r.run_id DESC"
        rest = await self.query(self.index.rows, sql, (last.started, last.run_id))
        return rows + [Row(*row) for row in rest]

    async def _mark(self) -> str:
        """How far the index has counted, and its runs until there; its epoch changes when it is made anew."""
        epoch, seq = await self.query(self.index.fact, "epoch"), await self.query(self.index.fact, "seq")
        return f"{epoch} {seq} {await self._count_until(int(seq))}"

    async def _count_until(self, seq: int) -> int:
        ((count,),) = await self.query(self.index.rows, "SELECT count(*) FROM runs WHERE seq <= ?", (seq,))
        return int(count)

    async def read_new(self, mark: str) -> AsyncGenerator[HistoryPage, None]:
        """In the order in which they were read. All, the newest first, where a run that was there at `mark` is gone or
        other than it was, or the index was made anew: what is held besides is then known to be deleted."""
        await self._await_whole()
        now = await self._mark()
        epoch, seq, known = (*mark.split(), "", "")[:3]
        same = bool(known) and epoch == now.split()[0]
        if not same or await self._count_until(int(seq)) != int(known):
            async with aclosing(self.read_back()) as pages:
                async for page in pages:
                    yield page._replace(mark="" if page.resume else now)
            return
        at = int(seq)
        sql = f"SELECT {_COLUMNS} FROM runs AS r WHERE r.seq > ? ORDER BY r.seq LIMIT {PAGE}"
        while True:
            rows = [Row(*row) for row in await self.query(self.index.rows, sql, (at,))]
            more = len(rows) == PAGE
            at = rows[-1].seq if rows else at
            yield HistoryPage([self._history_run(row) for row in rows], mark="" if more else now)
            if not more:
                return

    async def read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> FailuresRead:
        bodies = await self._bodies([self.native(run.run_id) for run in runs])
        rows: list[Failure] = []
        for run in runs:
            body = bodies.get(self.native(run.run_id), {"cases": [], "notes": ""})
            common = (self.name, run.run_id, run.test, run.started_at)
            cases = [case for case in body["cases"] if case["outcome"] in ("fail", "error")]
            rows += [Failure(*common, case["case"], case["reason"], case["attempts"]) for case in cases]
            if not cases:
                rows.append(Failure(*common, "", shorten(body["notes"], 500)))
        return FailuresRead(rows)

    async def _bodies(self, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for n in range(0, len(run_ids), MAX_IDS):
            some = run_ids[n : n + MAX_IDS]
            sql = f"SELECT run_id, body FROM bodies WHERE run_id IN ({', '.join('?' * len(some))})"
            rows = await self.query(self.index.rows, sql, some)
            found |= await self.query(_read_bodies, rows)
        return found

    async def count_runs(self) -> Mapping[str, int]:
        await self._await_whole()
        return dict(await self.query(self.index.rows, "SELECT test, count(*) FROM runs GROUP BY test"))

    async def read_measurements(
        self, test: str, name: str, until: datetime | None = None
    ) -> AsyncGenerator[MeasurementPage, None]:
        await self._await_whole()
        # Places a run that begins at `until` before all others of that moment.
        at: tuple[int, str] = (to_micros(until or ENDLESS), "")
        sql = (
            f"SELECT {_COLUMNS}, b.body FROM runs AS r JOIN bodies AS b USING (run_id) WHERE r.test_folded = ? "
            f"AND r.test = ? AND (r.started, r.run_id) < (?, ?) ORDER BY r.started DESC, r.run_id DESC LIMIT {MEASURED}"
        )
        while True:
            rows = await self.query(self.index.rows, sql, (test.casefold(), test, *at))
            more = len(rows) == MEASURED
            if rows:
                last = Row(*rows[-1][:-1])
                at = (last.started, last.run_id)
            back_to = from_micros(at[0]) + _TICK if more else EARLIEST
            yield MeasurementPage(await self.query(self._measured, rows, name), back_to)
            if not more:
                return

    async def read_measurements_of(
        self, test: str, name: str, runs: Sequence[Run]
    ) -> AsyncGenerator[MeasurementPage, None]:
        ids = [self.native(run.run_id) for run in runs]
        for n in range(0, len(ids), MAX_IDS):
            some = ids[n : n + MAX_IDS]
            sql = (
                f"SELECT {_COLUMNS}, b.body FROM runs AS r JOIN bodies AS b USING (run_id) "
                f"WHERE r.run_id IN ({', '.join('?' * len(some))})"
            )
            rows = await self.query(self.index.rows, sql, some)
            yield MeasurementPage(await self.query(self._measured, rows, name))

    def _measured(self, rows: Sequence[Sequence[Any]], name: str) -> list[Measurement]:
        """The measurements of one name (all for '') in rows with their bodies."""
        return [
            self._history_measurement(Row(*cells), case["case"], found)
            for *cells, body in rows
            for case in read_body(body)["cases"]
            for found in case["measurements"]
            if name in ("", found["name"])
        ]

    def _history_measurement(self, row: Row, case: str, found: Mapping[str, Any]) -> Measurement:
        value = found.get("value")
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        return Measurement(
            service=self.name,
            run_id=self.handle(row.run_id),
            test=row.test,
            started_at=row.started_at,
            case_name=case,
            name=found["name"],
            value=value if numeric else None,
            text="" if numeric or value is None else shorten(str(value)),
            units=found.get("units", ""),
            low=found.get("lower"),
            high=found.get("upper"),
            outcome=found["outcome"],
        )

    def _history_run(self, row: Row) -> Run:
        return Run(
            service=self.name,
            run_id=self.handle(row.run_id),
            test=row.test,
            ended_as=cast(EndedAs, row.outcome),
            started_at=row.started_at,
            duration_s=row.duration_s,
            station=row.station,
            unit=row.unit,
            part=row.part,
            part_revision=row.part_revision,
            batch=row.batch,
            revision=row.revision,
            reason=row.reason,
            created_at=from_micros(row.added),
        )


def _read_bodies(rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    return {run_id: read_body(body) for run_id, body in rows}
