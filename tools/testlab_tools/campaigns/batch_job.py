"""A batch's job at its service: started once, found again by its tag, followed to its end, and its runs read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from testlab_tools.campaigns.orders import TAG, CampaignOrder
from testlab_tools.campaigns.pace import PASSING, Pace, Patience
from testlab_tools.campaigns.records import Batch
from testlab_tools.capabilities import JobFarm
from testlab_tools.errors import AnswerLost, BadReply, NotFound, RateLimited, ServiceDown
from testlab_tools.models.jobs import Job
from testlab_tools.models.lab import Run
from testlab_tools.models.requests import RunQuery, TestOrder

PAGE = 500
SKEW_S = 300.0
"""By which the service's clock and ours may differ."""
UNUSABLE = ("offline", "licence expired", "unavailable")


class NodeVanished(Exception):
    """A node has been offline for so long that its job is given up."""


class NotStarted(Exception):
    """The batch's job was not started; `cause` is the error that came instead."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class BatchJobs:
    """The jobs of one campaign."""

    def __init__(
        self, service: JobFarm, campaign_id: str, order: CampaignOrder, patience: Patience, pace: Pace
    ) -> None:
        self._service, self._id, self._order = service, campaign_id, order
        self._patience, self._pace = patience, pace

    async def last_job(self, node: str) -> str:
        """The native id of a node's current or last job; empty where it has never run one."""
        try:
            job = await self._patience.ask(lambda: self._service.get_node_job(node))
        except NotFound:
            return ""
        return self._service.native(job.job_uid)

    async def start(self, batch: Batch, names: tuple[str, ...], revision: str) -> str:
        """Start the job of a batch that is written down, at a revision, and return its native id. It is sent once.

        Raises:
            NotStarted: it is certain that no job was started.
            LabError: the service refuses it.
        """
        order = self._order
        asked = TestOrder(
            revision,
            names,
            order.remote_control,
            order.category,
            tags=order.tag(self._id, batch.batch),
        )
        try:
            job = await self._service.run_tests(batch.node, asked)
        except (AnswerLost, BadReply, ServiceDown, RateLimited) as error:
            found = await self.find(batch, names)
            if not found:
                raise NotStarted(error) from None
            return found
        return self._service.native(job.job_uid)

    async def find(self, batch: Batch, names: tuple[str, ...]) -> str:
        """The job of a batch that may have been started; empty where none was.

        An order that is still on its way has `settle_s` to arrive.
        """
        await asyncio.sleep(self._pace.settle_s)
        last = await self.last_job(batch.node)
        if last in ("", batch.job_before):
            return ""
        if await self._is_of(batch, last, names):
            return last
        since = datetime.fromtimestamp(batch.intended_at - SKEW_S, UTC)
        station = RunQuery(station=batch.node, since=since, oldest_first=True)
        runs = await self._patience.ask(lambda: self._list_runs(station))
        others = dict.fromkeys(self._service.native(run.job_uid) for run in runs if run.job_uid)
        for uid in others:
            if uid not in (batch.job_before, last) and await self._is_of(batch, uid, names):
                return uid
        return ""

    async def follow(self, uid: str, node: str, look: Callable[[Job], Awaitable[None]]) -> Job:
        """The job once it has ended; `look` is called each time it was read.

        Raises:
            NodeVanished: its node has gone offline, and the job does not go on.
            NotFound: the service has forgotten the job.
        """
        loop = asyncio.get_running_loop()
        done, offline_since = -1, None
        while True:
            job = await self._patience.ask(lambda: self._service.get_job(uid, patient=False))
            await look(job)
            if job.finished:
                return job
            if job.done > done or not await self._is_unusable(node):
                done, offline_since = max(done, job.done), None
            elif offline_since is None:
                offline_since = loop.time()
            elif loop.time() - offline_since > self._pace.offline_s:
                raise NodeVanished
            await self._hold(uid)

    async def stop(self, uid: str) -> None:
        """Have a job stop, and wait for that within bounds."""
        with suppress(TimeoutError, NotFound):
            async with asyncio.timeout(self._pace.stop_s):
                while True:
                    try:
                        if await self._service.stop_job(uid):
                            return
                    except (*PASSING, AnswerLost) as error:
                        await self._patience.tell_of(error)
                    await asyncio.sleep(1.0)

    async def list_runs(self, uid: str) -> list[Run]:
        """All runs of a job so far, oldest first."""
        return await self._patience.ask(lambda: self._list_runs(RunQuery(job=uid, oldest_first=True)))

    async def _list_runs(self, query: RunQuery) -> list[Run]:
        runs: list[Run] = []
        while True:
            page = await self._service.list_runs(query, PAGE, runs[-1].position if runs else "")
            runs += page.runs
            if not page.more or not page.runs:
                return runs

    async def _is_of(self, batch: Batch, uid: str, names: tuple[str, ...]) -> bool:
        """Whether a job is that of a batch: told by the tag of its first run, waited for while the job runs. Where the
        service tells no tags, by the names and the time."""
        while True:
            job = await self._patience.ask(lambda: self._service.get_job(uid))
            if job.total not in (0, len(names)):
                return False
            runs = await self.list_runs(uid)
            if runs:
                break
            if job.finished:
                return False
            await self._hold(uid)
        first = runs[0]
        detail = await self._patience.ask(lambda: self._service.get_run(self._service.native(first.run_id)))
        if detail.tags:
            return detail.tags.get(TAG) == f"{self._id}/{batch.batch}"
        fits = [run.test for run in runs] == list(names[: len(runs)])
        return fits and first.started_at.timestamp() > batch.intended_at - SKEW_S

    async def _hold(self, uid: str) -> None:
        """Until the job ends, or it is time to look at it again."""
        began = asyncio.get_running_loop().time()
        with suppress(TimeoutError, *PASSING):
            async with asyncio.timeout(self._pace.look_s):
                if await self._service.await_job(uid):
                    return
        if asyncio.get_running_loop().time() - began < 1.0:
            await asyncio.sleep(min(2.0, self._pace.look_s))

    async def _is_unusable(self, node: str) -> bool:
        return bool(await self.why_unusable(node))

    async def why_unusable(self, node: str) -> str:
        """Why a node can run nothing; empty where it can."""
        try:
            found = await self._patience.ask(lambda: self._service.get_node(node))
        except NotFound:
            return "the service has no such node any more"
        return f"it is {found.state}" if found.state in UNUSABLE else ""

    async def pause(self) -> None:
        """A little, for results that are still to be listed."""
        await asyncio.sleep(min(2.0, self._pace.result_lag_s))
