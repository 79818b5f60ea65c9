"""When to ask again, and after how long: reads only, a bounded number of times, as the service asks."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from testlab_tools.errors import LabError, ServiceDown

T = TypeVar("T")
RETRIED = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class RetryPolicy:
    """At most `attempts` tries, none after `longest_wait_s`; jittered exponential backoff where the service does not
    say how long.

    `longest_wait_s` bounds what one call spends on waits and on tries that failed: a service that asks for more is not
    waited for, one that does not answer not asked again and again.
    """

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0
    jitter: Callable[[], float] = random.random

    def backoff(self, attempt: int) -> float:
        """Seconds before try number `attempt + 1` (the first try is 1): doubling, with half of it random."""
        ceiling = self.first_wait_s * 2 ** (attempt - 1)
        return ceiling * (0.5 + 0.5 * self.jitter())

    async def run(self, attempt: Callable[[], Awaitable[T]], sleep: Callable[[float], Awaitable[None]]) -> T:
        """The result of `attempt()`, tried again while it raises Again or ServiceDown, within the bounds."""
        spent = 0.0
        for number in range(1, self.attempts + 1):
            begun = time.monotonic()
            wait = self.backoff(number)
            try:
                return await attempt()
            except Again as again:
                failure = again.failure
                wait = wait if again.asked is None else again.asked
            except Hung:
                raise
            except ServiceDown as error:
                failure = error
            spent += time.monotonic() - begun
            if number == self.attempts or spent + wait > self.longest_wait_s:
                raise failure
            await sleep(wait)
            spent += wait
        raise AssertionError("unreachable: the last attempt returns or raises")


class Again(Exception):
    """An answer that may be another later: `failure` if it is not, `asked` the seconds the service asks to wait."""

    def __init__(self, failure: LabError, asked: float | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.asked = asked


class Hung(ServiceDown):
    """No answer within the timeout: a service that hangs costs one timeout, so it is not asked again."""


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks for: either form (RFC 9110 section 10.2.3), never negative.

    None when there is none or it cannot be read.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
