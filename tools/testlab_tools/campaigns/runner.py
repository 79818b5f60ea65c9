"""Runs one campaign, from whatever state its tables show: waits for nodes, shares the tests out, moves them when a node
fails, and gives the nodes back. It may be ended at any await, and begun again by another process."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from testlab_tools.campaigns.batch_job import BatchJobs
from testlab_tools.campaigns.batch_run import BatchEnd, BatchRuns
from testlab_tools.campaigns.counting import judge
from testlab_tools.campaigns.holding import LOST, Holding
from testlab_tools.campaigns.node_record import NodeRecords
from testlab_tools.campaigns.pace import Pace, Patience, in_database
from testlab_tools.campaigns.records import Batch, Campaign, CampaignState
from testlab_tools.campaigns.requests import Tickets
from testlab_tools.campaigns.sharing import Pool, Work
from testlab_tools.campaigns.stop_rule import make_rule
from testlab_tools.campaigns.store import CampaignStore, Superseded
from testlab_tools.capabilities import JobFarm
from testlab_tools.durable.engine import Clock
from testlab_tools.models.lab import Run
from testlab_tools.node_queue.queue import ReservationQueue, Ticket

logger = logging.getLogger("testlab_tools")
NOT_KNOWN = "What its last jobs ran is not known, nor whether they were stopped: the service was in trouble."
COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


class Ending(NamedTuple):
    """How a campaign ends, and why."""

    state: CampaignState
    why: str = ""


class CampaignRunner:
    """One campaign, in one process, from `run` to its end."""

    def __init__(
        self,
        store: CampaignStore,
        service: JobFarm,
        queue: ReservationQueue,
        campaign: Campaign,
        clock: Clock,
        pace: Pace,
    ) -> None:
        self._store, self._clock, self._pace = store, clock, pace
        self._campaign, self._id, self._order = campaign, campaign.campaign_id, campaign.order
        patience = Patience(pace, self._tell_trouble)
        self._jobs = BatchJobs(service, self._id, self._order, patience, pace)
        self._batches = BatchRuns(store, self._jobs, self._id, self._count, clock, pace)
        self._holding = Holding(store, service, self._id, clock, pace)
        self._tickets = Tickets(queue, campaign, patience, pace, service)
        self._changed = asyncio.Event()
        self._tasks: dict[asyncio.Task[BatchEnd], str] = {}
        self._bad: dict[str, int] = {}
        self._records = NodeRecords()
        self._ending: Ending | None = None
        self._epoch = self._next_batch = self._next_sequence = self._next_item = 0

    async def run(self) -> None:
        """Run the campaign to its end. Raises Superseded when another process has taken it over."""
        self._epoch = await in_database(lambda: self._store.begin(self._id))
        self._campaign = self._campaign.model_copy(update={"epoch": self._epoch})
        await self._holding.load()
        if not self._campaign.ended:
            try:
                await self._begin()
                ending = await self._work()
            finally:
                await self._cancel_tasks()
            await self._end(ending)
        await self._release()

    async def abandon(self) -> bool:
        """Try once, within bounds, to stop the jobs of a campaign that was ended, to give its nodes back and to leave
        the line. Returns whether that was done; `run` does what is left of it. Raises Superseded."""
        self._epoch = await in_database(lambda: self._store.begin(self._id))
        loaded = await in_database(lambda: self._store.load(self._id))
        self._names = loaded.names
        await self._holding.load()
        stopping = asyncio.gather(
            *(self._batches.abandon(batch, self._names_of_batch(batch)) for batch, _ in loaded.open),
            return_exceptions=True,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * self._pace.stop_s):
                await stopping
        await self._holding.release()
        await self._holding.give_back()
        await self._tickets.close(self._campaign, self._holding)
        released = not self._holding.left
        if released:
            await self._note_released()
        return released

    async def _begin(self) -> None:
        loaded = await in_database(lambda: self._store.load(self._id))
        self._names = loaded.names
        self._pool = Pool(loaded.waiting)
        self._next_batch, self._next_sequence = loaded.last_batch + 1, loaded.last_sequence + 1
        self._next_item = self._campaign.items
        self._rule = make_rule(self._order, len(self._names))
        if self._rule is not None:
            for test, outcome in await in_database(lambda: self._store.ordered(self._id)):
                self._rule.note_ordered([test])
                if outcome:
                    self._rule.count(test, outcome)
            await self._ask_rule()
        for batch, left in loaded.open:
            self._spawn(batch.node, self._batches.resume(batch, left, self._names_of_batch(batch)))
        await self._look_after_nodes()

    async def _work(self) -> Ending:
        """Share the work out until there is none, or something ends the campaign."""
        looked_at = self._clock.seconds()
        self._limit = self._time_left()
        while True:
            self._changed.clear()
            await self._collect_ends()
            if self._clock.seconds() - looked_at > self._pace.extend_s:
                await self._look_after_nodes()
                looked_at = self._clock.seconds()
            if (ending := await self._find_ending()) is not None:
                return ending
            await self._ask_for_nodes()
            self._give_work()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pace.cancel_s):
                    await self._changed.wait()

    def _time_left(self) -> float:
        """By the monotonic clock, when the campaign's time is over: a system clock that is set moves it but once."""
        whole = self._order.max_hours * 3600
        now = self._clock.now().timestamp()
        spent = now - (self._campaign.started_at or now)
        return self._clock.seconds() + whole - min(max(0.0, spent), whole)

    async def _find_ending(self) -> Ending | None:
        current = await in_database(lambda: self._store.read(self._id))
        if current is None or current.epoch != self._epoch:
            raise Superseded
        # It may have been read before the commit that was pinned just now was written.
        self._campaign = current.model_copy(update={"pinned": current.pinned or self._campaign.pinned})
        if current.cancel_at is not None:
            return Ending("cancelled")
        if self._ending is not None:
            return self._ending
        if not self._pool and not self._tasks:
            return Ending("finished")
        if self._clock.seconds() > self._limit:
            state = "finished" if self._order.is_open else "failed"
            return Ending(state, f"Its {self._order.max_hours:g} hours were over.")
        return None

    async def _ask_for_nodes(self) -> None:
        """Stand in line for the first nodes, for one in place of each that was dropped, or for any at all."""
        ticket = await self._tickets.follow()
        if ticket is not None and ticket.state == "granted":
            await self._take_nodes(ticket)
        elif ticket is not None and not self._holding.working:
            reason = ticket.reason.rstrip(".") or f"its ticket is {ticket.state}"
            self._ending = self._ending or Ending("failed", f"It got no node: {reason}.")
        elif len(self._pool) and self._tickets.wants(self._campaign, self._holding):
            if self._tickets.used == self._campaign.tickets or self._holding.of_ticket(self._campaign.tickets):
                number = self._campaign.tickets + 1
                await in_database(lambda: self._store.update(self._id, self._epoch, tickets=number))
                self._campaign = self._campaign.model_copy(update={"tickets": number})
            await self._tickets.submit(self._campaign, self._holding)

    async def _take_nodes(self, ticket: Ticket) -> None:
        now = self._clock.now().timestamp()
        first = {"state": "running", "started_at": now} if self._campaign.started_at is None else {}
        await self._holding.take(self._epoch, self._campaign.tickets, ticket.reservations, **first)
        if first:
            self._campaign = self._campaign.model_copy(update=first)
            self._limit = self._time_left()
        for held in ticket.reservations:
            self._bad[held.node_id] = 0
            self._records.begin(held.node_id)

    def _give_work(self) -> None:
        working = self._holding.working
        for node in working:
            if node in self._tasks.values():
                continue
            works = self._pool.take(node, working)
            if self._order.bisected:  # a job runs one revision
                self._pool.add(work for work in works if work.test != works[0].test)
                works = [work for work in works if work.test == works[0].test]
            if works:
                number, self._next_batch = self._next_batch, self._next_batch + 1
                names = [self._order.bisected or self._names[work.test] for work in works]
                revision = self._names[works[0].test] if self._order.bisected else self._campaign.revision
                self._spawn(node, self._batches.start(self._epoch, number, node, works, names, revision))

    def _spawn(self, node: str, running: Coroutine[Any, Any, BatchEnd]) -> None:
        task = asyncio.create_task(running)
        self._tasks[task] = node
        task.add_done_callback(lambda _: self._changed.set())

    async def _collect_ends(self) -> None:
        for task, node in [(task, node) for task, node in self._tasks.items() if task.done()]:
            del self._tasks[task]
            end = task.result()
            self._pool.add(end.not_run)
            await self._judge_node(node, end)

    async def _judge_node(self, node: str, end: BatchEnd) -> None:
        """Drop a node that cannot be used, or whose batches come to nothing while others' do."""
        if end.fatal:
            self._ending = Ending("failed", end.fatal)
            return
        if end.unusable:
            await self._drop(node, end.unusable)
            return
        errored = end.results > 0 and end.results == end.errors
        basis = self._records.compare_errors(node, end.results) if errored and not end.why else ""
        if end.results > end.errors and not end.why:
            self._bad[node] = 0
        elif end.why or basis:
            self._bad[node] = self._bad.get(node, 0) + 1
        if end.why:
            await self._look_after_nodes()
        if self._bad.get(node, 0) >= self._pace.max_bad:
            why = end.why or f"all its tests ended in errors; {basis}"
            await self._drop(node, f"{self._bad[node]} batches running came to nothing: {why}")
        else:
            await self._judge_share(node)

    async def _judge_share(self, node: str) -> None:
        """Drop a node that fails at the equipment in most of its runs. The only one is kept, and that is said."""
        why = self._records.find_share(node)
        if why and len(self._holding.working) > 1:
            await self._drop(node, why)
        else:
            await self._holding.doubt(node, f"Kept, as it is the only one: {why}." if why else "")

    async def _drop(self, node: str, why: str) -> None:
        logger.warning("campaign %s gives node %s up: %s", self._id, node, why)
        await self._holding.drop(node, f"{why[:1].upper()}{why[1:].rstrip('.')}.")

    async def _look_after_nodes(self) -> None:
        """Extend the reservations, and drop the nodes that have none any more."""
        for node in await self._holding.extend():
            await self._holding.drop(node, LOST)
        await self._holding.give_back()

    async def _count(self, batch: Batch, results: Sequence[tuple[Work, Run | None]]) -> None:
        """Record what runs came to, and put what follows from it into the pool."""
        verdicts = [judge(work, run, batch.node, batch.batch, self._order) for work, run in results]
        first, self._next_sequence = self._next_sequence, self._next_sequence + len(verdicts)
        commit = next((run.revision for _, run in results if run is not None and COMMIT.fullmatch(run.revision)), "")
        pin = {"pinned": commit} if commit and not self._campaign.pinned and not self._order.bisected else {}
        self._campaign = self._campaign.model_copy(update=pin)
        await in_database(lambda: self._store.record(self._id, self._epoch, first, verdicts, **pin))
        self._records.note(verdicts)
        self._pool.add(verdict.follows for verdict in verdicts if verdict.follows is not None)
        if self._rule is not None:
            for verdict in verdicts:
                if verdict.outcome is not None:
                    self._rule.count(verdict.work.test, verdict.outcome)
            await self._ask_rule()
        self._changed.set()

    async def _ask_rule(self) -> None:
        """Order what the rule wants, or end the campaign as it says."""
        assert self._rule is not None, "only a campaign with a rule is asked"
        decision = self._rule.decide()
        if decision.stop:
            self._ending = self._ending or Ending("finished", decision.stop)
        tests = list(decision.more)
        if tests and not decision.stop:
            self._rule.note_ordered(tests)
            first, self._next_item = self._next_item, self._next_item + len(tests)
            self._pool.add(await in_database(lambda: self._store.add_items(self._id, self._epoch, first, tests)))

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _end(self, ending: Ending) -> None:
        """Stop the jobs that run, count what has finished, as far as the service tells it in time, and write the
        ending down."""
        loaded = await in_database(lambda: self._store.load(self._id))
        self._next_sequence = loaded.last_sequence + 1
        why = ending.why
        try:
            async with asyncio.timeout(self._pace.end_s):
                await asyncio.gather(
                    *(self._batches.stop(batch, left, self._names_of_batch(batch)) for batch, left in loaded.open)
                )
        except TimeoutError:
            why = f"{why} {NOT_KNOWN}".strip()
        now = self._clock.now().timestamp()
        values = {"state": ending.state, "why": why, "trouble": "", "ended_at": now}
        await in_database(lambda: self._store.update(self._id, self._epoch, **values))

    async def _release(self) -> None:
        """Give all nodes back, until their services have taken them or they have ended by themselves."""
        await self._holding.release()
        tries = 0
        while self._holding.left:
            await self._holding.give_back()
            if self._holding.left:
                tries += 1
                await asyncio.sleep(self._pace.again.pause(tries))
        await self._tickets.close(self._campaign, self._holding)
        await self._note_released()

    async def _note_released(self) -> None:
        now = self._clock.now().timestamp()
        await in_database(lambda: self._store.update(self._id, self._epoch, released_at=now, trouble=""))

    async def _tell_trouble(self, trouble: str) -> None:
        with suppress(Superseded):
            await in_database(lambda: self._store.update(self._id, self._epoch, trouble=trouble))

    def _names_of_batch(self, batch: Batch) -> list[str]:
        """The test cases of a batch, in its order."""
        return [self._order.bisected or self._names[test] for _, test, _ in batch.works]
