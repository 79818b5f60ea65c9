"""The services that long work uses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from testlab_tools.capabilities import NodeReservations, Service


class LaunchServices:
    """The services of the engine's launch, with the config's tokens. All workers of a launch share them, so that what
    bounds the requests to a service holds over all work."""

    def __init__(self, connect: Callable[[], Iterable[Service]]) -> None:
        """`connect` makes the services anew, for the engine's event loop."""
        self._connect = connect
        self._opening = threading.Lock()
        self._services: dict[str, Service] = {}
        self._users = 0

    def open(self) -> Mapping[str, Service]:
        """The services by name; `aclose` must be awaited as often."""
        with self._opening:
            if not self._users:
                self._services = {service.name: service for service in self._connect()}
                for service in self._services.values():
                    if isinstance(service, NodeReservations):
                        service.ends_doubtful = False
            self._users += 1
            return self._services

    def now(self) -> Mapping[str, Service]:
        """The services that are open."""
        return self._services

    async def aclose(self) -> None:
        """Close the services when nobody uses them any more."""
        with self._opening:
            self._users -= 1
            closing = [] if self._users else list(self._services.values())
        for service in closing:
            await service.aclose()
