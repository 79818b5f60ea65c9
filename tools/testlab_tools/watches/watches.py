"""The watches of a lab, as tools use them. The first use imports DBOS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING

from testlab_tools.archive.archive import HistoryArchive
from testlab_tools.campaigns.answer import describe_brief
from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error, next_number
from testlab_tools.long_services import LaunchServices
from testlab_tools.models.campaigns import CampaignBrief
from testlab_tools.models.watches import SentNotice, WatchFacts
from testlab_tools.notify.notifier import Notifier
from testlab_tools.watches.announcing import describe_event
from testlab_tools.watches.judging import Verdict
from testlab_tools.watches.subjects import Subject, Watch

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows
    from testlab_tools.watches.store import WatchStore
    from testlab_tools.watches.worker import WatchWorker

WORKFLOW = "watch"
WATCH_PREFIX = "watch-"
LOOK_S = 0.25
POLL_S = 3.0
SAME_S = 60.0
"""The same call is the same watch until so long after its end was told; never one that was cancelled."""
OpenArchive = Callable[[], HistoryArchive | None]


class Watches:
    """Watches on the engine of a lab. The leader of the database looks, whichever process that is."""

    def __init__(
        self,
        engine: Engine,
        services: LaunchServices,
        open_archive: OpenArchive,
        notifier: Notifier,
        campaigns: Campaigns,
        poll_s: float = POLL_S,
    ) -> None:
        """`open_archive` opens the history for the engine's event loop; `poll_s` is how often a thing is read."""
        self.engine = engine
        self._services = services
        self._open_archive = open_archive
        self._notifier = notifier
        self._campaigns = campaigns
        self._poll_s = poll_s
        self._database = LateStore(engine, self._open_store, _failure)
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    async def begin(self, subject: Subject, caller: str, max_hours: float, facts: WatchFacts) -> Watch:
        """Watch something, or return the caller's watch of the same. Raises Refused where it has too many, LabError
        where the watch cannot be written down."""
        prefix = f"{WATCH_PREFIX}{subject.digest(caller, max_hours)}."
        now = self.engine.clock.now().timestamp()
        before: list[Watch] = await self._database.ask(lambda store: store.list(prefix))
        last = before[-1] if before else None
        if last and last.state != "cancelled" and (last.told_at is None or now - last.told_at < SAME_S):
            self.engine.wake()
            return last
        number = next_number((watch.watch_id for watch in before), now)
        watch = Watch(
            watch_id=f"{prefix}{number}",
            subject=subject,
            caller=caller,
            state="watching",
            begun_at=now,
            deadline=now + max_hours * 3600,
            facts=facts,
            seen_at=now,
        )
        made: Watch = await self._database.ask(lambda store: store.begin(watch))
        self.engine.wake()
        return made

    async def read(self, watch_id: str) -> Watch | None:
        """A watch as it stands; None where there is none."""
        return await self._database.ask(lambda store: store.read(watch_id))

    async def read_all(self, watch_ids: Collection[str]) -> Mapping[str, Watch]:
        """Those of these watches that there are, by their ids."""
        return await self._database.ask(lambda store: {one.watch_id: one for one in store.read_all(watch_ids)})

    async def list_newest(self, caller: str | None, limit: int) -> list[Watch]:
        """Watches, newest first, of a caller or (None) of all."""
        return await self._database.ask(lambda store: store.list_newest(caller, limit))

    async def follow(self, watch: Watch, seconds: float, tell: Callable[[Watch], Awaitable[None]]) -> Watch:
        """Wait until a watch has ended, or so many seconds; `tell` is awaited when something new was seen."""
        self.engine.wake()
        until = asyncio.get_running_loop().time() + seconds
        while watch.state == "watching" and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(LOOK_S)
            now = await self.read(watch.watch_id) or watch
            if now.facts != watch.facts:
                await tell(now)
            watch = now
        if watch.state != "watching" and watch.told_at is None:
            told = self.engine.clock.now().timestamp()
            await self._database.ask(lambda store: store.note_told(watch.watch_id, told))
        return watch

    async def end(self, watch: Watch) -> Watch:
        """End a watch by hand, and return it as it stands."""
        verdict, now = Verdict("cancelled", "It was ended by hand", WatchFacts()), self.engine.clock.now().timestamp()
        await self._database.ask(lambda store: store.end(watch.watch_id, verdict, now))
        self.engine.wake()
        return await self.read(watch.watch_id) or watch

    async def list_notices(self, watch: Watch) -> list[SentNotice]:
        """The messages about a watch's end."""
        if watch.state == "watching" or not self._notifier.receivers:
            return []
        return await self._notifier.list(watch.watch_id)

    def _open_store(self, workflows: Workflows) -> WatchStore:
        from testlab_tools.watches.store import WatchStore

        self._notifier.open()
        return WatchStore(
            workflows, lambda connection, watch: self._notifier.announce(connection, describe_event(watch))
        )

    async def _read_campaign(self, campaign_id: str) -> CampaignBrief:
        found = await self._campaigns.find(campaign_id)
        return describe_brief(found, found.order.caller)

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now().timestamp())

    def _open_worker(self) -> WatchWorker:
        from testlab_tools.watches.condition import YieldReader
        from testlab_tools.watches.worker import WatchWorker

        store = self._database.open()
        reader = YieldReader(self._services, self._open_archive)
        return WatchWorker(store, self._services, self.engine.clock, self._poll_s, reader.read, self._read_campaign)


_failure = database_error(
    "watches", "Call again: a watch that was written down goes on. [durable] in the config names the database."
)
