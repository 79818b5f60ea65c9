"""Serves the line of one service: lists its nodes, reserves what can be granted, gives back what nobody has any more.

All of it is found in the tables and at the service: after a crash the next granter goes on from there. What is about to
be reserved is written down first, with a marker of the ticket in the reservation's message, and is looked for before
the ticket is granted anything else.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from testlab_tools.capabilities import NodeInventory, NodeQueue, NodeReservations, Service
from testlab_tools.durable.engine import Clock
from testlab_tools.durable.steady_clock import SteadyClock
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound, Refused, Unsupported
from testlab_tools.models.nodes import Node
from testlab_tools.node_queue.fitness import FaultCollector, Faults, out_of_service
from testlab_tools.node_queue.granting import Claim, Decision, decide, place_in_line
from testlab_tools.node_queue.holdings import MARKER, Holdings
from testlab_tools.node_queue.matching import make_claim, passed_over
from testlab_tools.node_queue.outlook import Span, expected_hold, expected_wait, is_bound, remaining, typical_hold
from testlab_tools.node_queue.store import Entry, Intent, TicketStore
from testlab_tools.node_queue.tickets import HeldNode, Ticket

LEAST_S = 1.0
"""Between two passes, however many tickets come."""
DOWN_S = 30.0
"""The longest pause while the service does not answer."""
SETTLE_S = 10.0
"""How long a reservation whose answer was lost may still appear."""
SAME_END_S = 5.0
TOO_LATE = "Its time to wait was over before its nodes were free"
NOBODY_CAME = "Nobody came for the nodes within {:.0f} minutes of their grant"

logger = logging.getLogger("testlab_tools")


def marker(ticket_id: str) -> str:
    """What marks reservations of a ticket, at the end of their message."""
    return f"{MARKER}{hashlib.sha256(ticket_id.encode()).hexdigest()[:8]}"


def message_of(ticket: Ticket) -> str:
    """The message of a ticket's reservations, which colleagues see."""
    request = ticket.request
    by = "" if request.caller == "local" else f" ({request.caller})"
    return f"{request.message}{by} {marker(ticket.ticket_id)}"


class Granter:
    """One loop for all tickets of a service, while there are any."""

    def __init__(self, service: Service, store: TicketStore, clock: Clock, poll_s: float, collect_s: float) -> None:
        self._service = service
        self._store = store
        self._clock = SteadyClock(clock)
        self._poll_s = poll_s
        self._collect_s = collect_s
        self._faults = FaultCollector(service)
        self._holdings = Holdings()
        self._wake = asyncio.Event()
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def attend(self, ticket_id: str) -> None:
        """Serve the line until nothing is left to do for the ticket."""
        future = self._waiters.setdefault(ticket_id, asyncio.get_running_loop().create_future())
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        self._wake.set()
        await asyncio.shield(future)

    def wake(self) -> None:
        """Look at once: something has changed. To be called in the granter's event loop."""
        self._wake.set()

    async def _serve(self) -> None:
        pause, is_down = self._poll_s, False
        while self._waiters:
            self._wake.clear()
            waiters = set(self._waiters)
            try:
                left = await self._pass()
                pause, is_down = self._poll_s, False
                for ticket_id in waiters - left:
                    if not (future := self._waiters.pop(ticket_id)).done():
                        future.set_result(None)
            except LabError as error:
                pause = min(DOWN_S, max(self._poll_s, pause * 2))
                if not is_down:
                    logger.warning("the line for nodes of %s stands still: %s", self._service.name, error.what)
                is_down = True
            except Exception:
                if not is_down:
                    logger.exception("the line for nodes of %s stands still; it is tried again", self._service.name)
                is_down = True
            await self._rest(pause)

    async def _rest(self, pause: float) -> None:
        least = min(LEAST_S, self._poll_s)
        await asyncio.sleep(least)
        try:
            async with asyncio.timeout(max(0.0, pause - least)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _pass(self) -> set[str]:
        """Do what can be done now; returns the tickets that need more."""
        store, name = self._store, self._service.name
        await self._end_late(await asyncio.to_thread(store.active, name))
        entries = await asyncio.to_thread(store.active, name)
        if any(entry.ticket.state == "waiting" or entry.is_due or entry.intent for entry in entries):
            try:
                await self._act(entries)
            except LabError as error:
                await self._tell_trouble(entries, error)
                raise
        return {entry.ticket.ticket_id for entry in await asyncio.to_thread(store.active, name)}

    async def _end_late(self, entries: Sequence[Entry]) -> None:
        """End tickets whose time is over, and those whose nodes nobody came for."""
        now, store = self._clock.now(), self._store
        for entry in entries:
            ticket = entry.ticket
            granted_at = ticket.granted_at if ticket.state == "granted" else None
            age = self._clock.age(ticket.ticket_id, granted_at or ticket.written_at)
            if ticket.state == "waiting" and age >= ticket.deadline - ticket.written_at:
                end = partial(store.end, ticket.ticket_id, "expired", TOO_LATE, now)
                await asyncio.to_thread(end, give_back=entry.intent is not None)
            elif granted_at is not None and age >= self._collect_s:
                reason = NOBODY_CAME.format(self._collect_s / 60)
                await asyncio.to_thread(store.end_uncollected, ticket.ticket_id, reason, now)

    async def _act(self, entries: Sequence[Entry]) -> None:
        nodes = await self._list_nodes()
        await self._observe(nodes)
        for entry in entries:
            if entry.intent is not None:
                await self._settle(entry, entry.intent, nodes)
            elif entry.is_due:
                await self._give_back(entry.ticket, entry.ticket.reservations, nodes)
        waiting = [e.ticket for e in entries if e.ticket.state == "waiting" and e.intent is None]
        if waiting:
            being_reserved = {name for entry in entries if entry.intent for name in entry.intent.nodes}
            await self._grant(waiting, nodes, being_reserved)

    async def _list_nodes(self) -> dict[str, Node]:
        if not isinstance(self._service, NodeInventory):
            raise Unsupported(f"{self._service.name} has no nodes")
        return {self._service.native(node.node_id): node for node in await self._service.list_nodes()}

    async def _settle(self, entry: Entry, intent: Intent, nodes: Mapping[str, Node]) -> None:
        """Find out what became of a reservation that was begun, and whose end is not known."""
        ticket, now = entry.ticket, self._clock.now()
        end = intent.begun_at + ticket.request.duration_s
        found = [held for name in intent.nodes if (held := self._find(ticket, nodes.get(name), intent.begun_at, end))]
        if len(found) == len(intent.nodes):
            await asyncio.to_thread(self._store.grant, ticket.ticket_id, found, now)
        elif found:
            await self._give_back(ticket, found, nodes)
        elif self._clock.age(ticket.ticket_id, intent.begun_at) >= SETTLE_S:
            await asyncio.to_thread(self._store.note_given_back, ticket.ticket_id)

    def _find(self, ticket: Ticket, node: Node | None, begun_at: float, end: float) -> HeldNode | None:
        """The ticket's reservation of a node. Where a service keeps no messages, it is known by its end."""
        held = node.reservation if node else None
        if node is None or held is None or not held.yours:
            return None
        until = held.expires_at.timestamp() if isinstance(held.expires_at, datetime) else None
        if held.message:
            is_ours = marker(ticket.ticket_id) in str(held.message).split()
        else:
            is_ours = until is not None and end - SAME_END_S <= until <= end + SETTLE_S + SAME_END_S
        native = self._service.native
        return HeldNode(native(held.reservation_id), native(node.node_id), until) if is_ours else None

    async def _give_back(self, ticket: Ticket, held: Sequence[HeldNode], nodes: Mapping[str, Node]) -> None:
        """End reservations of a ticket that stand; never a later one of the same id. Raises LabError."""
        assert isinstance(self._service, NodeReservations)
        for reservation in held:
            node = nodes.get(reservation.node_id)
            shown = node.reservation if node else None
            if shown is None or self._service.native(shown.reservation_id) != reservation.reservation_id:
                continue
            if shown.yours and self._is_the_same(ticket, shown.message, shown.expires_at, reservation.until):
                await self._service.end_reservation(reservation.reservation_id)
                logger.info("ended reservation %s of ticket %s", shown.reservation_id, ticket.ticket_id)
        await asyncio.to_thread(self._store.note_given_back, ticket.ticket_id)

    def _is_the_same(self, ticket: Ticket, message: str, end: datetime | str, until: float | None) -> bool:
        if message:
            return marker(ticket.ticket_id) in message.split()
        if until is None or not isinstance(end, datetime):
            return until is None and not isinstance(end, datetime)
        return end.timestamp() >= until - SAME_END_S

    async def _grant(
        self, waiting: Sequence[Ticket], nodes: Mapping[str, Node], being_reserved: Collection[str]
    ) -> None:
        faults = await self._faults.read()
        claims = [make_claim(ticket, nodes, faults) for ticket in waiting]
        free = [name for name, node in nodes.items() if node.state == "free" and name not in being_reserved]
        in_service = [name for name, node in nodes.items() if not out_of_service(node)]
        decision = decide(claims, free, in_service)
        by_id = {ticket.ticket_id: ticket for ticket in waiting}
        for ticket_id, chosen in decision.grants.items():
            await self._reserve(by_id[ticket_id], chosen)
        left = [claim for claim in claims if claim.ticket_id not in decision.grants]
        ahead = await self._stand_in_line(left, decision)
        taken = {name for chosen in decision.grants.values() for name in chosen}.union(being_reserved) & set(nodes)
        held = {name: nodes[name].model_copy(update={"state": "reserved by you"}) for name in taken}
        await self._tell(left, by_id, {**nodes, **held}, faults, ahead)

    async def _reserve(self, ticket: Ticket, chosen: tuple[str, ...]) -> None:
        assert isinstance(self._service, NodeReservations)
        request, intent = ticket.request, Intent(chosen, self._clock.now())
        self._clock.age(ticket.ticket_id, intent.begun_at)  # seen now, whatever the clock says later
        if not await asyncio.to_thread(self._store.intend, ticket.ticket_id, intent):
            return
        try:
            made = await self._service.reserve(chosen, message_of(ticket), request.duration_s)
        except (Conflict, NotFound):  # somebody was quicker
            await asyncio.to_thread(self._store.drop_intent, ticket.ticket_id)
            return
        except (Refused, BadInput, Unsupported) as error:
            now, why = self._clock.now(), str(error)
            await asyncio.to_thread(self._store.drop_intent, ticket.ticket_id)
            await asyncio.to_thread(partial(self._store.end, ticket.ticket_id, "refused", why, now, give_back=False))
            return
        native = self._service.native
        held = [
            HeldNode(
                native(reservation.reservation_id),
                native(reservation.node_id),
                reservation.expires_at.timestamp() if isinstance(reservation.expires_at, datetime) else None,
            )
            for reservation in made
        ]
        await asyncio.to_thread(self._store.grant, ticket.ticket_id, held, self._clock.now())

    async def _stand_in_line(self, left: Sequence[Claim], decision: Decision) -> dict[str, int]:
        """Stand in the service's own line for each ticket that lacks one node; how many wait there before each. Two who
        stood in line for several nodes would each get some."""
        ahead: dict[str, int] = {}
        if not isinstance(self._service, NodeQueue):
            return ahead
        for claim in left:
            count, nodes = decision.lacking.get(claim.ticket_id, (0, ()))
            if count == 1 and nodes:
                turns = [await self._service.await_turn(node, 0) for node in nodes[: 1 if claim.count else None]]
                ahead[claim.ticket_id] = min(turn.ahead for turn in turns)
        return ahead

    async def _observe(self, nodes: Mapping[str, Node]) -> None:
        """Note for how long nodes were held, of reservations whose begin and end were seen."""
        if over := self._holdings.observe(nodes, self._clock.seconds()):
            await asyncio.to_thread(self._store.add_holds, self._service.name, over, self._clock.now())

    async def _tell(
        self,
        left: Sequence[Claim],
        tickets: Mapping[str, Ticket],
        nodes: Mapping[str, Node],
        faults: Faults,
        ahead: Mapping[str, int],
    ) -> None:
        """Store for each ticket that waits its place, how long it will wait, and which nodes it passes over."""
        hold = typical_hold(await asyncio.to_thread(self._store.holds, self._service.name))
        extended = await asyncio.to_thread(self._store.list_extended, self._service.name)
        free_in = {n: self._free_in(node, hold, extended) for n, node in nodes.items() if not out_of_service(node)}
        ends_in = {name: self._ends_in(nodes[name], extended) for name in free_in}
        requests = [tickets[claim.ticket_id].request for claim in left]
        holds = [expected_hold(request, hold) for request in requests]
        longest = [None if request.extended else float(request.duration_s) for request in requests]
        for number, claim in enumerate(left):
            ticket = tickets[claim.ticket_id]
            before_us = ahead.get(claim.ticket_id, 0)
            wait = None if before_us else expected_wait(left, number, free_in, holds)
            passed, doubts = passed_over(ticket.request, nodes, faults)
            in_service = sum(name in free_in for name in claim.candidates)
            few = f"{in_service} of the nodes it could take are in service and fit, and it needs {claim.least}"
            outlook: dict[str, Any] = {
                "place": place_in_line(left, number) + before_us,
                "expected_wait": wait,
                "is_bound": wait is not None and is_bound(left, number, ends_in, longest, wait),
                "passed_over": passed,
                "doubts": doubts,
                "reason": few if in_service < claim.least else "",
            }
            if ticket.model_copy(update=outlook) != ticket:
                await asyncio.to_thread(self._store.note_outlook, ticket.ticket_id, outlook)

    def _free_in(self, node: Node, hold: Span | None, extended: Collection[str]) -> Span | None:
        if node.state == "free":
            return 0.0, 0.0
        held_for = self._holdings.held_for(node, self._clock.seconds(), self._clock.now())
        return remaining(self._end_of(node, extended), held_for, hold)

    def _end_of(self, node: Node, extended: Collection[str]) -> float | None:
        """In how many seconds a node's reservation ends, where that is known and the node is not extended."""
        held = node.reservation
        end = held.expires_at if held and self._service.native(held.reservation_id) not in extended else None
        return end.timestamp() - self._clock.now() if isinstance(end, datetime) else None

    def _ends_in(self, node: Node, extended: Collection[str]) -> float | None:
        """As `_end_of`, and None while a job runs, which goes on beyond it."""
        if node.state == "free":
            return 0.0
        end = None if node.job and not node.job.finished else self._end_of(node, extended)
        return None if end is None else max(0.0, end)

    async def _tell_trouble(self, entries: Sequence[Entry], error: LabError) -> None:
        for entry in entries:
            ticket = entry.ticket
            if ticket.state == "waiting" and ticket.reason != error.what:
                facts = ticket.model_dump(mode="json", include={"place", "passed_over", "doubts"})
                outlook = {**facts, "expected_wait": None, "reason": error.what}
                await asyncio.to_thread(self._store.note_outlook, ticket.ticket_id, outlook)
