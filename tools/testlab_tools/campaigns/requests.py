"""What a campaign asks the node queue for: its first nodes by one ticket, then replacements, each by another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from testlab_tools.campaigns.holding import Holding
from testlab_tools.campaigns.pace import Pace, Patience
from testlab_tools.campaigns.records import Campaign, ticket_id
from testlab_tools.capabilities import NodeInventory
from testlab_tools.errors import LabError, NotFound
from testlab_tools.node_queue.queue import NodeRequest, ReservationQueue, Ticket

T = TypeVar("T")


class Tickets:
    """The tickets of one campaign, of which at most one waits. The number of the last is written down before it is
    given, `Campaign.tickets`; a process that takes the campaign up gives the same again."""

    def __init__(
        self, queue: ReservationQueue, campaign: Campaign, patience: Patience, pace: Pace, farm: NodeInventory
    ) -> None:
        self._queue, self._campaign_id, self._order = queue, campaign.campaign_id, campaign.order
        self._patience, self._pace, self._farm = patience, pace, farm
        self._waiting: int | None = None
        self.used = 0
        """The number that was given last here."""
        self._for_any = False
        self._gave_up = False

    def wants(self, campaign: Campaign, holding: Holding) -> bool:
        """Whether a ticket has to be given now. With nodes named, only those whose reservation has ended are asked for
        again while others work."""
        first, working = campaign.started_at is None, holding.working
        if self._waiting is not None:
            return not first and not working and not self._for_any
        missing = len(working) < holding.of_ticket(1) if self._order.device_type else bool(holding.lost)
        return first or not working or (missing and not self._gave_up)

    async def submit(self, campaign: Campaign, holding: Holding) -> None:
        """Give the ticket of the campaign's last number; again if it was given before. Where the service is in trouble
        it is given another time: the campaign may be cancelled meanwhile."""
        if self._waiting is not None:
            await self._cancel(self._waiting)
        self._for_any = campaign.started_at is not None and not holding.working
        try:
            request = await self._make_request(campaign.started_at is None, holding)
        except TimeoutError:
            return
        name = ticket_id(self._campaign_id, campaign.tickets)
        wait_s = self._pace.no_node_s if self._for_any else self._order.max_hours * 3600
        await self._ask(lambda: self._queue.submit(request, name, wait_s))
        self._waiting = self.used = campaign.tickets

    async def follow(self) -> Ticket | None:
        """The ticket that waited, once it waits no more."""
        if self._waiting is None:
            return None
        name = ticket_id(self._campaign_id, self._waiting)
        ticket = await self._ask(lambda: self._queue.follow(name, 0))
        if ticket.state == "waiting":
            return None
        self._waiting, self._gave_up = None, ticket.state != "granted"
        return ticket

    async def close(self, campaign: Campaign, holding: Holding) -> None:
        """Leave the line at the campaign's end, and say that what was granted is given back."""
        if not holding.of_ticket(campaign.tickets):
            await self._cancel(campaign.tickets)
        for number in range(1, campaign.tickets + 1):
            if holding.of_ticket(number):
                name = ticket_id(self._campaign_id, number)
                with suppress(NotFound):
                    await self._ask(lambda name=name: self._queue.note_ended(name))

    async def _cancel(self, number: int) -> None:
        name = ticket_id(self._campaign_id, number)
        with suppress(NotFound):
            await self._ask(lambda: self._queue.cancel(name))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The queue's answer, however long its database is away. Raises NotFound."""
        tries = 0
        while True:
            try:
                return await question()
            except NotFound:
                raise
            except LabError:
                tries += 1
                await asyncio.sleep(self._pace.again.pause(tries))

    async def _make_request(self, first: bool, holding: Holding) -> NodeRequest:
        order = self._order
        allowed, node_ids = order.allowed, order.node_ids
        replaces = not first and not self._for_any
        if replaces and node_ids:
            node_ids = tuple(sorted(holding.lost))
        elif replaces:
            async with asyncio.timeout(self._pace.look_s):
                listed = await self._patience.ask(self._farm.list_nodes)
            known = {self._farm.native(node.node_id) for node in listed}
            known -= holding.dropped - holding.lost
            allowed = tuple(sorted(known if allowed is None else known & set(allowed)))
        return NodeRequest(
            service=order.service,
            node_ids=node_ids,
            device_type=order.device_type,
            count=(len(order.node_ids) or order.node_count) if first else 1,
            message=order.message,
            duration_s=int(self._pace.horizon_s),
            caller=order.caller,
            allowed=allowed,
            extended=True,
        )
