"""Where an exception came from, for a log: places and types, never its message.

What an exception says may hold a reply's text or a secret (a validation error quotes its input, a connection error its
URL), and a log is read in terminals.
"""

from __future__ import annotations

import traceback


def trace_of(error: BaseException) -> str:
    """The frames of an exception and of those that led to it, oldest first, a line each.

    >>> trace_of(KeyError("tk-1"))
    'KeyError'
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-_MOST:]
        places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines = [*places, type(current).__name__, *lines]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)


_MOST = 20
"""The last frames tell where it went wrong; of a recursion, there would be hundreds."""
