"""A queue for a service's concurrency limit, of which one caller never has all places while others wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

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
