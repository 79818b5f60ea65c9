"""Tools about a device's remote control."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from testlab_tools.capabilities import RemoteControl
from testlab_tools.catalog.arguments import NodeId
from testlab_tools.models import Pressed
from testlab_tools.registry import ADD, Call, tool


@tool(toolset="nodes", access="operate", needs=RemoteControl, hints=ADD)
async def press_key(
    call: Call,
    node_id: NodeId,
    key: Annotated[str, Field(min_length=1, description="As KEY_OK, KEY_MENU")],
    remote_control: Annotated[str, Field(description="Empty: the test pack's default")] = "",
    test_pack_revision: str = "",
) -> Pressed:
    """Press one key of the device's remote control; the node must be free or reserved by you.

    Does not say what happened: grab_screenshot shows it. For a series of steps write a test and run_tests.
    """
    remote, native = call.lab.owner(node_id, RemoteControl)
    await remote.press_key(native, key, remote_control, test_pack_revision)
    return Pressed(node_id=remote.handle(native), key=key, next="grab_screenshot shows what the device did.")
