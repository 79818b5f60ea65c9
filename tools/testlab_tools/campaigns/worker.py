"""Runs campaigns as workflows of the engine: one workflow each, with no step, begun again from its tables."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from testlab_tools.campaigns.pace import Pace, in_database
from testlab_tools.campaigns.records import Campaign, ticket_id
from testlab_tools.campaigns.runner import CampaignRunner
from testlab_tools.campaigns.store import CampaignStore, Superseded
from testlab_tools.capabilities import JobFarm, Service
from testlab_tools.durable.engine import Clock
from testlab_tools.errors import LabError
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.queue import ReservationQueue

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

MAX_STARTS = 5
"""A campaign that fails in a way nobody foresaw is begun again so often by one process; a start that ran for
`STEADY_S` seconds is the first of a new count."""
STEADY_S = 600.0
AGAIN_S = 5.0
logger = logging.getLogger("testlab_tools")


class CampaignWorker:
    """The campaigns of one launch of the engine."""

    def __init__(
        self,
        store: CampaignStore,
        services: LaunchServices,
        queue: ReservationQueue,
        clock: Clock,
        pace: Pace,
        announce: Callable[[str], Awaitable[None]],
    ) -> None:
        """`announce` is awaited with the id of each campaign that has ended, perhaps again after a crash."""
        self._store, self._launch, self._queue = store, services, queue
        self._announce = announce
        self._services: Mapping[str, Service] = services.open()
        self._clock, self._pace = clock, pace

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Run a campaign to its end."""
        campaign_id = str(inputs[0])
        try:
            released = await self._run_to_end(campaign_id)
        except Superseded:
            await asyncio.Event().wait()  # until this launch ends: another process is the leader
            return
        await self._tell(campaign_id)
        if not released:
            await asyncio.Event().wait()  # until this launch ends: the next one gives back what is left

    async def _run_to_end(self, campaign_id: str) -> bool:
        """Run a campaign, begun again after what nobody foresaw; returns whether its nodes are given back. Raises
        Superseded."""
        starts = 0
        while True:
            began = self._clock.seconds()
            try:
                return await self._run(campaign_id)
            except Superseded:
                raise
            except Exception:
                logger.exception("campaign %s met something nobody foresaw", campaign_id)
            starts = 1 if self._clock.seconds() - began > STEADY_S else starts + 1
            if starts >= MAX_STARTS:
                return await self._fail(campaign_id, "Something went wrong inside this server; its log has it.")
            await asyncio.sleep(AGAIN_S)

    async def _tell(self, campaign_id: str) -> None:
        """Announce the end, however long the database is away."""
        while True:
            try:
                await self._announce(campaign_id)
            except LabError as error:
                logger.warning("campaign %s is announced later: %s", campaign_id, error.what)
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def aclose(self) -> None:
        await self._launch.aclose()

    async def _run(self, campaign_id: str) -> bool:
        campaign = await in_database(lambda: self._store.read(campaign_id))
        if campaign is None or campaign.released_at is not None:
            return True
        service = self._services.get(campaign.order.service)
        if not isinstance(service, JobFarm):
            name = campaign.order.service
            return await self._fail(campaign_id, f"The config has no service {name} that can run it any more.")
        await self._make_runner(campaign, service).run()
        return True

    async def _fail(self, campaign_id: str, why: str) -> bool:
        """End a campaign that cannot be run; returns whether its nodes are given back. Raises Superseded."""
        epoch = await in_database(lambda: self._store.begin(campaign_id))
        campaign = await in_database(lambda: self._store.read(campaign_id))
        if campaign is None:
            return True
        if not campaign.ended:
            values = {"state": "failed", "why": why, "trouble": "", "ended_at": self._clock.now().timestamp()}
            await in_database(lambda: self._store.update(campaign_id, epoch, **values))
        service = self._services.get(campaign.order.service)
        if isinstance(service, JobFarm):
            return await self._make_runner(campaign, service).abandon()
        for number in range(1, campaign.tickets + 1):
            with suppress(LabError):
                await self._queue.cancel(ticket_id(campaign_id, number))
        nodes = await in_database(lambda: self._store.nodes(campaign_id))
        now = self._clock.now().timestamp()
        released = all(node.given_back or (node.until is not None and now > node.until) for node in nodes)
        if released:
            await in_database(lambda: self._store.update(campaign_id, epoch, released_at=now))
        return released

    def _make_runner(self, campaign: Campaign, service: JobFarm) -> CampaignRunner:
        return CampaignRunner(self._store, service, self._queue, campaign, self._clock, self._pace)
