"""Work in threads that nobody waits for at the end: a database that does not answer keeps no process from ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any


async def run_in_thread(work: Callable[[], Any]) -> Any:
    """As asyncio.to_thread, in a thread of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    run = copy_context().run

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def execute() -> None:
        result, failed = None, None
        try:
            result = run(work)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failed = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=execute, name="database", daemon=True).start()
    return await done
