"""One delivery: try, pause, try again, until the service has the run or refuses it for good."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from testlab_tools.capabilities import RunSink, Service
from testlab_tools.deliveries.progress import Failure, Progress
from testlab_tools.errors import (
    AnswerLost,
    AuthError,
    BadReply,
    ConfigError,
    LabError,
    RateLimited,
    ServiceDown,
    Unsupported,
)
from testlab_tools.questions import NewRun

logger = logging.getLogger("testlab_tools")

PASSING = (ServiceDown, RateLimited, AnswerLost, BadReply)
"""What time may mend."""
OPERATOR = (AuthError, ConfigError)
"""What the operator mends in the config, the run left as it is: a token, a service's name. Tried at long pauses."""


Tell = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True)
class Pace:
    """Pauses between tries, in seconds: doubling from the first to the longest, half of each random.

    `settle_s` is left to a service that was sent a run and did not answer, before it is asked whether it has it.
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    settle_s: float = 5.0

    def pause(self, attempts: int, error: LabError) -> float:
        """Seconds until the next try, after so many."""
        if isinstance(error, OPERATOR):
            return self.longest_s
        ceiling = min(self.longest_s, self.first_s * 2 ** min(attempts - 1, 30))
        pause = ceiling * (0.5 + 0.5 * random.random())
        if isinstance(error, RateLimited):
            return max(pause, error.retry_after)
        return max(pause, self.settle_s) if isinstance(error, AnswerLost) else pause


@cache
def runs() -> TypeAdapter[NewRun]:
    """Writes a run as JSON and reads it back; built when the first is sent."""
    return TypeAdapter(NewRun)


class Courier:
    """Sends to the services of one config, a few runs to each at a time."""

    def __init__(self, services: Mapping[str, Service], pace: Pace, at_once: int = 4) -> None:
        self._services = services
        self._pace = pace
        self._turns = {name: asyncio.Semaphore(at_once) for name in services}

    async def deliver(self, service: str, run: dict[str, Any], before: Progress, tell: Tell) -> Progress:
        """Until it is delivered or parked; `before` is what was last told, by whatever process."""
        now = before
        if now.state == "sending":
            now = now.model_copy(update={"unsure": True})
            await asyncio.sleep(self._pace.settle_s)
        while True:
            try:
                now = await self._tried(service, run, now, tell)
            except LabError as error:
                now = self._after(error, now)
            except Exception:
                logger.exception("a delivery to %s failed in a way nobody foresaw", service)
                now = self._after(LabError("Something went wrong inside this server", "", "Its log has it."), now)
            if now.state in ("delivered", "parked"):
                return now
            await tell(now)
            assert now.next_try_at is not None
            await asyncio.sleep(max(0.0, (now.next_try_at - datetime.now(UTC)).total_seconds()))

    async def _tried(self, service: str, content: dict[str, Any], now: Progress, tell: Tell) -> Progress:
        sink = self._sink(service)
        run = runs().validate_python(content)
        async with self._turns[service]:
            created = await sink.find_created(run) if now.unsure else None
            if created is None:
                now.attempts += 1
                await tell(now.model_copy(update={"state": "sending", "next_try_at": None}))
                created = await sink.create_run(run)
        return Progress(state="delivered", attempts=now.attempts, created=created)

    def _sink(self, service: str) -> RunSink:
        found = self._services.get(service)
        if found is None:
            raise ConfigError(
                f"No service {service} is configured",
                "It was renamed or taken out of the config since the run was given",
                f"A table [services.{service}] in the config takes it up again.",
            )
        if not isinstance(found, RunSink):
            raise Unsupported(f"Service {service} takes no runs", "", "")
        return found

    def _after(self, error: LabError, now: Progress) -> Progress:
        """Whether it waits for another try or is parked."""
        attempts = max(1, now.attempts)
        waits = isinstance(error, PASSING + OPERATOR)
        pause = timedelta(seconds=self._pace.pause(attempts, error))
        return Progress(
            state="queued" if waits else "parked",
            attempts=attempts,
            unsure=now.unsure or isinstance(error, AnswerLost | BadReply),
            failure=Failure.of(error),
            next_try_at=datetime.now(UTC) + pause if waits else None,
        )
