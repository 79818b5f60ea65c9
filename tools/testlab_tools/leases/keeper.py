"""Gives back what nobody has any more, and extends what is at work.

What a dead process made for a caller over stdio is ended. What it made for a caller over HTTP goes on with this
process, and is ended once the caller has been silent for too long, as that of this process is. A caller is not silent
while a job runs on the node. Silence is measured by this process's own clock, from when it last saw the caller's sign
of life change: setting a clock ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from testlab_tools.capabilities import NodeInventory, NodeReservations, Service
from testlab_tools.durable.threads import run_in_thread
from testlab_tools.errors import LabError
from testlab_tools.fanout import ask_all
from testlab_tools.leases.store import Lease, LeaseStore
from testlab_tools.leases.tracker import find_held
from testlab_tools.models.nodes import Node

PASS_S = 30.0
FIRST_S = 3.0
EXTEND_BEFORE_S = 120.0
EXTEND_S = 600
MAX_EXTENSIONS = 12
"""Of one reservation by one process: two hours in all."""
LOCAL = "local"

logger = logging.getLogger("testlab_tools")
OnEnded = Callable[[str, str, str], Awaitable[None]]
"""Is told of a reservation ended here: its caller, its handle, and why."""


class LeaseKeeper:
    """A loop over what is written down of some services; `over_http` says whether callers call over HTTP."""

    def __init__(
        self,
        store: LeaseStore,
        services: Sequence[Service],
        idle_s: float,
        over_http: bool,
        on_ended: OnEnded | None = None,
        pass_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """After `idle_s` seconds without a call, a caller's reservations end; 0 is never."""
        self._store = store
        self._farms = [service for service in services if isinstance(service, NodeReservations)]
        self._idle_s = idle_s
        self._over_http = over_http
        self._on_ended = on_ended
        self._pass_s = PASS_S if pass_s is None else pass_s
        self._now = now
        self._signs: dict[str, tuple[str, float]] = {}
        self._extended: dict[tuple[str, str], int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, first after some seconds."""
        if self._task is None and self._farms and not self._store.stays:
            self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Stop; reservations stay as they are."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await asyncio.sleep(min(FIRST_S, self._pass_s))
        while True:
            try:
                await self.look()
            except Exception:
                logger.exception("reservations could not be looked after; it is tried again")
            await asyncio.sleep(self._pass_s)

    async def look(self) -> None:
        """Give back and extend once."""
        await run_in_thread(self._store.flush)
        written = {farm: await run_in_thread(self._store.load, farm) for farm in self._farms}
        if not any(written.values()):
            return
        signs = await run_in_thread(self._store.activity)
        for caller in {lease.caller for leases in written.values() for lease in leases}:
            sign = signs.get(caller, "")
            if self._signs.get(caller, (None, 0.0))[0] != sign:
                self._signs[caller] = sign, self._now()
        answers = await ask_all(
            [farm for farm in written if written[farm]], lambda farm: self._keep(farm, written[farm])
        )
        for name, error in answers.failed.items():
            logger.warning("reservations of %s cannot be looked after now: %s", name, error.what)

    async def _keep(self, farm: NodeReservations, leases: Sequence[Lease]) -> None:
        assert isinstance(farm, NodeInventory), "what has reservations has nodes"
        alive: dict[str, bool] = {}
        for process in {lease.process for lease in leases if lease.process}:
            alive[process] = await run_in_thread(self._store.is_alive, process)
        nodes: Mapping[str, Node] = {}
        for lease in leases:
            if not lease.process or (lease.process != self._store.process and alive[lease.process]):
                continue
            is_orphan = lease.process != self._store.process
            if is_orphan and lease.caller == LOCAL:
                await self._end(farm, lease, "the process that made it has died")
            elif is_orphan and self._over_http:
                lease = lease.model_copy(update={"process": self._store.process})
                await run_in_thread(self._store.save, farm, lease)
            if lease.process == self._store.process:
                nodes = nodes or {farm.native(node.node_id): node for node in await farm.list_nodes()}
                await self._keep_own(farm, lease, nodes.get(lease.node))

    async def _keep_own(self, farm: NodeReservations, lease: Lease, node: Node | None) -> None:
        held = node.reservation if node else None
        if node is None or held is None or farm.native(held.reservation_id) != lease.reservation or not held.yours:
            await run_in_thread(self._store.delete, farm, lease.reservation)
            return
        is_at_work = node.state == "busy" or (node.job is not None and not node.job.finished)
        if is_at_work:
            self._signs[lease.caller] = self._signs[lease.caller][0], self._now()
            await self._extend(farm, lease, held.expires_at)
        elif self._over_http and self._idle_s and self._now() - self._signs[lease.caller][1] >= self._idle_s:
            minutes = round(self._idle_s / 60)
            await self._end(farm, lease, f"its caller has not called for {minutes} minutes, and no job runs")

    async def _extend(self, farm: NodeReservations, lease: Lease, end: datetime | str) -> None:
        """Extend a reservation that would end while a job runs on its node."""
        key = farm.name, lease.reservation
        if not isinstance(end, datetime) or (end - datetime.now(UTC)).total_seconds() > EXTEND_BEFORE_S:
            return
        if self._extended.get(key, 0) < MAX_EXTENSIONS:
            self._extended[key] = self._extended.get(key, 0) + 1
            await farm.extend_reservation(lease.reservation, EXTEND_S)
            logger.info("extended reservation %s: a job runs on its node", farm.handle(lease.reservation))

    async def _end(self, farm: NodeReservations, lease: Lease, why: str) -> None:
        """End a reservation that is still the one written down. Raises LabError: then the next pass does."""
        handle = farm.handle(lease.reservation)
        if await find_held(farm, lease) is not None:
            self._store.given_back.add((farm.name, lease.reservation))
            try:
                await farm.end_reservation(lease.reservation)
            except LabError:
                self._store.given_back.discard((farm.name, lease.reservation))
                raise
            logger.warning("ended reservation %s of %s: %s", handle, lease.caller, why)
            if self._on_ended is not None:
                await self._on_ended(lease.caller, handle, why)
        await run_in_thread(self._store.delete, farm, lease.reservation)
