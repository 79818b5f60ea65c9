"""The line for nodes, as tools and other long work use it. The first use imports DBOS."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, database_error
from testlab_tools.durable.threads import run_in_thread
from testlab_tools.errors import NotFound
from testlab_tools.long_services import LaunchServices
from testlab_tools.node_queue.tickets import HeldNode, NodeRequest, Ticket, TicketState

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows
    from testlab_tools.node_queue.store import TicketStore
    from testlab_tools.node_queue.worker import TicketWorker

__all__ = ["GIVEN_BACK", "HeldNode", "NodeRequest", "ReservationQueue", "Ticket", "TicketState", "ticket_prefix"]

WORKFLOW = "node_queue"
LOOK_S = 0.25
CANCEL_S = 5.0
POLL_S = 3.0
COLLECT_S = 600.0
"""Nodes that were granted while nobody asked are given back after this."""
GIVEN_BACK = "Its nodes were given back"
"""Why a ticket has ended whose nodes somebody had."""


def ticket_prefix(*request: object) -> str:
    """How the ids of the tickets of one request begin: the same caller who asks for the same."""
    return f"ticket-{hashlib.sha256(repr(request).encode()).hexdigest()[:12]}."


class ReservationQueue:
    """Tickets on the engine of a lab. The leader of the database grants them, whichever process that is."""

    def __init__(
        self, engine: Engine, services: LaunchServices, poll_s: float | None = None, collect_s: float | None = None
    ) -> None:
        """`poll_s` is how often a service with tickets is asked for its nodes, in seconds; granted nodes that nobody
        came for are given back after `collect_s`."""
        self.engine = engine
        self._services = services
        self._pace = (POLL_S if poll_s is None else poll_s, COLLECT_S if collect_s is None else collect_s)
        self._database = LateStore(engine, _open_store, _failure)
        self._worker: TicketWorker | None = None
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    @property
    def in_use(self) -> bool:
        """Whether this process has used it."""
        return self._database.is_open

    async def submit(self, request: NodeRequest, ticket_id: str, wait_s: float) -> Ticket:
        """Stand in line for up to `wait_s` seconds. A ticket of this id that is there already is returned as it stands.

        Raises LabError where it cannot be written down.
        """
        now = self.engine.clock.now().timestamp()
        ticket = await self._database.ask(lambda store: store.submit(request, ticket_id, now, wait_s))
        self.engine.wake()
        self.wake(request.service)
        return ticket

    async def read(self, ticket_id: str) -> Ticket | None:
        """A ticket as it stands; None where there is none."""
        return await self._database.ask(lambda store: store.read(ticket_id))

    async def find(self, ticket_id: str) -> Ticket:
        """As `read`. Raises NotFound where there is none."""
        if (ticket := await self.read(ticket_id)) is None:
            raise NotFound("There is no such ticket", "It ended days ago, or never was", "").naming(ticket_id)
        return ticket

    async def follow(
        self, ticket_id: str, seconds: float, on_granted: Callable[[Ticket], None] | None = None
    ) -> Ticket:
        """Wait until a ticket waits no longer, or so many seconds. Whoever follows a ticket that is granted has its
        nodes from then on: the queue does not give them back. `on_granted` is called just before, to write down who has
        them. Raises NotFound."""
        self.engine.wake()
        until = asyncio.get_running_loop().time() + seconds
        while True:
            ticket = await self.find(ticket_id)
            if ticket.state == "granted":
                if on_granted is not None:
                    on_granted(ticket)
                now = self.engine.clock.now().timestamp()
                await self._database.ask(lambda store, now=now: store.note_collected(ticket_id, now))
                ticket = await self.find(ticket_id)  # it may have been given back at this moment
                self.wake(ticket.request.service)
            if ticket.state != "waiting" or asyncio.get_running_loop().time() >= until:
                return ticket
            await asyncio.sleep(LOOK_S)

    async def cancel(self, ticket_id: str) -> Ticket:
        """Leave the line, and end what was granted, as far as it is still the ticket's. Returns once nothing is held,
        or after `CANCEL_S` seconds, while that goes on. Raises NotFound."""
        ticket = await self.find(ticket_id)
        now = self.engine.clock.now().timestamp()
        await self._database.ask(lambda store: store.end(ticket_id, "cancelled", "It was cancelled", now))
        self.engine.wake()
        self.wake(ticket.request.service)
        until = asyncio.get_running_loop().time() + CANCEL_S
        while asyncio.get_running_loop().time() < until:
            if not await self._database.ask(lambda store: store.is_due(ticket_id)):
                break
            await asyncio.sleep(LOOK_S)
        return await self.find(ticket_id)

    async def list(self, service: str = "", prefix: str = "") -> list[Ticket]:
        """Tickets in the order of the line, those that have ended lately among them; of one service, or with ids that
        begin so."""
        return await self._database.ask(lambda store: store.list(service, prefix))

    async def list_granted(self) -> list[Ticket]:
        """Tickets whose nodes are reserved. A process that has not used the queue, and where nothing stored waits, does
        not import DBOS for it."""
        if not self.in_use and await run_in_thread(self.engine.database.list_waiting) == []:
            return []
        return [ticket for ticket in await self.list() if ticket.state == "granted"]

    async def note_ended(self, ticket_id: str) -> None:
        """Note that a granted ticket's nodes were given back by those who had them."""
        now = self.engine.clock.now().timestamp()
        await self._database.ask(lambda store: store.end(ticket_id, "ended", GIVEN_BACK, now, give_back=False))

    def wake(self, service: str) -> None:
        """Have the line looked at now, as after a reservation has ended here."""
        if self._worker is not None:
            self._worker.wake(service)

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now().timestamp())

    def _open_worker(self) -> TicketWorker:
        from testlab_tools.node_queue.worker import TicketWorker

        store = self._database.open()
        self._worker = TicketWorker(store, self._services, self.engine.clock, *self._pace)
        return self._worker


def _open_store(workflows: Workflows) -> TicketStore:
    from testlab_tools.node_queue.store import TicketStore

    return TicketStore(workflows)


_failure = database_error(
    "tickets", "Call again: a ticket that was written down waits on. [durable] in the config names the database."
)
