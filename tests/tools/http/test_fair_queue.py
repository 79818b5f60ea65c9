"""Turns at a service: one caller never has all places, and who has the fewest goes first."""

from __future__ import annotations

import asyncio

from testlab_tools.http.policy import FairQueue, asking_for


async def test_one_caller_leaves_places_to_others_and_who_has_the_fewest_goes_first() -> None:
    turns, order, may_go = FairQueue(3, 2), list[str](), asyncio.Event()

    async def work(caller: str) -> None:
        with asking_for(caller):
            async with turns.place():
                order.append(caller)
                await may_go.wait()

    tasks = [asyncio.ensure_future(work(who)) for who in ("alice", "alice", "alice", "alice", "bob", "bob", "carol")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["alice", "alice", "bob"]
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    await asyncio.sleep(0)
    assert order == ["alice", "alice", "bob", "carol"]
    may_go.set()
    await asyncio.wait(tasks)
    assert sorted(order) == ["alice", "alice", "alice", "alice", "bob", "bob", "carol"]


async def test_a_place_of_one_who_gave_up_waiting_is_another_ones() -> None:
    turns = FairQueue(1, 1)
    async with turns.place():
        waits = asyncio.ensure_future(turns.place().__aenter__())
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.wait([waits])
    async with asyncio.timeout(5), turns.place():
        pass


async def test_who_is_alone_may_have_all_places() -> None:
    turns = FairQueue(2, 1)
    async with asyncio.timeout(5), turns.place(), turns.place():
        pass
