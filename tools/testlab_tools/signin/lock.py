"""One process at a time: a lock among all that use one sign-in, which ends with the process that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from testlab_tools.signin.store import private_folder

WAIT_SECONDS = 12.0


@asynccontextmanager
async def sole(path: Path) -> AsyncGenerator[None]:
    """Hold the lock that stands for `path`. Raises TimeoutError when another process keeps it.

    SQLite's own lock on a file serves: it is the same on every system, and the system lets go of it.
    """
    import sqlite3

    def taken() -> sqlite3.Connection:
        private_folder(path.parent)
        connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        return connection

    try:
        connection = await asyncio.to_thread(taken)
    except sqlite3.OperationalError:
        raise TimeoutError from None
    with closing(connection):
        yield
