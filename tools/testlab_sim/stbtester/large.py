"""Files of any size, made a chunk at a time and the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

_CHUNK = 1 << 18


def large_file(size: int) -> Iterator[bytes]:
    """`size` bytes that do not compress to nothing at once: every chunk begins with its number."""
    pattern = bytes(range(256)) * (_CHUNK // 256)
    for number, start in enumerate(range(0, size, _CHUNK)):
        yield (number.to_bytes(8, "big") + pattern[8:])[: size - start]


def large_log(size: int, start: float, timezone: tzinfo) -> Iterator[bytes]:
    """About `size` bytes of log lines, whole lines, a millisecond apart."""
    moment, number, written = datetime.fromtimestamp(start, timezone), 0, 0
    while written < size:
        lines: list[str] = []
        for _ in range(2000):
            number += 1
            moment += timedelta(milliseconds=1)
            stamp = moment.isoformat(timespec="microseconds")
            lines.append(f"{stamp} frame {number}: motion={number * 7919 % 1000 / 1000:.3f} black=false\n")
        chunk = "".join(lines).encode()
        written += len(chunk)
        yield chunk
