"""Saves files, in the background where one call is too short for a large file; the next call then waits for it.
What one caller writes is bounded: files at once, and bytes in all its folders together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from testlab_tools.errors import Conflict, Refused
from testlab_tools.fanout import ignore_error
from testlab_tools.files.io import Writer

MEGA = 10**6


@dataclass
class WriteQuota:
    """`most_files` at once and `most_bytes` in `folders`, 0 for no bound; all who share a quota share what is left."""

    folders: Sequence[Path] = ()
    most_files: int = 0
    most_bytes: int = 0
    _under_way: int = 0
    _stored: int = 0

    def start(self) -> None:
        """Count a file, until `finish`. Raises Conflict when too many are being written."""
        if self.most_files and self._under_way >= self.most_files:
            raise Conflict(
                f"{self._under_way} files of yours are being saved already",
                f"[http] transfers_per_caller allows {self.most_files} at once",
                "Wait for one of them: call it again with its arguments.",
            )
        self._under_way += 1

    def finish(self) -> None:
        """Count a file no longer, however it ended."""
        self._under_way -= 1

    async def measure(self) -> None:
        """Measure the folders anew; files may have been deleted."""
        if self.most_bytes:
            self._stored = await asyncio.to_thread(_size_of, self.folders)

    def consume(self, size: int) -> None:
        """Count bytes that are to be written. Raises Refused when they are too many."""
        if self.most_bytes and self._stored + size > self.most_bytes:
            raise Refused(
                "Your folder is full, and nothing more is saved",
                f"[http] megabytes_per_caller allows each caller {self.most_bytes // MEGA}",
                "Whoever runs this server deletes files from it, or raises that.",
            )
        self._stored += size


def _size_of(folders: Sequence[Path]) -> int:
    size = 0
    for folder in folders:
        for top, _, names in os.walk(folder):
            for name in names:
                try:
                    size += os.lstat(os.path.join(top, name)).st_size
                except OSError:  # gone meanwhile
                    continue
    return size


LOOK_EVERY_S = 1.0


class TransferResult(NamedTuple):
    """A file so far: `facts` is what the work returned, None until it has `finished`; `size` in bytes."""

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
    """The files that one caller is saving, by path."""

    def __init__(self, quota: WriteQuota | None = None) -> None:
        self.quota = quota or WriteQuota()
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
        hold_s: float,
    ) -> TransferResult:
        """Have `work` write a file, or wait for the file that another call with the same `key` began.

        Returns when it is done, or unfinished after `hold_s`: then it goes on by itself. `watch` is called
        with the size every second. When the last waiting call is cancelled, the file is given up.

        Raises:
            Conflict: another file is being saved at this path, or too many are being saved.
            Refused: the quota has no room for the file.
            BadInput: there is a file already, or it cannot be written.
        """
        transfer = self._under_way.get(path)
        if transfer is None:
            writer = Writer(path, self.quota.consume)
            self.quota.start()
            transfer = _Transfer(key, writer, asyncio.ensure_future(self._fill(writer, work)))
            transfer.task.add_done_callback(lambda _: self.quota.finish())
            transfer.task.add_done_callback(ignore_error)
            self._under_way[path] = transfer
        elif transfer.key != key:
            raise Conflict("Another file is being written there", "", "Give another save_to, or wait for it.")
        transfer.waiting += 1
        try:
            await _wait(transfer, watch, hold_s)
        except asyncio.CancelledError:
            if transfer.waiting == 1:
                transfer.task.cancel()
                self._forget(path, transfer)
            raise
        finally:
            transfer.waiting -= 1
        if not transfer.task.done():
            return TransferResult(False, transfer.writer.size)
        self._forget(path, transfer)
        return TransferResult(True, transfer.writer.size, transfer.task.result())

    async def _fill(self, writer: Writer, work: Callable[[Writer], Awaitable[Any]]) -> Any:
        await self.quota.measure()
        async with writer:
            return await work(writer)

    def _forget(self, path: Path, transfer: _Transfer) -> None:
        if self._under_way.get(path) is transfer:
            del self._under_way[path]


async def _wait(transfer: _Transfer, watch: Callable[[int], Awaitable[None]], seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while (left := until - clock()) > 0:
        done, _ = await asyncio.wait([transfer.task], timeout=min(LOOK_EVERY_S, left))
        if done:
            return
        await watch(transfer.writer.size)
