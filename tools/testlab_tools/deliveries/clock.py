"""What time it is, for what happens only after minutes and days."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The system's clocks."""

    def seconds(self) -> float:
        """Seconds since some moment, never set back."""
        return time.monotonic()

    def now(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)
