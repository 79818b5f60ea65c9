"""How patient a campaign is: with services in trouble, with a database that is away, and with its nodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from testlab_tools.errors import AuthError, BadReply, LabError, RateLimited, ServiceDown
from testlab_tools.http.policy import Backoff, asked_by

T = TypeVar("T")
PASSING = (RateLimited, ServiceDown, BadReply, AuthError)
"""What is waited out: another answer may come later."""
logger = logging.getLogger("testlab_tools")


@dataclass(frozen=True)
class Pace:
    """Seconds, unless said otherwise.

    `horizon_s` is how long a reservation lasts without us, `extend_s` how often it is extended to that. A node is
    dropped after `max_bad` batches running without a result of a test, or when it has been offline for `offline_s`
    within a job. Without any node a campaign waits `no_node_s` for one. What has run is looked for at a
    campaign's end for `end_s`, however long its service is in trouble.
    """

    look_s: float = 20.0
    cancel_s: float = 1.0
    horizon_s: float = 1800.0
    extend_s: float = 240.0
    settle_s: float = 10.0
    result_lag_s: float = 30.0
    offline_s: float = 120.0
    stop_s: float = 120.0
    end_s: float = 600.0
    no_node_s: float = 3600.0
    max_bad: int = 3
    again: Backoff = field(default_factory=lambda: Backoff(1.0, 15.0))


class Patience:
    """Asks a service until it answers, and says meanwhile why it has not."""

    def __init__(self, pace: Pace, tell: Callable[[str], Awaitable[None]]) -> None:
        """`tell` takes why nothing goes on, empty once it does."""
        self._pace, self._tell = pace, tell
        self._told = ""

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The answer, however long the service is in trouble. Raises every other error of the lab."""
        tries = 0
        while True:
            try:
                answer = await question()
            except PASSING as error:
                tries += 1
                if tries > 1:
                    await self.tell_of(error)
                await asyncio.sleep(self._pace.again.pause(tries, asked_by(error)))
            else:
                await self._say("")
                return answer

    async def tell_of(self, error: LabError) -> None:
        """Say why nothing goes on, until the next answer."""
        await self._say(f"{error.what}." if error.what[-1:] != "." else error.what)

    async def _say(self, trouble: str) -> None:
        if trouble != self._told:
            self._told = trouble
            await self._tell(trouble)


async def in_database(work: Callable[[], T]) -> T:
    """The result of work on the database, in a thread; waits for as long as the database is away."""
    from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError

    tries = 0
    while True:
        try:
            return await _run_to_its_end(work)
        except IntegrityError:
            raise
        except (DBAPIError, TimeoutError) as error:
            tries += 1
            if tries == 1:
                logger.warning("the database of campaigns does not answer (%s); it is waited for", type(error).__name__)
            await asyncio.sleep(min(10.0, 0.25 * 2 ** min(tries, 6)))


async def _run_to_its_end(work: Callable[[], T]) -> T:
    """As asyncio.to_thread, but whoever is cancelled goes on only when the thread has ended: what is read afterwards
    holds what it wrote."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def describe(error: LabError) -> str:
    """What happened and why, without the next step, which is for a caller."""
    return ". ".join(part.rstrip(".") for part in (error.what, error.why) if part) + "."
