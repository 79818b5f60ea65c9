"""Tools about reservations of nodes: made at once or in turn, extended, ended, and taken from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from testlab_tools.capabilities import (
    NodeQueue,
    NodeReservations,
)
from testlab_tools.errors import BadInput, Conflict, Refused, Unsupported
from testlab_tools.fanout import gather_all
from testlab_tools.late_module import LateModule
from testlab_tools.models.nodes import Ended, Node, Reservation, Reservations
from testlab_tools.registry import ADD, DESTROY, END, Call, Question, tool
from testlab_tools.tools.line import (
    TICKET,
    Wanted,
    choose_free,
    find_of_type,
    leave_line,
    note_ended,
    queued,
    read_faults,
    refuse_ticket,
    stand_in_line,
)
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.node_queue import fitness
    from testlab_tools.node_queue import queue as node_queue
else:
    node_queue = LateModule("testlab_tools.node_queue.queue")


ReservationId = Annotated[str, Field(min_length=1)]
LONGEST_MINUTES = 1440
FOREVER = 0
_ENDS = (
    "Also ends when this server's process does, and `testlab-mcp call` is a process of its own: "
    "[server] release_on_exit = false keeps it."
)
_OUR_LINE = "wait_minutes waits in a line of this server, where [durable] is on; list_nodes shows who has which."
_STAYS = "Holds until its end or end_reservation, also when this server's process ends."
_SAME = "This is the order given before, whose answer was not heard: nothing was reserved twice."


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=ADD)
async def reserve_nodes(
    call: Call,
    *,
    node_ids: Annotated[list[str], Field(description="All are reserved, or none")] = [],
    device_type: Annotated[str, Field(description="Or: count of this type")] = "",
    count: Annotated[int, Field(ge=1)] = 1,
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; colleagues see it")],
    duration_minutes: Annotated[int, Field(ge=0, le=LONGEST_MINUTES)],
    wait_seconds: Annotated[
        int, Field(ge=0, le=45, description="If taken, stand in line; with wait_minutes, 0 is the longest")
    ] = 0,
    wait_minutes: Annotated[int, Field(ge=0, le=LONGEST_MINUTES, description="Also after this call")] = 0,
) -> Reservations:
    """Reserve nodes, so that nobody else starts or stops tests on them.

    Ends after duration_minutes, and with this server unless note says otherwise; call end_reservation when done. If
    one is taken, says by whom and which are free.
    """
    if duration_minutes == FOREVER and call.access != "admin":
        raise Refused(f"A reservation without end needs {call.admin_setting}", "", "Give duration_minutes.")
    if bool(node_ids) == bool(device_type):
        raise BadInput("Give either node_ids or device_type", "", "device_type with count takes any that are free.")
    every: Mapping[str, Node] = {}
    what = (device_type.strip().casefold(), count) if device_type else tuple(node_ids)
    prefix = (
        node_queue.ticket_prefix(call.caller, what, message, duration_minutes, wait_minutes) if wait_minutes else ""
    )
    if device_type:
        wanted, every = await find_of_type(call, device_type, count, prefix)
    else:
        wanted = await _find_named(call, node_ids)
    farm = wanted.farm

    def remember(made: list[Reservation]) -> None:
        for one in made:
            ids = call.lab.native(one.reservation_id), call.lab.native(one.node_id)
            until = one.expires_at.timestamp() if isinstance(one.expires_at, datetime) else None
            call.lab.reservations.add(farm, *ids, call.caller, until)

    faults = await read_faults(call, farm)
    if wait_minutes:
        made, ticket = await stand_in_line(call, wanted, message, duration_minutes, wait_minutes, wait_seconds, prefix)
        if not made:
            return await queued(call, farm, ticket)
        remember(made)
        return _made(call, made, faults)
    what = (device_type, count) if device_type else tuple(sorted(wanted.nodes))
    given = await call.lab.orders.run(
        ("reserve_nodes", call.caller, farm.name, what, message, duration_minutes),
        lambda: _reserve_in_turn(
            farm,
            choose_free(wanted, every, faults) if device_type else wanted.nodes,
            message,
            duration_minutes * 60 or None,
            wait_seconds,
        ),
        remember,
    )
    return _made(call, given.value, faults, given.again)


def _made(call: Call, made: list[Reservation], faults: fitness.Faults, again: bool = False) -> Reservations:
    told = {**faults.share, **faults.last}
    until = _ENDS if not call.lab.reservations.stay else _STAYS
    return Reservations(
        reservations=made,
        doubts={one.node_id: why for one in made if (why := told.get(call.lab.native(one.node_id)))},
        note=f"{_SAME} {until}" if again else until,
        next="run_tests on the node, then end_reservation.",
    )


async def _find_named(call: Call, node_ids: list[str]) -> Wanted:
    """The nodes named, which must be of one service."""
    owners = await gather_all(*(call.lab.node_owner(node_id, NodeReservations) for node_id in node_ids))
    owned = list(dict.fromkeys(owners))
    farm = owned[0][0]
    if any(other is not farm for other, _ in owned):
        raise BadInput("node_ids are of several services", "", "Reserve those of each service in a call of its own.")
    return Wanted(farm, [native for _, native in owned], "", len(owned))


async def _reserve_in_turn(
    farm: NodeReservations, nodes: Sequence[str], message: str, duration_s: int | None, wait_seconds: int
) -> list[Reservation]:
    """Reserve them, or stand in line for the one that is taken."""
    if wait_seconds and not isinstance(farm, NodeQueue):
        raise Unsupported(f"{farm.name} keeps no line of those who wait", "", _OUR_LINE)
    if wait_seconds and len(nodes) > 1:
        raise BadInput("One can stand in line for one node only", "Two who hold one each wait forever", "Name one.")
    try:
        return await farm.reserve(nodes, message, duration_s)
    except Conflict as error:
        if error.own:
            raise
        if not wait_seconds or not isinstance(farm, NodeQueue):
            step = f"{error.next_step} wait_minutes stands in line for {'it' if len(nodes) == 1 else 'them'}."
            raise Conflict(error.what, error.why, step, error.details) from None
        turn = await farm.await_turn(nodes[0], wait_seconds)
        if not turn.come:
            line = f"You stand in line, {turn.ahead} before you"
            again = "The same call within a minute keeps your place."
            raise Conflict(error.what, line, again, error.details) from None
    return await farm.reserve(nodes, message, duration_s)


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=ADD)
async def extend_reservation(
    call: Call, reservation_id: ReservationId, minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)]
) -> Reservation:
    """Extend a reservation of yours, before it expires. Returns its new end."""
    refuse_ticket(reservation_id)
    farm, native = await call.lab.reservation_owner(reservation_id)
    order = ("extend_reservation", call.caller, farm.name, native, minutes)
    given = await call.lab.orders.run(order, lambda: farm.extend_reservation(native, minutes * 60))
    return given.value


@tool(toolset="nodes", access="operate", needs=NodeReservations, hints=END)
async def end_reservation(call: Call, reservation_id: ReservationId) -> Ended:
    """End a reservation of yours, so that others can use the node, or leave the line."""
    if TICKET.fullmatch(reservation_id):
        return await leave_line(call, reservation_id)
    farm, native = await call.lab.reservation_owner(reservation_id)
    ended = await farm.end_reservation(native)
    call.lab.reservations.remove(farm, native)
    await note_ended(call, farm, native)
    before = "" if ended else "It held nothing any more: it had ended before. list_nodes shows who has which node."
    return Ended(reservation_id=farm.handle(native), ended=ended, next=before)


async def _ask_before_interrupting(call: Call, reservation_id: str, message: str, confirm: str) -> Question:
    """Whom it would interrupt, as it stands now."""
    farm, native = await call.lab.reservation_owner(reservation_id)
    held = await farm.get_reservation(native)
    if held.yours:
        raise BadInput("This reservation is yours", "", "end_reservation ends it.")
    return Question(
        f"End reservation {held.reservation_id!r} of node {held.node_id!r}, which another user holds, {held.until}?",
        target=held.node_id,
        quoted=f"\nHolder: {quote(held.holder)}\nTheir message: {quote(held.message)}\n"
        f"They will read: {quote(message, 1000)}",
    )


@tool(toolset="nodes", access="admin", needs=NodeReservations, hints=DESTROY, asks=_ask_before_interrupting)
async def interrupt_reservation(
    call: Call,
    reservation_id: ReservationId,
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; its holder reads it")],
    confirm: Annotated[str, Field(description="If the client cannot ask: the node's id")] = "",
) -> Ended:
    """Interrupt somebody else's reservation: their node is taken from them, and they read message.

    A person is asked first. Look for a free one before.
    """
    farm, native = await call.lab.reservation_owner(reservation_id)
    await farm.interrupt_reservation(native, message)
    return Ended(reservation_id=farm.handle(native), ended=True, next="reserve_nodes takes the node.")
