"""Runs the workflow of each ticket: its service's granter serves it until nothing is left to do for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import Clock
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.granter import Granter
from testlab_tools.node_queue.store import TicketStore

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun


class TicketWorker:
    """The granters of one launch of the engine."""

    def __init__(
        self, store: TicketStore, services: LaunchServices, clock: Clock, poll_s: float, collect_s: float
    ) -> None:
        self._store = store
        self._launch_services = services
        self._services: Mapping[str, Service] = services.open()
        self._clock = clock
        self._pace = (poll_s, collect_s)
        self._granters: dict[str, Granter] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Serve a ticket."""
        ticket_id, name = inputs
        self._loop = asyncio.get_running_loop()
        if name not in self._services:
            why, now = f"No service {name} is configured any more", self._clock.now().timestamp()
            end = self._store.end
            await asyncio.to_thread(lambda: end(ticket_id, "refused", why, now, give_back=False))
            return
        if name not in self._granters:
            self._granters[name] = Granter(self._services[name], self._store, self._clock, *self._pace)
        await self._granters[name].attend(ticket_id)

    def wake(self, service: str) -> None:
        """Have a service's line looked at now. From any thread."""
        if self._loop is not None and service in self._granters and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._granters[service].wake)

    async def aclose(self) -> None:
        """Close the services, unless other work of this launch uses them."""
        await self._launch_services.aclose()
