"""The time by which a call has to be answered, and what of it a step may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

LONGEST_WAIT_S = 45.0
"""A call's time where the config (`longest_wait_seconds`) says nothing: agents' clients give up after 50 to 60 s."""

RESERVE = 0.1
"""Of a call's time, what its long step leaves for the others."""


class Deadline:
    """Made when a call begins, and asked by each of its steps: bounds are shares of the call's time, not constants."""

    def __init__(self, seconds: float = LONGEST_WAIT_S) -> None:
        self.seconds = seconds
        self._began = _now()

    @property
    def spent_s(self) -> float:
        """Seconds that the call has taken so far."""
        return _now() - self._began

    def remaining(self) -> float:
        """Seconds left."""
        return max(0.0, self.seconds - self.spent_s)

    def long_step(self) -> float:
        """Seconds for the long step of a call: what remains, less a reserve for the steps that follow."""
        return max(0.0, self.remaining() - self.seconds * RESERVE)

    def share(self, fraction: float) -> float:
        """Seconds for one step: a fraction of the call's whole time, or what remains of it."""
        return min(self.seconds * fraction, self.remaining())

    @asynccontextmanager
    async def timeout(self, fraction: float) -> AsyncGenerator[asyncio.Timeout]:
        """End the block without an error after its `share`; `expired()` of what it yields says whether it did."""
        limit = asyncio.timeout(self.share(fraction))
        try:
            async with limit:
                yield limit
        except TimeoutError:
            if not limit.expired():
                raise


def _now() -> float:
    """The running loop's clock, so that a test's loop may skip time; the same monotonic clock where no loop runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
