"""Limits the calls of each caller by a token bucket."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MAX_BUCKETS = 10_000


@dataclass
class _Bucket:
    left: float
    at: float


class RateLimiter:
    """Allows bursts of `per_minute` calls and the same number each minute; 0 for no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: str) -> int:
        """Count a call and return 0, or return the whole seconds to wait before the next call is allowed."""
        if not self.per_minute:
            return 0
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            self._forget_full(now)
            bucket = self._buckets[caller] = _Bucket(self.per_minute, now)
        bucket.left = self._filled(bucket, now)
        bucket.at = now
        if bucket.left >= 1:
            bucket.left -= 1
            return 0
        return max(1, math.ceil((1 - bucket.left) * 60 / self.per_minute))

    def _filled(self, bucket: _Bucket, now: float) -> float:
        return min(self.per_minute, bucket.left + (now - bucket.at) * self.per_minute / 60)

    def _forget_full(self, now: float) -> None:
        if len(self._buckets) >= MAX_BUCKETS:
            full = self.per_minute
            self._buckets = {name: b for name, b in self._buckets.items() if self._filled(b, now) < full}
