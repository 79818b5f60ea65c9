"""Tools about what is wired to a node's device: its power and its serial console."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import PowerControl, SerialConsole
from testlab_tools.models.nodes import ConsoleLines, Switched
from testlab_tools.registry import ADD, Call, tool
from testlab_tools.tools.arguments import NodeId


@tool(toolset="nodes", access="operate", needs=PowerControl, hints=ADD)
async def set_power(
    call: Call,
    node_id: NodeId,
    action: Annotated[Literal["get", "on", "off", "cycle"], Field(description="get: only look")],
) -> Switched:
    """Switch the power of a node's device, or see whether it is on; the node must be reserved by you.

    read_console(power_cycle=true) shows the device boot.
    """
    board, native = await call.lab.node_owner(node_id, PowerControl)
    order = ("set_power", call.caller, board.name, native, action)
    if action == "get":
        return Switched(node_id=board.handle(native), power=await board.switch_power(native, action))
    given = await call.lab.orders.run(order, lambda: board.switch_power(native, action), join=False)
    again = "It was switched once, by the call before, whose answer was not heard." if given.again else ""
    return Switched(node_id=board.handle(native), power=given.value, note=again)


@tool(toolset="nodes", access="operate", needs=SerialConsole, hints=ADD)
async def read_console(
    call: Call,
    node_id: NodeId,
    seconds: Annotated[int, Field(ge=1, le=40)] = 5,
    power_cycle: Annotated[bool, Field(description="Off and on first")] = False,
    lines: Annotated[int, Field(ge=1, le=500, description="The last ones")] = 100,
) -> ConsoleLines:
    """Read what a device writes on its serial console for some seconds; the node must be reserved by you.

    Shows nothing from before the call, and types nothing.
    """
    board, native = await call.lab.node_owner(node_id, SerialConsole)
    read = await board.read_console(native, seconds, power_cycle)
    every = read.data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").splitlines()
    shown, total = every[-lines:], len(read.data) + read.cut
    cut = f"Of {len(every)} lines the last {len(shown)}." if len(shown) < len(every) else ""
    silent = "" if total or read.closed else "It wrote nothing in this time: it may be off, or idle."
    closed = "The console was closed before the time was over: what it wrote after that is not known."
    notes = ["Its first bytes are left out." if read.cut else "", cut, silent, closed if read.closed else ""]
    return ConsoleLines(
        node_id=board.handle(native),
        seconds=seconds,
        total_bytes=total,
        lines="\n".join(shown),
        note=" ".join(filter(None, notes)),
    )
