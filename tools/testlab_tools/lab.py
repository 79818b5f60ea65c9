"""The lab: all configured services, found by what they can do or by whose id it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AsyncExitStack
from difflib import get_close_matches
from typing import TypeVar

from testlab_tools.capabilities import Service
from testlab_tools.deliveries.outbox import Outbox
from testlab_tools.deliveries.share import OutboxShare
from testlab_tools.errors import BadInput, Unsupported
from testlab_tools.handles import Handle
from testlab_tools.holding import Holding
from testlab_tools.watch import Watches

C = TypeVar("C", bound=Service)


class Lab:
    """The configured services; `outbox` delivers runs to them, None where deliveries are switched off.

    >>> archive, native = lab.owner("portal:/stb-tester-abcdef123456/0a23/972/2015-05-28_14.46.34", RunArchive)
    """

    def __init__(
        self, services: Iterable[Service], outbox: Outbox | None = None, callers_own: Collection[str] = ()
    ) -> None:
        """`callers_own` names services whose token the caller brings: what is sent to them is not written down."""
        self.services = {service.name: service for service in services}
        self._outbox = outbox
        self.outbox = OutboxShare(outbox, None, callers_own) if outbox is not None else None
        self.holding = Holding()
        self.watches = Watches()

    def offering(self, capability: type[C], service: str = "") -> list[C]:
        """All services with a capability, or the one named.

        Raises:
            BadInput: no service of that name.
            Unsupported: it, or none of them, has the capability.
        """
        found = [self._named(service)] if service else list(self.services.values())
        able = [s for s in found if isinstance(s, capability)]
        if not able:
            names = ", ".join(s.name for s in self.services.values() if isinstance(s, capability))
            raise Unsupported(
                f"Service {service} cannot do this" if service else "No configured service can do this",
                "",
                f"These can: {names}." if names else "",
            )
        return able

    def one(self, capability: type[C], service: str = "") -> C:
        """The only service with a capability, or the one named. Raises BadInput when it must be named."""
        able = self.offering(capability, service)
        if len(able) > 1:
            raise BadInput("Several services can do this", "", f"Give service as one of {_names(able)}.")
        return able[0]

    def owner(self, handle: str, capability: type[C], owns: Callable[[C, str], bool] | None = None) -> tuple[C, str]:
        """The service that a handle names and the native id in it; a bare id must fit exactly one service.

        `owns` tells, of several services, which could have made such an id.
        """
        service, native = Handle.parse(handle, self.services)
        if not native:
            raise BadInput("The id is empty", "", "Ids look like <service>:<id>, as the list tools return them.")
        if not service:
            self._mistyped(native)
        able = self.offering(capability, service)
        if not service and owns is not None:
            able = [s for s in able if owns(s, native)]
        if not able:
            raise BadInput(
                "The id has no configured service in front of it and fits none of them",
                "",
                f"Ids look like <service>:<id>, as the list tools return them. Services: {', '.join(self.services)}.",
            )
        if len(able) > 1:
            raise BadInput(
                "The id could belong to several services", "", f"Put one of {_names(able)} and a colon in front."
            )
        return able[0], native

    def outbox_for(self, service: str) -> OutboxShare | None:
        """Where what goes to a service is written down first; None where that is not done."""
        return self.outbox if self.outbox is not None and self.outbox.takes(service) else None

    def native(self, handle: str) -> str:
        """The native id in a handle of ours."""
        return Handle.parse(handle, self.services).native

    def share(self, services: Iterable[Service], limited: bool) -> Lab:
        """A lab of some of these services, or others of their names, for somebody who has no part in the rest.

        It has reservations, waits and, if `limited`, deliveries of its own. Close what is new in it by itself.
        """
        made = Lab(services)
        if self.outbox is not None:
            made.outbox = self.outbox.limited(made.services if limited else None)
        return made

    async def aclose(self) -> None:
        """Stop the deliveries, release the reservations made here, then every service's connections."""
        try:
            if self._outbox is not None:
                await self._outbox.aclose()
            await self.holding.release()
        finally:
            async with AsyncExitStack() as stack:
                for service in self.services.values():
                    stack.push_async_callback(service.aclose)

    def _mistyped(self, native: str) -> None:
        head, colon, _ = native.partition(":")
        if colon and (near := get_close_matches(head.casefold(), self.services, n=1, cutoff=0.75)):
            raise BadInput("The id begins with no configured service", "", f"Did you mean {near[0]}:…?")

    def _named(self, service: str) -> Service:
        if service not in self.services:
            near = get_close_matches(service, self.services, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Configured: {', '.join(self.services) or 'none'}."
            raise BadInput("There is no service of that name", "", hint)
        return self.services[service]


def _names(services: Iterable[Service]) -> str:
    return ", ".join(s.name for s in services)
