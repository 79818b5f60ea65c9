"""The services that long work uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from testlab_tools.capabilities import NodeReservations, Service
from testlab_tools.durable.engine import Engine


class LaunchServices:
    """The services of the engine's launch, with the config's tokens. All workers of a launch share them, so that what
    bounds the requests to a service holds over all work."""

    def __init__(self, engine: Engine, connect: Callable[[], Iterable[Service]]) -> None:
        """`connect` makes the services anew, for the event loop of each launch."""
        self._connect = connect
        self._services: dict[str, Service] = {}
        engine.before_launch(self._drop)

    def open(self) -> Mapping[str, Service]:
        """The services of this launch by name."""
        if not self._services:
            self._services = {service.name: service for service in self._connect()}
            for service in self._services.values():
                if isinstance(service, NodeReservations):
                    service.ends_doubtful = False
        return self._services

    def now(self) -> Mapping[str, Service]:
        """The services that are open."""
        return self._services

    async def aclose(self) -> None:
        """Close the services, unless they are closed. To be called once nothing of the launch runs any more."""
        closing, self._services = self._services, {}
        for service in closing.values():
            await service.aclose()

    def _drop(self) -> None:
        """Forget what a launch has left that could not close it: its event loop is closed, or never ran."""
        self._services = {}
