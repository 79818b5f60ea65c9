"""A lock that the kernel frees when its holder dies: on one byte of a file, for one process at a time."""

from __future__ import annotations

import os
import sys

_LOCK_BYTE = 1 << 20
"""Beyond what is written to the file: where Windows locks a byte, others cannot read it."""


def lock(descriptor: int) -> None:
    """Take it at once. Raises OSError when another process, or this one through another descriptor, has it."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
