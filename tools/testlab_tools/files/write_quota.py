"""Bounds what one caller writes: files at once, and bytes in all its folders together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testlab_tools.errors import Conflict, Refused

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
