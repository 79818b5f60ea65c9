"""Nodes by their type, and standing in line for them, as `reserve_nodes` does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testlab_tools.capabilities import NodeInventory, NodeReservations
from testlab_tools.durable.late_store import next_number
from testlab_tools.durable.standstill import say_standstill
from testlab_tools.errors import BadInput, Conflict, LabError, NotFound, Refused, Unsupported, nearest
from testlab_tools.fanout import ask_all
from testlab_tools.late_module import LateModule
from testlab_tools.models.lab import UNKNOWN
from testlab_tools.models.nodes import Ended, Node, PlaceInLine, Reservation, Reservations, Taken
from testlab_tools.registry import Call
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.node_queue import fitness, matching
    from testlab_tools.node_queue import queue as node_queue
else:
    fitness = LateModule("testlab_tools.node_queue.fitness")
    matching = LateModule("testlab_tools.node_queue.matching")
    node_queue = LateModule("testlab_tools.node_queue.queue")

TICKET = re.compile(r"ticket-[0-9a-f]{12}\.\d+", re.ASCII)
HOLD_S = 45.0
PROGRESS_S = 5.0
_AGAIN = "The same call again follows this ticket; end_reservation with its id leaves the line."


@dataclass(frozen=True)
class Wanted:
    """Nodes of one service, by native ids: `count` of them, where they are of a `device_type`, else all."""

    farm: NodeReservations
    nodes: Sequence[str]
    device_type: str
    count: int


async def list_farm(farm: NodeReservations) -> dict[str, Node]:
    """The nodes of a farm that the caller may use, by native id."""
    assert isinstance(farm, NodeInventory), "what has reservations has nodes"
    return {farm.native(node.node_id): node for node in await farm.list_nodes()}


async def find_of_type(call: Call, device_type: str, count: int, prefix: str = "") -> tuple[Wanted, Mapping[str, Node]]:
    """The nodes of a type at the service in whose line the call stands already, by the `prefix` of its tickets, else at
    the one that has most of them free; and all its nodes.

    Raises:
        NotFound: there is no node of that type.
        BadInput: there are fewer than `count` with a licence.
        LabError: the service in whose line it stands does not answer.
    """
    farms = call.lab.offering(NodeReservations)
    answers = await ask_all(farms, list_farm)
    answers.require_any()
    if (stands_at := await _find_line(call, prefix)) in answers.failed:  # elsewhere it would stand twice
        raise answers.failed[stands_at]
    wanted = device_type.strip().casefold()
    of_type = {
        farm: [name for name, node in nodes.items() if node.device_type.casefold() == wanted]
        for farm in farms
        if (nodes := answers.given.get(farm.name)) is not None
    }
    every = [node for nodes in answers.given.values() for node in nodes.values()]
    if not any(of_type.values()):
        raise _no_such_type(device_type, every, answers.failed)
    licensed = {
        farm: sum(matching.is_licensed(answers.given[farm.name][name]) for name in names)
        for farm, names in of_type.items()
    }
    most = max(licensed.values())
    if not most:
        raise matching.no_licence(device_type, every)
    if count > most:
        there = (
            f"there {'is' if most == 1 else 'are'} {most}" if len(farms) == 1 else f"no service has more than {most}"
        )
        why = ". ".join(filter(None, (f"Of this type {there}", _name_untold(answers.failed))))
        raise BadInput(f"There are not {count} nodes of that type", why, f"Give count={most}.")

    def rate(farm: NodeReservations) -> tuple[bool, bool, int]:
        free = sum(answers.given[farm.name][name].state == "free" for name in of_type[farm])
        return farm.name == stands_at, licensed[farm] >= count, free

    best = max(of_type, key=rate)
    return Wanted(best, of_type[best], device_type.strip(), count), answers.given[best.name]


async def read_faults(call: Call, farm: NodeReservations) -> fitness.Faults:
    """What is wrong with the equipment of a farm's nodes, by their latest runs."""
    if farm.name not in call.lab.faults:
        call.lab.faults[farm.name] = fitness.FaultCollector(farm.unscoped)
    return await call.lab.faults[farm.name].read()


def choose_free(wanted: Wanted, nodes: Mapping[str, Node], faults: fitness.Faults) -> list[str]:
    """As many free nodes as are wanted, of those that are fit. Raises Conflict where there are too few."""
    fit = matching.choose_fit(wanted.nodes, nodes, faults, wanted.count)
    free = [name for name in fit if nodes[name].state == "free"]
    if len(free) >= wanted.count:
        return free[: wanted.count]
    told = {**faults.share, **faults.last}
    unfit = [name for name in wanted.nodes if name not in fit and nodes[name].state == "free"]
    taken = [nodes[name] for name in wanted.nodes if nodes[name].state != "free"]
    few = f"{len(free)} of the {len(wanted.nodes)} nodes of that type are free{' and fit' if unfit else ''}"
    why = ". ".join(f"{wanted.farm.handle(name)!r} is passed over: {told[name]}" for name in unfit[:3])
    step = "wait_minutes stands in line for them."
    raise Conflict(f"{few}, and {wanted.count} are wanted", why, step, Taken(taken=taken))


def require_queue(call: Call, farm: NodeReservations) -> node_queue.ReservationQueue:
    """The line for nodes. Raises Unsupported where this service has none."""
    if call.lab.work is None:
        why, mend = "It is kept in the database of [durable], which is off", "[durable] enabled = true turns it on."
        raise Unsupported("There is no line for nodes here", why, mend)
    if call.lab.outbox is not None and not call.lab.outbox.accepts(farm.name):
        why = "It takes callers' own tokens, which are kept nowhere"
        raise Unsupported(f"{farm.name} has no line for its nodes", why, "Leave wait_minutes out.")
    return call.lab.work.queue


async def _find_line(call: Call, prefix: str) -> str:
    """The service in whose line a call stands; empty for none."""
    if not prefix or call.lab.work is None:
        return ""
    tickets = await call.lab.work.queue.list("", prefix)
    return tickets[-1].request.service if tickets and tickets[-1].state in ("waiting", "granted") else ""


async def stand_in_line(
    call: Call, wanted: Wanted, message: str, duration_minutes: int, wait_minutes: int, hold_s: float, prefix: str
) -> tuple[list[Reservation], node_queue.Ticket]:
    """Wait in line, `hold_s` seconds or with 0 as long as a call may: the reservations, none while the ticket waits.
    The ids of the call's tickets begin with `prefix`.

    Raises:
        Conflict: the time to wait was over, or somebody cancelled the ticket.
        LabError: the nodes cannot be reserved at all.
    """
    queue = require_queue(call, wanted.farm)
    if not duration_minutes:
        raise BadInput("Who waits in line needs an end for the reservation", "", "Give duration_minutes.")
    request = node_queue.NodeRequest(
        service=wanted.farm.name,
        node_ids=() if wanted.device_type else tuple(wanted.nodes),
        device_type=wanted.device_type,
        count=wanted.count,
        message=message,
        duration_s=duration_minutes * 60,
        caller=call.caller,
        allowed=tuple(wanted.nodes) if wanted.device_type and wanted.farm.unscoped is not wanted.farm else None,
    )
    while True:
        ticket = await _find_ticket(queue, request, wanted, prefix)
        if ticket is None:
            return await wanted.farm.reserve(wanted.nodes, message, request.duration_s), _granted(request)
        ticket = await queue.submit(request, ticket.ticket_id, wait_minutes * 60.0)
        ticket = await _follow(call, queue, wanted.farm, ticket, hold_s or HOLD_S)
        if ticket.state == "waiting":
            return [], ticket
        if ticket.state != "granted":
            _forget(call, wanted.farm, ticket)
            raise _not_granted(ticket, wait_minutes)
        try:
            return await wanted.farm.find_made([held.reservation_id for held in ticket.reservations]), ticket
        except NotFound:  # they were given back since: the call is a new one
            _forget(call, wanted.farm, ticket)
            await queue.note_ended(ticket.ticket_id)


async def _find_ticket(
    queue: node_queue.ReservationQueue, request: node_queue.NodeRequest, wanted: Wanted, prefix: str
) -> node_queue.Ticket | None:
    """The ticket of the same call before, or a new one's id; None where the caller holds one of the nodes already, as
    reserving them says."""
    every = await queue.list("", prefix)
    tickets = [ticket for ticket in every if ticket.request.service == request.service]
    if tickets and tickets[-1].state in ("waiting", "granted"):
        return tickets[-1]
    if request.node_ids:
        nodes = await list_farm(wanted.farm)
        for name in request.node_ids:
            node = nodes.get(name) or await _require_node(wanted.farm, name)
            matching.check_licence(node)
            if node.reservation and node.reservation.yours:
                return None
    number = next_number((ticket.ticket_id for ticket in every), queue.engine.clock.now().timestamp())
    return _granted(request).model_copy(update={"ticket_id": f"{prefix}{number}"})


async def _require_node(farm: NodeReservations, name: str) -> Node:
    assert isinstance(farm, NodeInventory), "what has reservations has nodes"
    return await farm.get_node(name)


def _granted(request: node_queue.NodeRequest) -> node_queue.Ticket:
    """A ticket that was never written: its nodes were free to take."""
    return node_queue.Ticket(ticket_id="", request=request, state="granted", written_at=0, deadline=0)


def _forget(call: Call, farm: NodeReservations, ticket: node_queue.Ticket) -> None:
    for held in ticket.reservations:
        call.lab.reservations.remove(farm, held.reservation_id)


async def _follow(
    call: Call, queue: node_queue.ReservationQueue, farm: NodeReservations, ticket: node_queue.Ticket, hold_s: float
) -> node_queue.Ticket:
    def remember(granted: node_queue.Ticket) -> None:
        for held in granted.reservations:
            call.lab.reservations.add(farm, held.reservation_id, held.node_id, call.caller, held.until)

    while True:
        left = min(max(0.0, hold_s - call.deadline.spent_s), call.deadline.long_step())
        ticket = await queue.follow(ticket.ticket_id, min(PROGRESS_S, left), remember)
        if ticket.state != "waiting" or left <= PROGRESS_S:
            return ticket
        await call.progress(0, 1, f"in line for nodes, place {ticket.place or 'not known yet'}")


def describe_place(farm: NodeReservations, ticket: node_queue.Ticket) -> PlaceInLine:
    """What is told to who waits."""
    return PlaceInLine(
        place=ticket.place,
        expected_wait=spell_wait(
            ticket.expected_wait, ticket.is_bound, ticket.deadline - datetime.now(UTC).timestamp()
        ),
        until=datetime.fromtimestamp(ticket.deadline, UTC),
        passed_over={farm.handle(name): why for name, why in ticket.passed_over.items()},
        doubts={farm.handle(name): why for name, why in ticket.doubts.items()},
        why=ticket.reason,
    )


async def queued(call: Call, farm: NodeReservations, ticket: node_queue.Ticket) -> Reservations:
    """The answer while a ticket waits."""
    queue = require_queue(call, farm)
    earlier = await queue.list(farm.name, f"{ticket.ticket_id.rpartition('.')[0]}.")
    lost = [one for one in earlier[-2:-1] if one.state in ("expired", "ended") and one.reason != node_queue.GIVEN_BACK]
    ended = f"The ticket of this call before has ended: {lost[0].reason}. This is a new one." if lost else ""
    note = " ".join(filter(None, (ended, await say_standstill(queue.engine))))
    return Reservations(
        reservations=[], queued=ticket.ticket_id, line=describe_place(farm, ticket), note=note, next=_AGAIN
    )


def refuse_ticket(reservation_id: str) -> None:
    """Raises BadInput for a ticket where a reservation is asked for."""
    if TICKET.fullmatch(reservation_id):
        step = "The reserve_nodes call that gave it follows it; end_reservation leaves the line."
        raise BadInput("That is a ticket of the line, not a reservation", "", step).naming(reservation_id)


async def leave_line(call: Call, ticket_id: str) -> Ended:
    """Cancel a ticket of the caller's. Raises NotFound."""
    missing = NotFound("There is no such ticket", "It ended days ago, or never was", "").naming(ticket_id)
    if call.lab.work is None:
        raise missing
    queue = call.lab.work.queue
    ticket = await queue.read(ticket_id)
    if ticket is None or (ticket.request.caller != call.caller and call.caller != "local" and call.access != "admin"):
        raise missing
    was_active = ticket.state in ("waiting", "granted")
    await queue.cancel(ticket_id)
    for farm in call.lab.offering(NodeReservations):
        if farm.name == ticket.request.service:
            _forget(call, farm, ticket)
    return Ended(
        reservation_id=ticket_id, ended=was_active, next="" if was_active else f"It had ended: {ticket.state}."
    )


async def note_ended(call: Call, farm: NodeReservations, reservation_id: str) -> None:
    """Tell the line that a node is free, and the ticket that had it that it has ended."""
    if call.lab.work is None or not call.lab.work.queue.in_use:
        return
    queue = call.lab.work.queue
    for ticket in await queue.list(farm.name):
        if ticket.state == "granted" and [held.reservation_id for held in ticket.reservations] == [reservation_id]:
            await queue.note_ended(ticket.ticket_id)
    queue.wake(farm.name)


def _not_granted(ticket: node_queue.Ticket, wait_minutes: int) -> LabError:
    if ticket.state == "refused":
        return Refused("The nodes cannot be reserved", ticket.reason, "")
    if ticket.state == "expired":
        again = "Call again to stand in line anew, or take others: list_nodes(available=true)."
        return Conflict(f"The nodes were not free within {wait_minutes} minutes", ticket.reason, again)
    return Conflict("You stand in line no longer", ticket.reason, "Call again to stand in line anew.")


def spell_wait(wait: tuple[float, float] | None, is_bound: bool, left_s: float) -> str:
    """`4 to 20 minutes`, `usually about 3 minutes`, `unknown`; and whether the ticket lapses before, in `left_s`."""
    if wait is None:
        return UNKNOWN
    low, high = int(wait[0] // 60), int(-(-wait[1] // 60))
    lapses = "lapses" if wait[0] > left_s else "may lapse" if wait[1] > left_s else ""
    ends = f"; the ticket {lapses} before" if lapses else ""
    minutes = "1 minute" if high == 1 else f"{high} minutes"
    if low <= 0 and is_bound:
        return f"{minutes} at most{ends}"
    span = f"{low} to {minutes}" if high > low and high > 1 else minutes
    return f"{'' if is_bound else 'usually about '}{span}{ends}"


def _no_such_type(device_type: str, nodes: Sequence[Node], failed: Mapping[str, LabError]) -> NotFound:
    types = {node.device_type: None for node in nodes if node.device_type != UNKNOWN}
    near = nearest(device_type.strip(), types, 3, 0.4)
    named = ", ".join(quote(name, 60) for name in (near or list(types)[:5]))
    step = f"{'Nearest' if near else 'Types there are'}: {named}." if named else "No node here says its type."
    return NotFound("There is no node of that device type", _name_untold(failed), step).naming(device_type)


def _name_untold(failed: Mapping[str, LabError]) -> str:
    return f"Not asked, since they did not answer: {', '.join(failed)}" if failed else ""
