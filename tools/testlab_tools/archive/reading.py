"""Brings a history up to date with its service: what is new first, then deletions, then further back, then the failed
cases that were not read yet. What was committed stays, whatever happens next; the same again goes on from there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from testlab_tools.archive.schema import Row, Run, Table, clean
from testlab_tools.archive.store import HistoryView, HistoryWriter
from testlab_tools.archive.sync_state import MAX_RUNNING, SyncState
from testlab_tools.capabilities import HistoryFeed, HistoryPage, Stretch
from testlab_tools.times import EARLIEST

COMMIT_ROWS = 20_000
COMMIT_SECONDS = 5.0
"""What was read is committed after so many rows, or so long."""
RECHECK_EVERY = timedelta(hours=1)
"""How often runs that were deleted, or came late, are looked for."""
RECHECKED = timedelta(days=7)
"""How far back, where the service does not count its runs."""
FURTHER_SECONDS = 3.0
AT_ONCE = 100
"""Runs whose failed cases are asked for together."""
MAX_PENDING = 2_000
MAX_IDS = 500
_MARGIN = timedelta(days=1)
T = TypeVar("T")
Tell = Callable[[int, datetime | None], Awaitable[None]]
"""Is told how many runs were read, and how far back."""


class OutOfTime(Exception):
    """The time for reading is over."""


class Scope(NamedTuple):
    """What a reading is to do: runs older than `keep_since` are not kept; `recheck`: look for deletions now; `full`:
    read all runs once more; `measured`: tests and names of measurements that are wanted as well, all names for ''.

    Once all runs from `needed_since` on are held, reading further back ends within FURTHER_SECONDS.
    """

    keep_since: datetime = EARLIEST
    recheck: bool = False
    full: bool = False
    measured: Sequence[tuple[str, str]] = ()
    needed_since: datetime = EARLIEST


@dataclass
class Reading:
    """One feed's history being read into a writer, until `ends` of the loop's clock (None: without end)."""

    feed: HistoryFeed
    writer: HistoryWriter
    view: HistoryView
    scope: Scope
    ends: float | None = None
    tell: Tell | None = None
    added: int = 0
    deleted: int = 0
    state: SyncState = field(init=False)
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _read: int = 0
    _uncommitted: int = 0
    _committed_at: float = field(default_factory=time.monotonic)
    fresh: set[object] = field(default_factory=set[object])

    def __post_init__(self) -> None:
        self.state = SyncState.read(self.writer.sync)

    async def read(self) -> None:
        """Read all that is missing.

        Raises:
            OutOfTime: it did not get through in time.
            LabError: the service failed, or the store.
        """
        if self.state.complete and not self.state.mark:
            self.state = SyncState()
        if self.state.cut_by_age and (held := self.state.held_since) and held > self.scope.keep_since + _MARGIN:
            self.state.complete, self.state.cut_by_age, self.state.resume = False, False, ""
        if self.state.mark:
            await self._read_new()
            await self._recheck()
        if not self.state.complete:
            await self._go_back()
        if self.state.unread:
            await self._read_pending()

    async def commit(self) -> None:
        """Keep what was read, and how far."""
        self.writer.sync.clear()
        self.writer.sync.update(self.state.model_dump(mode="json"))
        await self.writer.commit()
        self._uncommitted, self._committed_at = 0, time.monotonic()
        self.fresh.clear()

    async def ask(self, question: Awaitable[T]) -> T:
        """The answer. Raises OutOfTime where it does not come in time."""
        limit = asyncio.timeout_at(self.ends)
        try:
            async with limit:
                return await question
        except TimeoutError:
            if not limit.expired():
                raise
            raise OutOfTime from None

    async def _read_new(self) -> None:
        async with aclosing(self.feed.read_new(self.state.mark)) as pages:
            while (page := await self.ask(anext(pages, None))) is not None:
                await self._take(page)
                self.state.mark = page.mark or self.state.mark
        self.state.fresh_as_of = self._began

    async def _go_back(self) -> None:
        begun = time.monotonic()
        ended = False

        async def note(page: HistoryPage) -> bool:
            if not self.state.mark:
                self.state.fresh_as_of = self.state.checked_at = self._began
            if page.mark and (page.running or not self.state.mark):
                self.state.mark = page.mark
            self.state.held_since, self.state.resume = page.back_to, page.resume
            self.state.cut_by_age |= any(run.started_at < self.scope.keep_since for run in page.runs)
            nonlocal ended
            ended = page.back_to is not None and page.back_to <= self.scope.keep_since
            enough = self.state.covers(self.scope.needed_since) and time.monotonic() - begun > FURTHER_SECONDS
            return ended or enough

        await self._walk(self.state.resume, note)
        if ended:
            self.state.complete, self.state.resume = True, ""
            self.state.held_since = self.scope.keep_since

    async def _walk(self, resume: str, is_enough: Callable[[HistoryPage], Awaitable[bool]]) -> None:
        """Take pages from a place on, back to the beginning, or until it is enough."""
        async with aclosing(self.feed.read_back(resume)) as pages:
            while (page := await self.ask(anext(pages, None))) is not None:
                await self._take(page)
                if await is_enough(page):
                    return

    async def _recheck(self) -> None:
        """Look for what was deleted, or came later than what is new is looked for."""
        state, due = self.state, self._began - RECHECK_EVERY
        asked = self.scope.full or self.scope.recheck or bool(state.rechecked)
        if not state.complete or not (asked or state.checked_at is None or state.checked_at <= due):
            return
        counts = await self.ask(self.feed.count_runs())
        if self.scope.full:
            await self._walk("", self._reaches(self.scope.keep_since))
        elif counts is None:
            await self._walk("", self._reaches(self._began - RECHECKED))
        else:
            await self._find_deleted(counts)
        if state.held_since is not None and state.held_since + _MARGIN < self.scope.keep_since:
            await self.writer.delete_before(self.scope.keep_since)
            state.held_since, state.cut_by_age = self.scope.keep_since, True
        await self.commit()
        state.beyond = await self._beyond(counts or {})
        state.checked_at, state.rechecked = self._began, ""

    async def _find_deleted(self, counts: Mapping[str, int]) -> None:
        """Read again, the newest first, until as many runs turn out to be deleted as the service counts too few."""
        beyond, known = await self._beyond(counts), self.state.beyond
        if not known and self.state.cut_by_age:
            return
        missing = sum(max(0, known.get(test, 0) - extra) for test, extra in beyond.items())
        before = self.deleted

        async def is_enough(page: HistoryPage) -> bool:
            self.state.rechecked = page.resume
            return self.deleted - before >= missing

        if missing:
            await self._walk(self.state.rechecked, is_enough)

    async def _beyond(self, counts: Mapping[str, int]) -> dict[str, int]:
        """How many runs of each test the service counts beyond those held; negative where it counts fewer."""
        held: dict[str, int] = dict(await self.view.rows("SELECT test, count(*) FROM runs GROUP BY test"))
        return {test: count - held.get(test, 0) for test, count in counts.items()} | {
            test: -count for test, count in held.items() if counts and test not in counts
        }

    def _reaches(self, moment: datetime) -> Callable[[HistoryPage], Awaitable[bool]]:
        async def reaches(page: HistoryPage) -> bool:
            return page.back_to is not None and page.back_to <= moment

        return reaches

    async def _take(self, page: HistoryPage) -> None:
        """Store what is new or other than it was, remove what is gone, and read why what is new failed."""
        runs = {run.run_id: run for run in page.runs if run.started_at >= self.scope.keep_since}
        self._note_running(page)
        held = await self._held(runs, page.whole)
        new = [run for run_id, run in runs.items() if run_id not in held and run_id not in self.fresh]
        failed = [run for run in new if run.ended_as in self.feed.failing]
        self.state.unread += len(failed)
        await self.store("runs", new, runs.keys() - held.keys())
        known = [run for run in runs.values() if run.run_id in held]
        cells = zip(*clean("runs", known).values(), strict=True)
        changed = [run for run, row in zip(known, cells, strict=True) if held[run.run_id] != row]
        if changed:
            await self.writer.replace("runs", changed)
            failing = self.feed.failing
            turned = [run for run in changed if run.ended_as in failing and held[run.run_id][3] not in failing]
            self.state.unread += len(turned)
            failed += turned
        gone = [run_id for run_id in held if run_id not in runs]
        if gone:
            await self.writer.delete(gone)
        self.added, self.deleted = self.added + len(new), self.deleted + len(gone)
        self._uncommitted += len(changed) + len(gone)
        await self._read_failures(failed, page.source)
        await self.note(len(runs), page.back_to)

    def _note_running(self, page: HistoryPage) -> None:
        """What has not ended is no row of the tables; which runs those are is known all the same."""
        if not (page.running or self.state.running):
            return
        ended, whole = {run.run_id for run in page.runs}, page.whole
        kept = {
            run_id: run
            for run_id, run in self.state.running.items()
            if run_id not in ended
            and not (whole and whole.since <= datetime.fromisoformat(run["started_at"]) < whole.until)
        }
        kept |= {run.run_id: run.model_dump(mode="json", exclude_defaults=True) for run in page.running}
        self.state.running = dict(list(kept.items())[-MAX_RUNNING:])

    async def note(self, read: int, back_to: datetime | None) -> None:
        """Say how far it is, after so many rows more."""
        self._read += read
        if self.tell:
            await self.tell(self._read, back_to)

    async def store(self, table: Table, rows: Sequence[Row], keys: Iterable[object] = ()) -> None:
        """Add rows, whose `keys` are `fresh` until they are committed, which may be now."""
        await self.writer.append(table, rows)
        self.fresh.update(keys)
        self._uncommitted += len(rows)
        if self._uncommitted >= COMMIT_ROWS or time.monotonic() - self._committed_at > COMMIT_SECONDS:
            await self.commit()

    async def _held(self, runs: Mapping[str, Run], whole: Stretch | None) -> dict[str, tuple[Any, ...]]:
        """The rows that were committed of these runs; with `whole`, of all its stretch."""
        columns = ", ".join(Run._fields)
        if whole is not None:
            sql = f"SELECT {columns} FROM runs WHERE started_at >= $since AND started_at < $until"
            found = await self.view.rows(sql, {"since": whole.since, "until": whole.until})
            return {row[1]: row for row in found}
        return {row[1]: row for row in await rows_of(self.view, columns, "runs", list(runs))}

    async def _read_failures(self, runs: Sequence[Run], source: Mapping[str, Any]) -> int:
        """Store the failed cases of runs; returns how many of them stay unread."""
        if not runs:
            return 0
        told = await self.ask(self.feed.read_failures(runs, source))
        self.state.unread -= len(runs) - told.unread
        await self.store("failures", told.rows)
        return told.unread

    async def _read_pending(self) -> None:
        """Read the failed cases that were not read before, those of the newest runs first."""
        ended = ", ".join(f"'{word}'" for word in self.feed.failing)
        sql = (
            f"SELECT {', '.join(Run._fields)} FROM runs AS r WHERE ended_as IN ({ended}) AND NOT EXISTS "
            f"(SELECT 1 FROM failures AS f WHERE f.run_id = r.run_id) ORDER BY started_at DESC LIMIT {MAX_PENDING}"
        )
        while True:
            await self.commit()
            pending = [as_run(row) for row in await self.view.rows(sql)]
            self.state.unread = len(pending)
            for n in range(0, len(pending), AT_ONCE):
                asked = pending[n : n + AT_ONCE]
                if await self._read_failures(asked, {}) == len(asked):
                    return
            if len(pending) < MAX_PENDING:
                return


def as_time(moment: datetime) -> datetime:
    """A time of the view, with its zone."""
    return moment.replace(tzinfo=UTC)


def as_run(row: Iterable[Any]) -> Run:
    """A row of the view with its times' zone."""
    run = Run(*row)
    created = as_time(run.created_at) if run.created_at else None
    return run._replace(started_at=as_time(run.started_at), created_at=created)


async def rows_of(view: HistoryView, columns: str, table: Table, run_ids: Sequence[str]) -> list[tuple[Any, ...]]:
    """What a table holds of some runs."""
    found: list[tuple[Any, ...]] = []
    for n in range(0, len(run_ids), MAX_IDS):
        named = {f"id{k}": run_id for k, run_id in enumerate(run_ids[n : n + MAX_IDS])}
        among = ", ".join(f"${name}" for name in named)
        found += await view.rows(f"SELECT {columns} FROM {table} WHERE run_id IN ({among})", named)
    return found
