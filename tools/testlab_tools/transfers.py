"""Files on their way to disk. One call may be too short for a large one: it goes on, and the next call waits on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from testlab_tools.errors import Conflict
from testlab_tools.writing import Writer

HOLD_SECONDS = 40.0
"""What one call waits for a file; with what it asks before, it stays below 45 seconds."""

LOOK_EVERY_S = 1.0


class Saved(NamedTuple):
    """A file so far: `facts` is what the work returned, None while it has not `finished`; `size` in bytes."""

    finished: bool
    size: int
    facts: Any = None


@dataclass
class _Transfer:
    key: Hashable
    writer: Writer
    task: asyncio.Task[Any]
    waiting: int = 0


class Transfers:
    """The files under way, by path."""

    def __init__(self) -> None:
        self._under_way: dict[Path, _Transfer] = {}

    @property
    def busy(self) -> bool:
        """Whether a file is being written."""
        return any(not transfer.task.done() for transfer in self._under_way.values())

    async def run(
        self,
        path: Path,
        key: Hashable,
        work: Callable[[Writer], Awaitable[Any]],
        watch: Callable[[int], Awaitable[None]],
    ) -> Saved:
        """Have `work` write the file, or wait on what another call with the same `key` began.

        Returns when it is done, or unfinished after HOLD_SECONDS: then it goes on by itself. `watch` is told the size
        every second. When the last caller waiting is cancelled, the file is given up.

        Raises:
            Conflict: another file is on its way to this path.
            BadInput: there is a file already, or it cannot be written.
        """
        transfer = self._under_way.get(path)
        if transfer is None:
            writer = Writer(path)
            transfer = _Transfer(key, writer, asyncio.ensure_future(_filled(writer, work)))
            transfer.task.add_done_callback(_retrieve)
            self._under_way[path] = transfer
        elif transfer.key != key:
            raise Conflict("Another file is being written there", "", "Give another save_to, or wait for it.")
        transfer.waiting += 1
        try:
            await _until_done(transfer, watch)
        except asyncio.CancelledError:
            if transfer.waiting == 1:
                transfer.task.cancel()
                self._forget(path, transfer)
            raise
        finally:
            transfer.waiting -= 1
        if not transfer.task.done():
            return Saved(False, transfer.writer.size)
        self._forget(path, transfer)
        return Saved(True, transfer.writer.size, transfer.task.result())

    def _forget(self, path: Path, transfer: _Transfer) -> None:
        if self._under_way.get(path) is transfer:
            del self._under_way[path]


async def _filled(writer: Writer, work: Callable[[Writer], Awaitable[Any]]) -> Any:
    async with writer:
        return await work(writer)


async def _until_done(transfer: _Transfer, watch: Callable[[int], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + HOLD_SECONDS
    while (left := until - clock()) > 0:
        done, _ = await asyncio.wait([transfer.task], timeout=min(LOOK_EVERY_S, left))
        if done:
            return
        await watch(transfer.writer.size)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """An error that no call came back for is not worth a line in the log: nothing was kept."""
    if not task.cancelled():
        task.exception()
