"""Work in threads that nobody waits for at the end: a database that does not answer keeps no process from ending."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


async def run_in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """As asyncio.to_thread, in a thread of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    run = copy_context().run

    def settle(tell: Callable[[Any], None], answer: object) -> None:
        if not done.done():
            tell(answer)

    def execute() -> None:
        try:
            told = done.set_result, run(work, *arguments)
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            told = done.set_exception, error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, *told)

    threading.Thread(target=execute, name="database", daemon=True).start()
    return await done
