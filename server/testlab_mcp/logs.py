"""What this process logs: to stderr, warnings and worse, and of an exception where it came from, not what it says."""

from __future__ import annotations

import logging
from typing import Any

from testlab_tools.traces import trace_of


class Discreet(logging.Formatter):
    """Writes of an exception where it came from, and nothing that it says."""

    def format(self, record: logging.LogRecord) -> str:
        """As always, but never with what another handler's formatter has written of the exception."""
        record.exc_text = None
        try:
            return super().format(record)
        finally:
            record.exc_text = None

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The frames and types alone."""
        return trace_of(ei[1])


def quiet_libraries() -> None:
    """Log to stderr, warnings and worse. httpx2's line per request alone would cost more than the request."""
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(Discreet("%(levelname)s %(name)s: %(message)s"))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("httpx2", "httpcore2", "mcp"):
        logging.getLogger(name).setLevel(logging.WARNING)
