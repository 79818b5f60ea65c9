"""Tools about reservations: take nodes, and give them back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import NodeFarm
from testlab_tools.errors import BadInput
from testlab_tools.models import Ended, Reservations
from testlab_tools.registry import ADD, END, Call, tool


@tool(toolset="nodes", access="operate", needs=NodeFarm, hints=ADD)
async def reserve_nodes(
    call: Call,
    node_ids: Annotated[list[str], Field(min_length=1, description="All are reserved, or none")],
    message: Annotated[str, Field(min_length=1, max_length=1000, description="Why; colleagues see it")],
    duration_minutes: Annotated[int, Field(ge=1, le=1440)],
) -> Reservations:
    """Reserve nodes for exclusive use, so that nobody else starts or stops tests on them.

    Ends by itself after duration_minutes; call end_reservation as soon as you have finished. If one is taken, says by
    whom and which are free.
    """
    owned = [call.lab.owner(node_id, NodeFarm) for node_id in node_ids]
    farm = owned[0][0]
    if any(other is not farm for other, _ in owned):
        raise BadInput("node_ids are of several services", "", "Reserve those of each service in a call of its own.")
    made = await farm.reserve([native for _, native in owned], message, duration_minutes * 60)
    return Reservations(reservations=made, next="run_tests on the node, then end_reservation.")


@tool(toolset="nodes", access="operate", needs=NodeFarm, hints=END)
async def end_reservation(
    call: Call,
    reservation_id: Annotated[str, Field(min_length=1, description="From reserve_nodes or list_nodes")],
) -> Ended:
    """End a reservation of yours, so that others can use the node. Ending one that has ended is no error.

    Cannot end somebody else's.
    """
    farm, native = call.lab.owner(reservation_id, NodeFarm)
    await farm.end_reservation(native)
    return Ended(reservation_id=farm.handle(native), ended=True)
