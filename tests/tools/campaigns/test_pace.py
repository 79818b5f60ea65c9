"""How a campaign asks its database."""

from __future__ import annotations

import asyncio
import threading

import pytest

from testlab_tools.campaigns.pace import in_database


async def test_work_on_the_database_that_is_cancelled_has_ended_before_anything_else_is_read() -> None:
    begun, go_on, written = threading.Event(), threading.Event(), list[str]()

    def write() -> None:
        begun.set()
        go_on.wait(5)
        written.append("counted")

    task = asyncio.create_task(in_database(write))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert written == ["counted"]
