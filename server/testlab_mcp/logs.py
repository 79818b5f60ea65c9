"""What this process logs: to stderr, warnings and worse; of an exception the places and types, never its message.

A message may hold a reply's text or a secret (a validation error quotes its input, a connection error its URL), and a
log is read in terminals.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

MAX_FRAMES = 20
"""The last frames show where it went wrong; a recursion has hundreds."""


def set_up_logging() -> None:
    """Log to stderr, warnings and worse. httpx2's line per request alone would cost more than the request."""
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(name).setLevel(logging.WARNING)


class RedactingFormatter(logging.Formatter):
    """Writes of an exception where it came from, and nothing that it says."""

    def format(self, record: logging.LogRecord) -> str:
        """Format as always, but never with what another handler's formatter has written of the exception."""
        record.exc_text = None
        try:
            return super().format(record)
        finally:
            record.exc_text = None

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The frames and types alone."""
        return format_trace(ei[1])


def format_trace(error: BaseException) -> str:
    """The frames of an exception and of those that led to it, oldest first, a line each.

    >>> format_trace(KeyError("tk-1"))
    'KeyError'
    """
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = traceback.extract_tb(current.__traceback__)[-MAX_FRAMES:]
        places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        lines = [*places, type(current).__name__, *lines]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\n".join(lines)
