"""One delivery: try, pause, try again, until the service has it or refuses it for good."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from testlab_tools.capabilities import Service
from testlab_tools.deliveries.parcel import Parcel, RunParcel
from testlab_tools.deliveries.progress import OPERATOR, PASSING_OR_OPERATOR, Contents, Failure, Progress, Tell
from testlab_tools.deliveries.report_carrier import carry_report
from testlab_tools.deliveries.run_carrier import carry_run
from testlab_tools.errors import AnswerLost, ConfigError, LabError, RateLimited

logger = logging.getLogger("testlab_tools")


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


class Courier:
    """Sends to the services of one config, a few deliveries to each at a time."""

    def __init__(self, services: Mapping[str, Service], pace: Pace, at_once: int = 4) -> None:
        self._services = services
        self._pace = pace
        self._turns = {name: asyncio.Semaphore(at_once) for name in services}

    async def deliver(self, service: str, parcel: Parcel, contents: Contents, before: Progress, tell: Tell) -> Progress:
        """Until it is delivered or parked; `before` is what was last told, by whatever process."""
        now = before.model_copy(deep=True)
        if now.state == "sending":
            now.unsure = True
            await asyncio.sleep(self._pace.settle_s)
        while True:
            try:
                await self._carry(service, parcel, contents, now, tell)
                return now.model_copy(update={"state": "delivered", "failure": None, "next_try_at": None})
            except LabError as error:
                now = self._after(error, now)
            except Exception:
                logger.exception("a delivery to %s failed in a way nobody foresaw", service)
                now = self._after(LabError("Something went wrong inside this server", "", "Its log has it."), now)
            if now.state == "parked":
                return now
            await tell(now)
            assert now.next_try_at is not None
            await asyncio.sleep(max(0.0, (now.next_try_at - datetime.now(UTC)).total_seconds()))

    async def _carry(self, name: str, parcel: Parcel, contents: Contents, now: Progress, tell: Tell) -> None:
        service = self._service(name)
        async with self._turns[name]:
            if isinstance(parcel, RunParcel):
                await carry_run(service, parcel, contents, now, tell)
            else:
                await carry_report(service, parcel, contents, now, tell)

    def _service(self, name: str) -> Service:
        found = self._services.get(name)
        if found is None:
            raise ConfigError(
                f"No service {name} is configured",
                "It was renamed or taken out of the config since the delivery was given",
                f"A table [services.{name}] in the config takes it up again.",
            )
        return found

    def _after(self, error: LabError, now: Progress) -> Progress:
        """Whether it waits for another try or is parked."""
        attempts = max(1, now.attempts)
        waits = isinstance(error, PASSING_OR_OPERATOR)
        pause = timedelta(seconds=self._pace.pause(attempts, error))
        told = {
            "state": "queued" if waits else "parked",
            "attempts": attempts,
            "failure": Failure.of(error),
            "next_try_at": datetime.now(UTC) + pause if waits else None,
        }
        return now.model_copy(update=told)
