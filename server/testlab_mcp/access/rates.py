"""How often a caller may call: a bucket of tokens for each, filled as time goes by."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_BUCKETS = 10_000


@dataclass
class _Bucket:
    left: float
    at: float


class Rates:
    """At most `per_minute` calls in any instant, and so many a minute for as long as it lasts; 0 for no bound."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def wait_s(self, caller: str) -> int:
        """0, and the call is counted; or the whole seconds to wait before the next will be let through."""
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
        if len(self._buckets) >= MOST_BUCKETS:
            kept = {name: one for name, one in self._buckets.items() if self._filled(one, now) < self.per_minute}
            self._buckets = kept
