"""A database that does not answer keeps no process from ending."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from testlab_tools.leases.keeper import LeaseKeeper


def test_who_looks_after_reservations_ends_while_the_database_is_silent() -> None:
    is_asked, answers = threading.Event(), threading.Event()

    def flush() -> None:
        is_asked.set()
        answers.wait(30)

    async def look_and_leave() -> None:
        store: Any = SimpleNamespace(flush=flush)
        looking = asyncio.ensure_future(LeaseKeeper(store, [], 0, over_http=False).look())
        await asyncio.to_thread(is_asked.wait, 10)
        looking.cancel()

    process = threading.Thread(target=lambda: asyncio.run(look_and_leave()))
    process.start()
    process.join(10)
    ended = not process.is_alive()
    answers.set()
    process.join(10)
    assert is_asked.is_set()
    assert ended
