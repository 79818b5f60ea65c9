"""Identical work under way is done once, for as long as anybody waits for it."""

from __future__ import annotations

import asyncio

import pytest

from testlab_tools.http.policy import SingleFlight


class Work:
    """Work that ends when told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.under_way = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        mine = self.begun
        self.under_way.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return mine


async def waiting(flights: SingleFlight[int], work: Work, callers: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(callers)]
    await work.under_way.wait()
    return tasks


async def test_many_callers_share_one_piece_of_work() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = await waiting(flights, work, 50)
    work.may_end.set()

    assert await asyncio.gather(*tasks) == [1] * 50
    assert work.begun == 1


async def test_what_has_ended_is_not_kept() -> None:
    flights, work = SingleFlight[int](), Work()
    work.may_end.set()

    assert [await flights.run("key", work) for _ in range(3)] == [1, 2, 3]


async def test_who_asks_in_the_moment_it_ends_gets_new_work() -> None:
    flights, begun, given_at_once = SingleFlight[int](), 0, list[bool]()

    def ask() -> None:
        asking = flights.run("key", work)
        try:
            asking.send(None)
            given_at_once.append(False)
        except StopIteration:
            given_at_once.append(True)
        asking.close()

    async def work() -> int:
        nonlocal begun
        begun += 1
        asyncio.get_running_loop().call_soon(ask)  # before anything that waits for the end
        return begun

    assert await flights.run("key", work) == 1
    await asyncio.sleep(0)
    assert given_at_once == [False]


async def test_other_keys_are_other_work() -> None:
    flights, work = SingleFlight[int](), Work()
    work.may_end.set()

    assert await asyncio.gather(flights.run("a", work), flights.run("b", work)) == [1, 2]


async def test_one_caller_who_goes_leaves_the_others_their_answer() -> None:
    flights, work = SingleFlight[int](), Work()
    first, *others = await waiting(flights, work, 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.may_end.set()

    assert await asyncio.gather(*others) == [1, 1]
    assert work.cancelled == 0


async def test_the_last_caller_who_goes_ends_the_work() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = await waiting(flights, work, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)

    assert work.cancelled == 1


async def test_who_comes_after_the_last_has_gone_begins_anew() -> None:
    flights, work = SingleFlight[int](), Work()
    (task,) = await waiting(flights, work, 1)
    task.cancel()
    again = asyncio.create_task(flights.run("key", work))
    await asyncio.gather(task, return_exceptions=True)
    work.may_end.set()

    assert await again in (1, 2)
    assert await flights.run("key", work) == work.begun


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    flights = SingleFlight[int]()
    tries: list[int] = []

    async def fail() -> int:
        tries.append(1)
        await asyncio.sleep(0)
        raise ConnectionError("down")

    answers = await asyncio.gather(*(flights.run("key", fail) for _ in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ConnectionError] * 3
    assert len(tries) == 1
    with pytest.raises(ConnectionError):
        await flights.run("key", fail)
    assert len(tries) == 2
