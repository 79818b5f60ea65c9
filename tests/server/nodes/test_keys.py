"""Keys pressed at once, and keys whose call was given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.fixture_types import Connect, ToolCaller

if TYPE_CHECKING:
    from tests.server.nodes.conftest import Farm


async def test_keys_that_are_pressed_at_once_are_each_pressed(farm: Farm, connect: Connect, ask: ToolCaller) -> None:
    press = f"/nodes/{farm.nodes[0]}/press"
    async with connect(farm.config) as client:
        order = {"node_id": farm.nodes[0], "key": "KEY_DOWN"}
        await asyncio.gather(*(ask(client, "press_key", **order) for _ in range(3)))
        await ask(client, "press_key", **order)
    assert farm.asked("POST", press) == 4


async def test_a_key_whose_call_was_given_up_is_not_pressed_again(
    farm: Farm, connect: Connect, ask: ToolCaller
) -> None:
    press, order = f"/nodes/{farm.nodes[0]}/press", {"node_id": farm.nodes[0], "key": "KEY_DOWN"}
    farm.fault(press, "POST", 1, action="hold")
    async with connect(farm.config) as client:
        call = asyncio.ensure_future(client.call_tool("press_key", order))
        await farm.until(lambda: farm.asked("POST", press) == 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        farm.calm()
        assert "pressed once, by the call before" in (await ask(client, "press_key", **order))["next"]
    assert farm.asked("POST", press) == 1
