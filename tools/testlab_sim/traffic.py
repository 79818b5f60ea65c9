"""Who asked the lab for what: requests by service, method and path, and how many were open at once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Count:
    """`handled` are those that no fault kept from the service; `peak_open` is the most that were ever being answered
    at the same time."""

    service: str
    method: str
    path: str
    count: int = 0
    handled: int = 0
    open: int = 0
    peak_open: int = 0

    def begin(self) -> None:
        self.count += 1
        self.open += 1
        self.peak_open = max(self.peak_open, self.open)

    def end(self) -> None:
        self.open -= 1


class Traffic:
    """Counts since the start or the last `clear`. A request still open when cleared is not counted again."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._total = Count("", "", "")
        self._counts: dict[tuple[str, str, str], Count] = {}

    @contextmanager
    def counted(self, service: str, method: str, path: str) -> Generator[tuple[Count, ...]]:
        counts = (self._total, self._counts.setdefault((service, method, path), Count(service, method, path)))
        for count in counts:
            count.begin()
        try:
            yield counts
        finally:
            for count in counts:
                count.end()

    def json(self) -> dict[str, Any]:
        """`{"count", "open", "peak_open", "requests": […]}`, a request as `Count` has it."""
        total = self._total
        return {
            "count": total.count,
            "open": total.open,
            "peak_open": total.peak_open,
            "requests": [asdict(count) for count in self._counts.values()],
        }
