"""The nodes that a campaign holds: extended while it runs, and given back whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from testlab_tools.campaigns.pace import Pace, describe, in_database
from testlab_tools.campaigns.records import CampaignNode, ticket_id
from testlab_tools.capabilities import NodeReservations
from testlab_tools.durable.engine import Clock
from testlab_tools.errors import LabError, NotFound, Refused
from testlab_tools.models.nodes import Reservation
from testlab_tools.node_queue.granter import marker
from testlab_tools.node_queue.queue import HeldNode

if TYPE_CHECKING:
    from testlab_tools.campaigns.store import CampaignStore

LOST = "Its reservation had ended."
"""As after a night without any server: no fault of the node."""
AFTER_EXPIRY_S = 60.0
SAME_END_S = 5.0


class Holding:
    """The nodes of one campaign. Only those in state "held" are given work."""

    def __init__(
        self, store: CampaignStore, reservations: NodeReservations, campaign_id: str, clock: Clock, pace: Pace
    ) -> None:
        self._store, self._farm, self._id = store, reservations, campaign_id
        self._clock, self._pace = clock, pace
        self._nodes: list[CampaignNode] = []
        self._extended: dict[str, float] = {}
        """When each reservation was extended last, by the monotonic clock."""

    async def load(self) -> None:
        """Read the nodes from the database."""
        self._nodes = await in_database(lambda: self._store.nodes(self._id))

    @property
    def working(self) -> list[str]:
        """The nodes that can be given work."""
        return [node.node for node in self._nodes if node.state == "held"]

    @property
    def dropped(self) -> set[str]:
        """Nodes that were dropped and not granted anew."""
        return {node.node for node in self._nodes if node.state == "dropped"} - set(self.working)

    @property
    def lost(self) -> set[str]:
        """Nodes that only their reservation was lost of."""
        return {node.node for node in self._nodes if node.state == "dropped" and node.why == LOST} - set(self.working)

    @property
    def left(self) -> bool:
        """Whether any node is still to be given back."""
        return any(not node.given_back for node in self._nodes)

    def of_ticket(self, number: int) -> int:
        """How many nodes a ticket has brought."""
        return sum(node.ticket == number for node in self._nodes)

    async def take(self, epoch: int, ticket: int, granted: Sequence[HeldNode], **values: object) -> None:
        """Write down nodes that a ticket has brought, with columns of the campaign."""
        now = self._clock.now().timestamp()
        made = [
            CampaignNode(
                node=held.node_id,
                reservation_id=held.reservation_id,
                ticket=ticket,
                state="held",
                until=held.until or now + self._pace.horizon_s,
            )
            for held in granted
        ]
        await in_database(lambda: self._store.hold(self._id, epoch, made, **values))
        await self.load()

    async def drop(self, node: str, why: str) -> None:
        """Give a node no more work, and give it back."""
        for held in [one for one in self._nodes if one.node == node and one.state == "held"]:
            await self._change(held, state="dropped", why=why)
        await self.give_back()

    async def doubt(self, node: str, why: str) -> None:
        """Say what is wrong with a node that works; empty for nothing."""
        for held in [one for one in self._nodes if one.node == node and one.state == "held" and one.why != why]:
            await self._change(held, why=why)

    async def release(self) -> None:
        """Give work to none any more."""
        for held in [one for one in self._nodes if one.state == "held"]:
            await self._change(held, state="released")

    async def extend(self) -> list[str]:
        """Extend all reservations to the horizon, and every `extend_s` by as much at least and twice as much at most:
        the service's clock may be far from ours. Returns the nodes whose reservation has ended."""
        lost: list[str] = []
        for held in [one for one in self._nodes if one.state == "held"]:
            try:
                await self._extend(held)
            except (NotFound, Refused):
                lost.append(held.node)
            except LabError:
                continue  # it lasts for several more tries
        return lost

    async def give_back(self) -> None:
        """Try once to end each reservation that gives no node work; never another's that has its id by now."""
        for held in [one for one in self._nodes if one.state != "held" and not one.given_back]:
            try:
                if self._is_ours(held, await self._farm.get_reservation(held.reservation_id)):
                    await self._farm.end_reservation(held.reservation_id)
            except (NotFound, Refused):
                await self._change(held, given_back=True)
            except LabError as error:
                # Where the service's clock is ahead or behind, the reservation is asked for a little longer.
                if held.until is not None and self._clock.now().timestamp() > held.until + AFTER_EXPIRY_S:
                    why = f"{held.why} It was left to end by itself: {describe(error)}".strip()
                    await self._change(held, given_back=True, why=why)
            else:
                await self._change(held, given_back=True)

    async def _extend(self, held: CampaignNode) -> None:
        now = self._clock.now().timestamp()
        found = await self._farm.get_reservation(held.reservation_id)
        if not self._is_ours(held, found):
            raise NotFound(LOST)
        if isinstance(found.expires_at, str):  # it has no end, or tells none
            return
        seconds, every = self._clock.seconds(), self._pace.extend_s
        last = self._extended.get(held.reservation_id)
        if last is None or seconds - last >= 0.9 * every:
            missing = now + self._pace.horizon_s - found.expires_at.timestamp()
            found = await self._farm.extend_reservation(held.reservation_id, int(max(every, min(missing, 2 * every))))
            self._extended[held.reservation_id] = seconds
        if not isinstance(found.expires_at, str):
            await self._change(held, until=found.expires_at.timestamp())

    def _is_ours(self, held: CampaignNode, found: Reservation) -> bool:
        """Whether a reservation is the one that was granted: told by the mark of its ticket; where the service keeps no
        messages, by its end."""
        if not found.yours:
            return False
        if message := str(found.message):
            return marker(ticket_id(self._id, held.ticket)) in message.split()
        end = found.expires_at
        return isinstance(end, str) or held.until is None or end.timestamp() >= held.until - SAME_END_S

    async def _change(self, held: CampaignNode, **changes: object) -> None:
        changed = held.model_copy(update=changes)
        self._nodes = [changed if one is held else one for one in self._nodes]
        await asyncio.shield(in_database(lambda: self._store.change_node(self._id, changed)))
