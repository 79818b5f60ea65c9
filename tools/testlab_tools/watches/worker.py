"""Looks at what is watched until it has happened: one poll of each thing, however many watch it.

All of it is found in the table and at the service: after a crash the next worker goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import JobRunner, NodeInventory, NodeReservations, Service
from testlab_tools.durable.engine import Clock
from testlab_tools.durable.steady_clock import SteadyClock
from testlab_tools.errors import LabError, NotFound, Unsupported
from testlab_tools.http.policy import Backoff, asked_by
from testlab_tools.long_services import LaunchServices
from testlab_tools.models.campaigns import CampaignBrief
from testlab_tools.models.jobs import Job
from testlab_tools.models.nodes import Node, Reservation
from testlab_tools.models.watches import WatchFacts, YieldFigures
from testlab_tools.watches.judging import Reading, Verdict, judge
from testlab_tools.watches.store import WatchStore
from testlab_tools.watches.subjects import Kind, Subject, Watch

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

YIELD_POLL_S = 60.0
LONGEST_LOOK_S = 60.0
MAX_MISSED = 2
"""Times in a row that a service must say that a thing is not there."""
NOT_IN_TIME = "It did not come to pass"

ReadYield = Callable[[Subject], Awaitable[YieldFigures]]
ReadCampaign = Callable[[str], Awaitable[CampaignBrief]]
Found = Job | Reservation | CampaignBrief | YieldFigures | Mapping[str, Node] | None
logger = logging.getLogger("testlab_tools")


class WatchWorker:
    """The polls of one launch of the engine."""

    def __init__(
        self,
        store: WatchStore,
        services: LaunchServices,
        clock: Clock,
        poll_s: float,
        read_yield: ReadYield,
        read_campaign: ReadCampaign,
    ) -> None:
        self._store = store
        self._launch_services = services
        self._services: Mapping[str, Service] = services.open()
        self._clock = SteadyClock(clock)
        self._poll_s = poll_s
        self._read_yield = read_yield
        self._read_campaign = read_campaign
        self._polls: dict[Subject, Poll] = {}

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Serve a watch until it has ended."""
        watch = await asyncio.to_thread(self._store.read, inputs[0])
        if watch is None or watch.state != "watching":
            return
        key = watch.subject.polled_as
        if key not in self._polls:
            pause = max(self._poll_s, YIELD_POLL_S) if key.kind == "yield" else self._poll_s
            self._polls[key] = Poll(key, self._store, self._clock, self._look, pause)
        await self._polls[key].attend(watch.watch_id)

    async def aclose(self) -> None:
        """Close the services, unless other work of this launch uses them."""
        await self._launch_services.aclose()

    async def _look(self, key: Subject) -> Found:
        """Read what is polled. Raises NotFound where it is not there."""
        if key.kind == "yield":
            return await self._read_yield(key)
        if key.kind == "campaign":
            return await self._read_campaign(key.native)
        match key.kind, self._services.get(key.service):
            case "job", JobRunner() as runner:
                return await runner.get_job(key.native, patient=False)
            case "reservation", NodeReservations() as farm:
                return await farm.get_reservation(key.native)
            case "node", NodeInventory() as farm:
                return {farm.native(node.node_id): node for node in await farm.list_nodes()}
            case _:
                raise Unsupported(f"No service {key.service} with such a {key.kind} is configured any more", "", "")


class Poll:
    """One thing, read from time to time for all that watch it."""

    def __init__(
        self,
        key: Subject,
        store: WatchStore,
        clock: SteadyClock,
        look: Callable[[Subject], Awaitable[Found]],
        poll_s: float,
    ) -> None:
        self._key = key
        self._store = store
        self._clock = clock
        self._look = look
        self._poll_s = poll_s
        self._again = Backoff(poll_s, max(poll_s, LONGEST_LOOK_S), jitter=lambda: 1.0)
        self._missed: dict[str, int] = {}
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._new = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def attend(self, watch_id: str) -> None:
        """Go on until a watch has ended."""
        future = self._waiters.setdefault(watch_id, asyncio.get_running_loop().create_future())
        self._new.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        await asyncio.shield(future)

    async def _serve(self) -> None:
        troubles = 0
        while self._waiters:
            self._new.clear()
            asked = 0.0
            try:
                error = await self._pass()
                troubles = troubles + 1 if error else 0
                asked = asked_by(error) if error else 0.0
            except Exception:
                if not troubles:
                    logger.exception("watches of a %s stand still; this goes on trying", self._key.kind)
                troubles += 1
            await self._rest(self._again.pause(troubles, asked) if troubles else self._poll_s)

    async def _rest(self, pause: float) -> None:
        """Until the next look, or another watch comes."""
        try:
            async with asyncio.timeout(pause):
                await self._new.wait()
        except TimeoutError:
            pass

    async def _pass(self) -> LabError | None:
        """Read the thing and judge its watches; returns the error of a thing that cannot be read."""
        ids = list(self._waiters)
        found: Found = None
        error: LabError | None = None
        try:
            async with asyncio.timeout(LONGEST_LOOK_S):
                found = await self._look(self._key)
        except NotFound:
            pass
        except TimeoutError:
            error = LabError("It did not answer", f"within {LONGEST_LOOK_S:.0f} s", "")
        except LabError as trouble:
            error = trouble
        watches = await asyncio.to_thread(self._store.read_all, ids)
        now = self._clock.now()
        for watch in watches:
            if watch.state != "watching":  # it was ended by hand
                self._release(watch.watch_id)
                continue
            verdict = Verdict("watching", "", WatchFacts()) if error else self._judge(watch, found)
            if verdict.state == "watching" and self._is_over(watch):
                verdict = Verdict("not in time", NOT_IN_TIME, verdict.facts)
            if verdict.state != "watching":
                await asyncio.to_thread(self._store.end, watch.watch_id, verdict, now)
                self._release(watch.watch_id)
            elif error is None and verdict.facts.model_dump(exclude_defaults=True):
                await asyncio.to_thread(self._store.note_seen, watch.watch_id, verdict.facts, now)
            elif error is not None and watch.trouble != error.what:
                await asyncio.to_thread(self._store.note_trouble, [watch.watch_id], error.what)
        self._release_ended(ids, watches)
        return error

    def _is_over(self, watch: Watch) -> bool:
        return self._clock.age(watch.watch_id, watch.begun_at) >= watch.deadline - watch.begun_at

    def _judge(self, watch: Watch, found: Found) -> Verdict:
        read: Reading = found.get(watch.subject.native) if isinstance(found, Mapping) else found
        missed = self._missed.get(watch.watch_id, 0) + 1 if read is None else 0
        self._missed[watch.watch_id] = missed
        if 0 < missed < MAX_MISSED:
            return Verdict("watching", "", WatchFacts())
        return judge(watch.subject, read)

    def _release(self, watch_id: str) -> None:
        self._missed.pop(watch_id, None)
        if (future := self._waiters.pop(watch_id, None)) is not None and not future.done():
            future.set_result(None)

    def _release_ended(self, asked: Sequence[str], found: Sequence[Watch]) -> None:
        """Let go of watches that are no longer in the table."""
        there: dict[str, Kind] = {watch.watch_id: watch.subject.kind for watch in found}
        for watch_id in asked:
            if watch_id not in there:
                self._release(watch_id)
