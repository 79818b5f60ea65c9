"""Whether the services answer: asked when somebody wants to know, briefly, and not again within a few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from testlab_tools.capabilities import Service
from testlab_tools.errors import AuthError, ConfigError, LabError

PROBE_S = 2.0
KEPT_S = 5.0

State = Literal["ok", "no token", "refused", "down", "with a caller's token"]


class Readiness:
    """Of the services that work with the config's token; the others cannot be asked without a caller."""

    def __init__(
        self,
        services: Sequence[Service],
        callers_own: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._callers_own = callers_own
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: dict[str, State] = {}
        self._known_at = float("-inf")

    async def states(self) -> dict[str, State]:
        """Each service's state, of at most some seconds ago."""
        async with self._asking:
            if self._clock() - self._known_at > KEPT_S:
                states = await asyncio.gather(*(self._state(service) for service in self._services))
                self._known = {service.name: state for service, state in zip(self._services, states, strict=True)}
                self._known_at = self._clock()
            return self._known

    async def _state(self, service: Service) -> State:
        if service.name in self._callers_own:
            return "with a caller's token"
        try:
            async with asyncio.timeout(PROBE_S):
                await service.probe()
        except ConfigError:
            return "no token"
        except AuthError:
            return "refused"
        except (LabError, TimeoutError):
            return "down"
        return "ok"


def ready(states: dict[str, State]) -> bool:
    """Whether anything can be served: one lab's outage is told by its own tools, and is no reason to take all down."""
    return not states or any(state in ("ok", "with a caller's token") for state in states.values())
