"""A lock among processes of one machine, on a file; the kernel frees it when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

_LOCK_BYTE = 1 << 20
"""Beyond what is written to the file: where Windows locks a byte, others cannot read it."""
_POLL_INTERVAL_S = 0.002


class FileLock:
    """Excludes other processes, and other locks of this process on the same file.

    The file is never deleted: who waits for a deleted file's lock would hold it beside the new file's. It may have
    content, which others can read meanwhile.
    """

    def __init__(self, path: Path, flags: int = 0) -> None:
        """`flags` are added to those that `os.open` opens the file with."""
        self._path = path
        self._flags = os.O_RDWR | os.O_CREAT | flags
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """Take the lock; returns False when another has it until the time is over. Blocks.

        Raises:
            OSError: the file cannot be opened, or its file system has no locks.
        """
        deadline = time.monotonic() + timeout_s
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, self._flags, 0o600)
        try:
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(_POLL_INTERVAL_S)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def is_taken(self) -> bool:
        """Whether anybody has the lock; on POSIX, others who ask at the same moment do not count. Raises OSError as
        `acquire` does."""
        descriptor = os.open(self._path, self._flags, 0o600)
        try:
            return not _try_lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def held(self) -> bool:
        """Whether this process has it."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The file, open to read and write while the lock is held."""
        assert self._descriptor is not None, "the lock is not held"
        return self._descriptor

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


if sys.platform == "win32":

    def _try_lock(descriptor: int, shared: bool = False) -> bool:
        import msvcrt

        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:

    def _try_lock(descriptor: int, shared: bool = False) -> bool:
        import fcntl

        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True
