"""Large bodies that arrive together leave one by one: each is parsed in a step of the loop that nothing can enter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx2
import pytest

from testlab_tools.http.response import LARGE_BYTES, PIECE_BYTES, read_whole


class Loop:
    """Counts the steps of the loop."""

    def __init__(self) -> None:
        self.step = 0

    async def count(self) -> None:
        while True:
            self.step += 1
            await asyncio.sleep(0)


def answer(size: int) -> httpx2.Response:
    async def content() -> AsyncIterator[bytes]:
        yield b" " * size

    return httpx2.Response(200, content=content())


@pytest.mark.parametrize("size", [2 * PIECE_BYTES, LARGE_BYTES + 1])
async def test_others_have_a_step_between_two_large_bodies(size: int) -> None:
    loop = Loop()
    counting = asyncio.create_task(loop.count())

    async def left() -> int:
        assert await read_whole(answer(size), 2 * LARGE_BYTES) == b" " * size
        return loop.step

    steps = sorted(await asyncio.gather(*(left() for _ in range(8))))
    counting.cancel()
    assert all(after - before > 1 for before, after in pairwise(steps))


async def test_small_bodies_wait_for_nobody() -> None:
    loop = Loop()
    counting = asyncio.create_task(loop.count())
    await asyncio.gather(*(read_whole(answer(PIECE_BYTES), LARGE_BYTES) for _ in range(8)))
    counting.cancel()
    assert loop.step < 8
