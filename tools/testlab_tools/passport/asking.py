"""Asking many services in one call: one that has failed is not asked again, and none holds the call for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from testlab_tools.capabilities import Service
from testlab_tools.errors import BadInput, LabError, NotFound, ServiceDown

T = TypeVar("T")
MOST_SECONDS = 40.0
"""How long all questions of a call may take."""

ONE_SECONDS = 20.0
"""How long one may: where a service hangs, the others are still asked what comes after."""


class Asking:
    """One call's questions. `failed` holds why a service is not asked any more."""

    def __init__(self) -> None:
        self._until = asyncio.get_running_loop().time() + MOST_SECONDS
        self.failed: dict[str, LabError] = {}

    async def answer(self, service: Service, question: Awaitable[T]) -> T | None:
        """The answer; None when there is no such thing, or the service failed, which `failed` then tells."""
        try:
            async with asyncio.timeout_at(min(self._until, asyncio.get_running_loop().time() + ONE_SECONDS)):
                return await question
        except NotFound:
            return None
        except LabError as error:
            self.failed.setdefault(service.name, error)
        except TimeoutError:
            what = f"Service {service.name} did not answer within {ONE_SECONDS:.0f} s"
            self.failed.setdefault(service.name, ServiceDown(service.name, what, "", "Call again later."))
        return None

    async def record(self, service: Service, question: Awaitable[T]) -> T | None:
        """As `answer`, where a name the service does not take means that it knows none."""

        async def asked() -> T | None:
            try:
                return await question
            except BadInput:
                return None

        return await self.answer(service, asked())

    def still(self, service: Service) -> bool:
        """Whether it has not failed so far."""
        return service.name not in self.failed
