"""What tools ask of history: it is brought up to date as far as the call's time goes, and queried then.

Rows of one caller never become another's: a history is named by the service, its address, the credentials and the
nodes that the caller may see, none of which can be read from the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from testlab_tools.archive.store import HistoryBusy, HistoryDamaged, HistoryState, HistoryStore, HistoryView, open_store
from testlab_tools.capabilities import HistoryFeed, RunArchive, Service
from testlab_tools.errors import AuthError, ConfigError, LabError, Refused, Unsupported
from testlab_tools.fanout import gather_all, most_telling
from testlab_tools.models.lab import Run
from testlab_tools.times import EARLIEST

if TYPE_CHECKING:
    from testlab_tools.archive.reading import Scope, Tell
    from testlab_tools.archive.sync import Synced
    from testlab_tools.archive.sync_state import SyncState
    from testlab_tools.registry import Call

FILL_SHARE = 0.6
"""Of a call's time, for reading what the question needs."""
WAIT_SECONDS = 5.0
"""For another call or process that reads the same history."""
SILENT = "It cannot tell its history: it lists runs by serial number only"


@dataclass(frozen=True)
class ServiceHistory:
    """What is held of a service: `runs` runs, all of those from `held_since` on, as they were at `fresh_at`.

    `complete`: it reaches back to the first run, or (`cut`) to [archive] max_age_days. Of `unread` runs the failed
    cases are not known yet; `running` had not ended, and are no part of it. Of the measurements that were asked for,
    those of runs since `measured_since` are held; None: all, or none were asked for. `cannot` is what the service never
    tells, `error` why it could not be read up to now, `note` what else there is to say; `busy`: another call or process
    was reading it, and it may lack the newest.
    """

    service: str
    runs: int = 0
    held_since: datetime | None = None
    measured_since: datetime | None = None
    fresh_at: datetime | None = None
    complete: bool = False
    cut: bool = False
    unread: int = 0
    running: Sequence[Run] = ()
    cannot: str = ""
    error: str = ""
    note: str = ""
    left_out: str = ""
    busy: bool = False

    def covers(self, since: datetime | None) -> bool:
        """Whether all runs from a moment on are held, with what was asked for of them; without one, all there are."""
        begin = since or EARLIEST
        if self.measured_since is not None and self.measured_since > begin:
            return False
        return (self.complete and not self.cut) or (self.held_since is not None and self.held_since <= begin)


class History(NamedTuple):
    """Histories to query together, and what is held of each service that was asked."""

    view: HistoryView
    freshness: list[ServiceHistory]


class HistoryArchive:
    """Where histories are: Parquet files below a folder, or a PostgreSQL database; and how old runs are kept."""

    def __init__(self, folder: Path, database_url: str = "", max_age_days: int = 0, timezone: str = "UTC") -> None:
        """`max_age_days` 0 keeps all; `timezone` is the one in which days, hours and weeks are counted."""
        self.timezone = timezone
        self.max_age_days = max_age_days
        self._place = database_url or folder
        self._store: HistoryStore | None = None

    @property
    def store(self) -> HistoryStore:
        """Opened at the first use. Raises Unsupported where what it needs is not installed."""
        if self._store is None:
            self._store = open_store(self._place)
        return self._store

    @property
    def keep_since(self) -> datetime:
        """When the oldest run that is kept may have begun."""
        if not self.max_age_days:
            return EARLIEST
        return datetime.now(UTC) - timedelta(days=self.max_age_days)

    async def sync(
        self, feed: HistoryFeed, scope: Scope, seconds: float | None = None, tell: Tell | None = None
    ) -> Synced:
        """Bring a feed's history up to date. Raises HistoryBusy, or LabError where it cannot be stored."""
        from testlab_tools.archive.sync import sync_history

        key, scope = await key_of(feed), scope._replace(keep_since=self.keep_since)
        try:
            return await sync_history(feed, self.store, key, scope, seconds, WAIT_SECONDS, tell)
        except HistoryDamaged:
            return await sync_history(feed, self.store, key, scope, seconds, WAIT_SECONDS, tell)

    async def read_state(self, feed: HistoryFeed) -> tuple[HistoryState, SyncState]:
        """What is held of a feed's history, and how far it was read."""
        from testlab_tools.archive.sync_state import SyncState

        state = await self.store.read_state(await key_of(feed))
        return state, SyncState.read(state.sync)

    async def refresh(
        self, feed: HistoryFeed, scope: Scope, seconds: float | None, tell: Tell | None = None
    ) -> ServiceHistory:
        """Bring a history up to date within `seconds` (None: however long it takes).

        Raises:
            AuthError, ConfigError: the service does not accept the credentials; what is held is not theirs to see.
            LabError: it could not be read, and nothing is held.
        """
        error, busy, notes = None, False, list[str]()
        try:
            synced = await self.sync(feed, scope, seconds, tell)
            if isinstance(synced.error, AuthError | ConfigError):
                raise synced.error
            error = synced.error
        except HistoryBusy:
            busy = True
            notes.append("Another call or process is reading it now.")
        state, sync = await self.read_state(feed)
        if error is not None and not state.rows["runs"]:
            raise error
        if sync.unread:
            notes.append(f"Of {sync.unread} runs that failed, the failed cases are not read yet.")
        return ServiceHistory(
            service=feed.name,
            runs=state.rows["runs"],
            held_since=sync.held_since if not sync.complete or sync.cut_by_age else state.first,
            measured_since=sync.measured_since(scope.measured) if feed.has_measurements else None,
            fresh_at=sync.fresh_as_of,
            complete=sync.complete,
            cut=sync.cut_by_age,
            unread=sync.unread,
            running=[Run.model_validate(run) for run in sync.running.values()],
            cannot="; ".join(feed.cannot),
            error=str(error or ""),
            note=" ".join(notes),
            left_out=feed.left_out,
            busy=busy,
        )

    async def summarize(self) -> str:
        """What a folder holds, in a sentence; empty for a database, which would have to be asked."""
        if isinstance(self._place, str):
            return ""
        states = [await self.store.read_state(key) for key in await self.store.list_keys()]
        runs, size = sum(state.rows["runs"] for state in states), sum(state.size_bytes or 0 for state in states)
        if not runs:
            return f"{self._place}: empty; `testlab-mcp sync` fills it"
        return f"{self._place}: {runs:,} runs in {len(states)} histories, {size / 1e6:,.1f} MB"

    async def aclose(self) -> None:
        """Give back what is open."""
        self._store = None


async def open_history(
    call: Call, service: str = "", since: datetime | None = None, measured: Sequence[tuple[str, str]] = ()
) -> History:
    """The history of a service, or of all, brought up to date and read back to `since` (None: to the beginning) as far
    as the call's time goes. `measured` names tests and measurements of theirs that are needed, all of a test for ''.

    Raises:
        Refused: the archive is switched off.
        Unsupported: no service can tell its history, or an extra is not installed.
        LabError: nothing is held of any service; the most telling error.
    """
    from testlab_tools.archive.reading import Scope

    archive = call.lab.archive
    if archive is None:
        raise Refused("History is not kept", "[archive] enabled is false in the config", "list_runs shows single runs.")
    asked = call.lab.offering(RunArchive, service)
    feeds = [one for one in asked if isinstance(one, HistoryFeed)]
    if not feeds:
        raise Unsupported("No service that was asked can tell its history", SILENT, "list_runs shows single runs.")
    scope = Scope(measured=measured, needed_since=since or EARLIEST)
    seconds = min(call.deadline.share(FILL_SHARE), call.deadline.long_step())

    async def one(feed: HistoryFeed) -> ServiceHistory | LabError:
        try:
            return await archive.refresh(feed, scope, seconds)
        except LabError as error:
            return error.with_traceback(None)

    answers = await gather_all(*map(one, feeds))
    found = {feed.name: answer for feed, answer in zip(feeds, answers, strict=True)}
    usable = [feed for feed in feeds if isinstance(found[feed.name], ServiceHistory)]
    errors = [answer for answer in answers if isinstance(answer, LabError)]
    if errors and not usable:
        raise most_telling(errors)
    freshness = [_share_of(one.name, found.get(one.name)) for one in asked]
    return History(archive.store.view([await key_of(feed) for feed in usable]), freshness)


async def forget_runs(call: Call, service: Service, run_ids: Sequence[str]) -> None:
    """Take deleted runs, by their handles, out of the history that this caller's questions are answered from. Where it
    cannot be done now, the next search for deletions does it."""
    if (archive := call.lab.archive) is None or not isinstance(service, HistoryFeed):
        return
    with suppress(LabError):
        key = await key_of(service)
        if key in await archive.store.list_keys():
            async with archive.store.write(key, WAIT_SECONDS) as writer:
                await writer.delete(run_ids)
                await writer.commit()


def _share_of(service: str, answer: ServiceHistory | LabError | None) -> ServiceHistory:
    if answer is None:
        return ServiceHistory(service, cannot=SILENT)
    return ServiceHistory(service, error=str(answer)) if isinstance(answer, LabError) else answer


async def key_of(feed: HistoryFeed) -> str:
    """The name of a feed's history in a store."""
    name = re.sub(r"[^a-z0-9_-]", "_", feed.name.lower())[:40]
    return f"{name}-{sha256(f'{feed.name} {await feed.identify()}'.encode()).hexdigest()[:24]}"
