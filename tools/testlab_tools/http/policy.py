"""How a service is asked: where it is, when it is asked again and after how long, identical reads sent as one, and its
places shared so that one caller never has all while others wait.
"""

from __future__ import annotations

import asyncio
import math
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar

from testlab_tools.errors import ConfigError, LabError, RateLimited, ServiceDown
from testlab_tools.times import utc

T = TypeVar("T")
MAX_ASKED_S = 86_400.0
"""A service that asks for more than a day means nothing that can be waited for."""
RETRIED = frozenset({429, 502, 503, 504})


class Again(Exception):
    """An answer that may be another later: `failure` if it is not, `asked` the seconds the service asks to wait."""

    def __init__(self, failure: LabError, asked: float | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.asked = asked


class Hung(ServiceDown):
    """No answer within the timeout: a service that hangs costs one timeout, so it is not asked again."""


@dataclass(frozen=True)
class Backoff:
    """Pauses that double from `first_s` up to `longest_s`; half of each is sure, and `jitter` of the other half."""

    first_s: float = 0.5
    longest_s: float = math.inf
    jitter: Callable[[], float] = random.random

    def pause(self, tries: int, asked_s: float = 0.0) -> float:
        """Return the seconds to wait after so many tries; never less than the service asked for."""
        ceiling = min(self.longest_s, self.first_s * 2 ** min(tries - 1, 30))
        return max(asked_s, ceiling * (0.5 + 0.5 * self.jitter()))


def asked_by(error: LabError) -> float:
    """Return the seconds that the service asks to wait; 0 where it asks nothing."""
    return error.retry_after if isinstance(error, RateLimited) else 0.0


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
        """Return the seconds before try number `attempt + 1`; the first try is 1."""
        return Backoff(self.first_wait_s, jitter=self.jitter).pause(attempt)

    async def run(self, attempt: Callable[[], Awaitable[T]], sleep: Callable[[float], Awaitable[None]]) -> T:
        """Return the result of `attempt()`, tried again within the bounds when the service says that it may answer
        later, cannot be reached, or breaks off; not when it hangs."""
        spent, tries = 0.0, 0
        while True:
            begun = time.monotonic()
            try:
                return await attempt()
            except (Again, ServiceDown) as error:
                tries += 1
                failure, asked = (error.failure, error.asked) if isinstance(error, Again) else (error, None)
            spent += time.monotonic() - begun
            wait = self.backoff(tries) if asked is None else asked
            if isinstance(failure, Hung) or tries >= self.attempts or spent + wait > self.longest_wait_s:
                raise failure
            await sleep(wait)
            spent += wait


async def look_up(find: Callable[[], Awaitable[T | None]], pauses: Iterable[float]) -> T | None:
    """Look for what a change whose answer was lost may have made, after each of `pauses` seconds: the service may
    still be at it. Returns None when it is not there at the last look."""
    for pause in pauses:
        await asyncio.sleep(pause)
        if found := await find():
            return found
    return None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, from 0 to MAX_ASKED_S; None where there is none to read.

    Either form of it (RFC 9110, section 10.2.3).
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
        return min(max(0.0, seconds), MAX_ASKED_S) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = utc(parsedate_to_datetime(value))
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()), MAX_ASKED_S)


@dataclass(frozen=True)
class Endpoint:
    """Where a service is and how patient to be with it."""

    service: str
    url: str
    ca_file: str = ""
    timeout_seconds: float = 15.0
    max_concurrency: int = 8
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def at(self, path: str) -> str:
        """Return the URL of a path of the service."""
        return self.url.rstrip("/") + path

    def tls(self) -> ssl.SSLContext | bool:
        """Return the system's trust store, or the configured authority alone. Verification is never off."""
        if not self.ca_file:
            return True
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"Service {self.service}'s ca_file cannot be used ({type(error).__name__})",
                "",
                f"[services.{self.service}] ca_file must name a PEM file of certificates.",
            ) from None


class SingleFlight(Generic[T]):
    """Callers that ask for the same key while an answer is under way share it.

    Cancelling one caller leaves the others waiting; when the last one goes, the work is cancelled too.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[T]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `work()`, or of the one already under way for `key`."""
        flight = self._flights.get(key)
        if (
            flight is None or flight.task.done()
        ):  # it has not landed yet, and who asks again in a loop would never let it
            flight = self._flights[key] = _Flight(asyncio.ensure_future(work()))
            flight.task.add_done_callback(lambda _: self._land(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(key, flight)
                flight.task.cancel()

    def _land(self, key: Hashable, flight: _Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Flight(Generic[T]):
    def __init__(self, task: asyncio.Future[T]) -> None:
        self.task = task
        self.waiting = 0


_asking: ContextVar[str] = ContextVar("asking", default="")


@contextmanager
def asking_for(caller: str) -> Generator[None]:
    """What is asked of services meanwhile, also by tasks begun meanwhile, is asked for this caller; empty where there
    is only one."""
    token = _asking.set(caller)
    try:
        yield
    finally:
        _asking.reset(token)


class FairQueue:
    """Of `places`, one caller has at most `of_one`; of those who wait, who has the fewest goes first."""

    def __init__(self, places: int, of_one: int) -> None:
        self._free: int = places
        self._of_one = max(1, of_one)
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None]:
        """A place, once there is one for whoever asks."""
        caller = _asking.get()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (caller, place)
        self._waiting.append(waiting)
        self._admit()
        try:
            await place
            yield
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self._give_back(caller)

    def _admit(self) -> None:
        while self._free:
            next_ = min(
                (one for one in self._waiting if not one[0] or self._held[one[0]] < self._of_one),
                key=lambda one: self._held[one[0]],
                default=None,
            )
            if next_ is None:
                return
            self._waiting.remove(next_)
            self._free -= 1
            self._held[next_[0]] += 1
            if not next_[1].done():
                next_[1].set_result(None)

    def _give_back(self, caller: str) -> None:
        self._free += 1
        self._held[caller] -= 1
        if not self._held[caller]:
            del self._held[caller]
        self._admit()
