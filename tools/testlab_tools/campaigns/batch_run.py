"""One batch on one node: written down, started, followed, and its runs counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from testlab_tools.campaigns.batch_job import BatchJobs, NodeVanished, NotStarted
from testlab_tools.campaigns.collecting import match_runs, split_open
from testlab_tools.campaigns.pace import Pace, describe, in_database
from testlab_tools.campaigns.records import Batch
from testlab_tools.campaigns.sharing import Work
from testlab_tools.campaigns.store import CampaignStore
from testlab_tools.durable.engine import Clock
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound, Refused, Unsupported
from testlab_tools.models.jobs import Job
from testlab_tools.models.lab import Run

Count = Callable[[Batch, Sequence[tuple[Work, Run | None]]], Awaitable[None]]
"""Takes results of a batch as they come; None is a run that the job counted and that was not found."""


class BatchEnd(NamedTuple):
    """How a batch ended: works that were `not_run`, how many `results` it brought and how many of them are errors, and
    why it ended too early. `fatal` ends the campaign, `unusable` the node's part in it."""

    not_run: list[Work]
    results: int = 0
    errors: int = 0
    why: str = ""
    fatal: str = ""
    unusable: str = ""


class BatchRuns:
    """Runs the batches of one campaign."""

    def __init__(
        self, store: CampaignStore, jobs: BatchJobs, campaign_id: str, count: Count, clock: Clock, pace: Pace
    ) -> None:
        self._store, self._jobs, self._id = store, jobs, campaign_id
        self._count, self._clock, self._pace = count, clock, pace
        self._cut: dict[int, set[str]] = {}
        """By test, the nodes whose jobs ended at it."""

    async def start(
        self, epoch: int, number: int, node: str, works: Sequence[Work], names: Sequence[str], revision: str
    ) -> BatchEnd:
        """Run works on a node, at a revision, to the end of their job."""
        batch = Batch(
            batch=number,
            node=node,
            works=[(work.item, work.test, work.kind) for work in works],
            state="intended",
            job_before=await self._jobs.last_job(node),
            intended_at=self._clock.now().timestamp(),
        )
        await in_database(lambda: self._store.intend(self._id, epoch, batch))
        try:
            uid = await self._jobs.start(batch, tuple(names), revision)
        except (NotStarted, LabError) as error:
            end = await self._explain_refusal(batch, error)
            await self._note_end(batch)
            return end._replace(not_run=list(works))
        return await self._follow(batch, uid, list(enumerate(works)), names)

    async def resume(self, batch: Batch, left: Sequence[tuple[int, Work]], names: Sequence[str]) -> BatchEnd:
        """Go on with a batch of a process that died: find its job if it was started, and follow that."""
        uid = batch.job_uid or await self._jobs.find(batch, tuple(names))
        if not uid:
            await self._note_end(batch)
            return BatchEnd([work for _, work in left], why="its job was never started")
        return await self._follow(batch, uid, left, names)

    async def stop(self, batch: Batch, left: Sequence[tuple[int, Work]], names: Sequence[str]) -> None:
        """Stop the job of a batch, if it was started, and count what has finished."""
        uid = batch.job_uid or await self._jobs.find(batch, tuple(names))
        if uid:
            await self._jobs.stop(uid)
            progress = _Progress(dict(left), names)
            await self._collect(batch, uid, progress)
        await self._note_end(batch)

    async def abandon(self, batch: Batch, names: Sequence[str]) -> None:
        """Stop the job of a batch, if it was started; count nothing."""
        if uid := batch.job_uid or await self._jobs.find(batch, tuple(names)):
            await self._jobs.stop(uid)
        await self._note_end(batch)

    async def _follow(self, batch: Batch, uid: str, left: Sequence[tuple[int, Work]], names: Sequence[str]) -> BatchEnd:
        await in_database(lambda: self._store.change_batch(self._id, batch.batch, state="running", job_uid=uid))
        progress, seen = _Progress(dict(left), names), -1

        async def look(job: Job) -> None:
            nonlocal seen
            if job.done > seen or job.finished:
                await self._collect(batch, uid, progress)
                seen = job.done

        why = unusable = ""
        try:
            job = await self._jobs.follow(uid, batch.node, look)
            await self._settle(batch, uid, progress, job)
            if progress.open:
                why = await self._explain_early_end(batch, progress)
        except NodeVanished:
            unusable = "it went offline during a job"
            await self._jobs.stop(uid)
            await self._collect(batch, uid, progress)
        except NotFound:
            why = "the service has forgotten its job"
            await self._collect(batch, uid, progress)
        await self._note_end(batch)
        return BatchEnd(list(progress.open.values()), progress.results, progress.errors, why, unusable=unusable)

    async def _explain_early_end(self, batch: Batch, progress: _Progress) -> str:
        """Why the first test without a result has none: of the node, or of the test once it ended jobs on two nodes,
        where it counts as an error and nothing is said of the node."""
        place, work = min(progress.open.items())
        nodes = self._cut.setdefault(work.test, set())
        nodes.add(batch.node)
        if len(nodes) > 1:
            await self._tell(batch, progress, [(place, None)])
            return ""
        progress.open[place] = replace(work, avoid=work.avoid | {batch.node})
        return "its job ended before all its tests had run"

    async def _settle(self, batch: Batch, uid: str, progress: _Progress, job: Job) -> None:
        """Wait for the last results of a job that has ended; those that never come are counted as errors."""
        until = self._clock.seconds() + self._pace.result_lag_s
        while job.done > progress.found and progress.open and self._clock.seconds() < until:
            await self._jobs.pause()
            await self._collect(batch, uid, progress)
        lost, _ = split_open(progress.collected, job.done)
        await self._tell(batch, progress, [(place, None) for place in lost if place in progress.open])

    async def _collect(self, batch: Batch, uid: str, progress: _Progress) -> None:
        progress.collected = match_runs(progress.names, await self._jobs.list_runs(uid))
        runs = sorted(progress.collected.runs.items())
        await self._tell(batch, progress, [(place, run) for place, run in runs if place in progress.open])

    async def _tell(self, batch: Batch, progress: _Progress, results: Sequence[tuple[int, Run | None]]) -> None:
        if results:
            await self._count(batch, [(progress.open[place], run) for place, run in results])
            progress.note(results)

    async def _note_end(self, batch: Batch) -> None:
        now = self._clock.now().timestamp()
        await in_database(lambda: self._store.change_batch(self._id, batch.batch, state="ended", ended_at=now))

    async def _explain_refusal(self, batch: Batch, error: NotStarted | LabError) -> BatchEnd:
        """What an error means that came in place of a job."""
        unusable = await self._jobs.why_unusable(batch.node)
        if unusable:
            return BatchEnd([], unusable=unusable)
        match error:
            case NotStarted():
                return BatchEnd([])
            case Conflict():
                return BatchEnd([], why="somebody else's job runs on it")
            case Refused():
                return BatchEnd([], unusable=describe(error))
            case BadInput() | NotFound() | Unsupported():
                return BatchEnd([], fatal=describe(error))
            case _:
                return BatchEnd([], why=describe(error))


class _Progress:
    """What of a batch has its result; `open` are the works that have none, by place."""

    def __init__(self, left: dict[int, Work], names: Sequence[str]) -> None:
        self.open = left
        self.names = names
        self.collected = match_runs(names, ())
        self.results = self.errors = 0

    @property
    def found(self) -> int:
        """Runs that were found so far, those counted before a crash among them."""
        return len(self.collected.runs)

    def note(self, results: Sequence[tuple[int, Run | None]]) -> None:
        """Results that are counted now."""
        for place, run in results:
            del self.open[place]
            self.results += 1
            self.errors += run is None or run.outcome == "error"
