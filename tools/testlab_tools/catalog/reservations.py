"""Tools about reservations: take nodes, keep them a while, give them back, and take them from others."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import NodeFarm
from testlab_tools.errors import BadInput, Refused
from testlab_tools.models import Ended, Reservation, Reservations
from testlab_tools.registry import ADD, DESTROY, END, Call, Question, tool
from testlab_tools.times import iso
from testlab_tools.untrusted import quoted

ReservationId = Annotated[str, Field(min_length=1, description="From list_nodes")]
LONGEST_MINUTES = 1440
FOREVER = 0


@tool(toolset="nodes", access="operate", needs=NodeFarm, hints=ADD)
async def reserve_nodes(
    call: Call,
    node_ids: Annotated[list[str], Field(min_length=1, description="All are reserved, or none")],
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; colleagues see it")],
    duration_minutes: Annotated[int, Field(ge=0, le=LONGEST_MINUTES)],
) -> Reservations:
    """Reserve nodes for exclusive use, so that nobody else starts or stops tests on them.

    Ends by itself after duration_minutes, and when this server stops; call end_reservation as soon as you have
    finished. If one is taken, says by whom and which are free.
    """
    if duration_minutes == FOREVER and call.access != "admin":
        raise Refused(f"A reservation without end needs {call.raising}", "", "Give duration_minutes.")
    owned = list(dict.fromkeys(call.lab.owner(node_id, NodeFarm) for node_id in node_ids))
    farm = owned[0][0]
    if any(other is not farm for other, _ in owned):
        raise BadInput("node_ids are of several services", "", "Reserve those of each service in a call of its own.")
    made = await farm.reserve([native for _, native in owned], message, duration_minutes * 60 or None)
    for reservation in made:
        call.lab.holding.took(farm, call.lab.native(reservation.reservation_id))
    return Reservations(reservations=made, next="run_tests on the node, then end_reservation.")


@tool(toolset="nodes", access="operate", needs=NodeFarm, hints=ADD)
async def extend_reservation(
    call: Call,
    reservation_id: ReservationId,
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)],
) -> Reservation:
    """Extend a reservation of yours by so many minutes, before it expires. Returns its new end.

    Cannot extend one that has ended, or somebody else's.
    """
    farm, native = call.lab.owner(reservation_id, NodeFarm)
    return await farm.extend_reservation(native, minutes * 60)


@tool(toolset="nodes", access="operate", needs=NodeFarm, hints=END)
async def end_reservation(call: Call, reservation_id: ReservationId) -> Ended:
    """End a reservation of yours, so that others can use the node. Ending one that has ended is no error.

    Cannot end somebody else's.
    """
    farm, native = call.lab.owner(reservation_id, NodeFarm)
    await farm.end_reservation(native)
    call.lab.holding.gave_back(farm, native)
    return Ended(reservation_id=farm.handle(native), ended=True)


async def _whom(call: Call, reservation_id: str, message: str, confirm: str) -> Question:
    """Whom it would interrupt, as it stands now."""
    farm, native = call.lab.owner(reservation_id, NodeFarm)
    held = await farm.reservation(native)
    if held.yours:
        raise BadInput("This reservation is yours", "", "end_reservation ends it.")
    until = f"until {iso(held.expires_at)}" if held.expires_at else "without an end"
    return Question(
        f"End reservation {held.reservation_id} of node {held.node_id}, which another user holds {until}?",
        target=held.node_id,
        quoted=f"\nHolder: {quoted(held.holder)}\nTheir message: {quoted(held.message)}\n"
        f"They will read: {quoted(message, 1000)}",
    )


@tool(toolset="nodes", access="admin", needs=NodeFarm, hints=DESTROY, asks=_whom)
async def interrupt_reservation(
    call: Call,
    reservation_id: ReservationId,
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; its holder reads it")],
    confirm: Annotated[str, Field(description="Only if the client cannot ask: the node's id")] = "",
) -> Ended:
    """Interrupt somebody else's reservation: their node is taken from them, and they read message.

    A person is asked first, and sees whom it would hit. Look for a free node before: list_nodes(available=true).
    """
    farm, native = call.lab.owner(reservation_id, NodeFarm)
    await farm.interrupt_reservation(native, message)
    return Ended(reservation_id=farm.handle(native), ended=True, next="reserve_nodes takes the node.")
