"""Limits the audit's lines about refusals: many refusals of one caller are a few lines and a count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MAX_LINES = 10
"""Refusals of one tool to one caller that get a line within `SPAN_S`; the others are counted."""
SPAN_S = 60.0


@dataclass
class _Span:
    begun: float
    written: int = 0
    left_out: int = 0
    end: asyncio.Task[None] | None = None


class FloodLimit:
    """Calls `write` with the caller, the tool and the number of suppressed refusals when their span is over."""

    def __init__(self, write: Callable[[str, str, int], Awaitable[None]]) -> None:
        self._write = write
        self._spans: dict[tuple[str, str], _Span] = {}

    def suppress(self, who: str, tool: str) -> bool:
        """Count a refusal instead of writing it, and return True, when there were too many."""
        now = time.monotonic()
        for key in [key for key, span in self._spans.items() if now - span.begun > SPAN_S and span.end is None]:
            del self._spans[key]
        span = self._spans.setdefault((who, tool), _Span(now))
        if span.written < MAX_LINES:
            span.written += 1
            return False
        span.left_out += 1
        if span.end is None:
            span.end = asyncio.ensure_future(self._report_later(who, tool, span.begun + SPAN_S - now))
        return True

    async def aclose(self) -> None:
        """Write the counts so far."""
        for (who, tool), span in list(self._spans.items()):
            if span.end is not None:
                span.end.cancel()
                await asyncio.gather(span.end, return_exceptions=True)
                await self._report(who, tool)

    async def _report_later(self, who: str, tool: str, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
        await self._report(who, tool)

    async def _report(self, who: str, tool: str) -> None:
        if span := self._spans.pop((who, tool), None):
            await self._write(who, tool, span.left_out)
