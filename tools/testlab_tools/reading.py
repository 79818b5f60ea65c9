"""A file read whole: a regular one, of bounded size, and the very one that was allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from testlab_tools.errors import BadInput, LabError

MOST_BYTES = 64 * 2**20
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""A pipe put there does not hold us, and a symlink is not followed: the path is resolved already."""


def read_file(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file at a resolved path (`Folders.to_read`).

    Raises:
        BadInput: it is a folder, pipe or device, too large, not readable, or was replaced while it was opened.
    """
    try:
        descriptor = os.open(path, _FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise _irregular()
            if path.resolve() != path or not os.path.samestat(facts, path.stat()):
                raise BadInput("The file was replaced while it was opened", "", "Call again once it is complete.")
            content = file.read(most_bytes + 1) if facts.st_size <= most_bytes else None
    except IsADirectoryError:
        raise _irregular() from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"The file cannot be read ({reason})", "", "Check its permissions.") from None
    if content is None or len(content) > most_bytes:
        raise too_large("The file", most_bytes)
    return content


def too_large(what: str, most_bytes: int) -> LabError:
    """What to say of something larger than is read here."""
    size = f"{most_bytes // 2**20} MiB" if most_bytes >= 2**20 else f"{most_bytes} bytes"
    return BadInput(f"{what} is larger than {size}, the most that is read", "", "Give a smaller one.")


def _irregular() -> BadInput:
    return BadInput("The path is not that of a regular file", "", "Give a file, not a folder, pipe or device.")
