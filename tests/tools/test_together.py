"""Questions asked at once: all answers in order, or the first error and nothing left running."""

from __future__ import annotations

import asyncio

import pytest

from testlab_tools.errors import BadInput
from testlab_tools.together import together


async def test_answers_stand_in_the_order_of_the_questions() -> None:
    second_is_done = asyncio.Event()

    async def first() -> str:
        await second_is_done.wait()
        return "first"

    async def second() -> int:
        second_is_done.set()
        return 2

    assert await together(first(), second()) == ("first", 2)
    assert await together() == ()


@pytest.mark.parametrize("given_up", [False, True])
async def test_nothing_is_left_running_after_an_error_or_when_the_caller_gives_up(given_up: bool) -> None:
    begun, ended = asyncio.Event(), list[str]()

    async def waits() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        await begun.wait()
        if given_up:
            await asyncio.Event().wait()
        raise BadInput("wrong")

    asked = asyncio.ensure_future(together(waits(), fails(), waits()))
    await begun.wait()
    if given_up:
        asked.cancel()
    with pytest.raises(asyncio.CancelledError if given_up else BadInput):
        await asked
    assert ended == ["waits", "waits"]
