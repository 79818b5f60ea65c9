"""A call repeated while its order ends is still the same order."""

from __future__ import annotations

import asyncio

from testlab_tools.repeated_calls import OrderResult, Orders


async def test_a_call_repeated_in_the_very_step_in_which_its_order_ends_gets_its_result() -> None:
    orders, begun, answered = Orders(), asyncio.Event(), asyncio.Event()
    again: asyncio.Future[asyncio.Task[OrderResult[int]]] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        begun.set()
        await answered.wait()
        again.set_result(asyncio.ensure_future(orders.run("key", work)))
        return 1

    first = asyncio.ensure_future(orders.run("key", work))
    await begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    answered.set()
    repeated = await again
    assert await repeated == (1, True)
