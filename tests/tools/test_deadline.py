"""A call's deadline: what a step may take of it, and a step that runs out of it."""

from __future__ import annotations

import asyncio

import pytest

from testlab_tools.deadline import Deadline


def test_a_step_gets_its_share_of_the_whole_but_no_more_than_remains() -> None:
    fresh, over = Deadline(40), Deadline(0)

    assert fresh.share(0.5) == 20
    assert fresh.share(2) == pytest.approx(40, abs=0.1)
    assert over.share(0.5) == 0


def test_the_long_step_leaves_a_reserve_for_the_steps_that_follow() -> None:
    deadline = Deadline(40)

    assert deadline.remaining() == pytest.approx(40, abs=0.1)
    assert deadline.long_step() == pytest.approx(36, abs=0.1)
    assert Deadline(0).long_step() == 0


async def test_a_step_that_runs_out_of_time_ends_without_an_error() -> None:
    async with Deadline(0.01).timeout(1) as limit:
        await asyncio.Event().wait()
    assert limit.expired()

    async with Deadline().timeout(1) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_a_timeout_that_is_not_its_own_is_raised() -> None:
    with pytest.raises(TimeoutError, match="another"):
        async with Deadline().timeout(1):
            raise TimeoutError("another")
