"""A call repeated while its order ends is still the same order."""

from __future__ import annotations

import asyncio

from testlab_tools.repeated_calls import Orders


async def test_a_call_repeated_in_the_very_step_in_which_its_order_ends_gets_its_result() -> None:
    orders, begun, answered = Orders(), asyncio.Event(), asyncio.Event()
    repeated: list[asyncio.Future[object]] = []

    async def work() -> int:
        begun.set()
        await answered.wait()
        repeated.append(asyncio.ensure_future(orders.run("key", work)))
        return len(repeated)

    first = asyncio.ensure_future(orders.run("key", work))
    await begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answered.set()
    while not repeated:
        await asyncio.sleep(0)
    assert await repeated[0] == (1, True)
