"""The lab: all configured services, found by what they can do or by whose id it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from testlab_tools.archive.archive import HistoryArchive
from testlab_tools.capabilities import Handle, NodeInventory, NodeReservations, RunArchive, Service
from testlab_tools.deadline import LONGEST_WAIT_S
from testlab_tools.errors import BadInput, NotFound, Refused, Unsupported, did_you_mean, nearest
from testlab_tools.fanout import ask_all
from testlab_tools.jobs import JobPoller
from testlab_tools.leases.store import LeaseStore
from testlab_tools.leases.tracker import ReservationTracker
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.repeated_calls import Orders
from testlab_tools.watching import Watcher

if TYPE_CHECKING:
    from testlab_tools.long_work import LongWork
    from testlab_tools.node_queue.fitness import FaultCollector

_SEVERAL = "The id could belong to several services"
C = TypeVar("C", bound=Service)


class Lab:
    """The configured services; `outbox` delivers runs to them and `work` is what outlives calls: both are None where
    `[durable]` is off.

    >>> archive, native = lab.owner("portal:/stb-tester-abcdef123456/0a23/972/2015-05-28_14.46.34", RunArchive)
    """

    def __init__(
        self,
        services: Iterable[Service],
        outbox: Outbox | None = None,
        callers_own: Collection[str] = (),
        leases: LeaseStore | None = None,
        archive: HistoryArchive | None = None,
    ) -> None:
        """`callers_own` names services whose token the caller brings: what is sent to them is not written down.
        `leases` is where reservations are written down, `archive` where history is kept (None: nowhere)."""
        self.services = {service.name: service for service in services}
        self._outbox = outbox
        self.outbox = outbox.restrict(None, callers_own) if outbox is not None else None
        self.reservations = ReservationTracker(leases)
        self.archive = archive
        self.work: LongWork | None = None
        self.idle_s = 0.0
        self.faults: dict[str, FaultCollector] = {}
        self.orders = Orders()
        self.longest_wait_s = LONGEST_WAIT_S
        self.watcher = Watcher()
        self.job_poller = self.watcher.job_poller

    def offering(self, capability: type[C], service: str = "") -> list[C]:
        """All services with a capability, or the one named.

        Raises:
            BadInput: no service of that name.
            Unsupported: it, or none of them, has the capability.
        """
        found = [self._find_service(service)] if service else list(self.services.values())
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
        service, able, native = self._candidates(handle, capability)
        if not service and owns is not None:
            able = [s for s in able if owns(s, native)]
        if not able:
            raise BadInput(
                "The id has no configured service in front of it and fits none of them",
                "",
                f"Ids look like <service>:<id>, as the list tools return them. Services: {', '.join(self.services)}.",
            ).naming(native)
        if len(able) > 1:
            raise BadInput(_SEVERAL, "", _put_in_front(able)).naming(native)
        return able[0], native

    async def node_owner(self, node_id: str, capability: type[C]) -> tuple[C, str]:
        """Return the service of a node and its native id. A bare id is looked up where several services could have it.

        Raises:
            BadInput: several have it, or could not be asked.
            NotFound: none has it.
        """
        return await self._find_owner(node_id, capability, _look_up_node)

    async def reservation_owner(self, reservation_id: str) -> tuple[NodeReservations, str]:
        """Return the service of a reservation and its native id, as `node_owner` does of a node."""
        return await self._find_owner(
            reservation_id, NodeReservations, lambda farm, native: farm.get_reservation(native)
        )

    async def _find_owner(
        self, handle: str, capability: type[C], look_up: Callable[[C, str], Awaitable[object]]
    ) -> tuple[C, str]:
        _, able, native = self._candidates(handle, capability)
        if len(able) == 1:
            return able[0], native

        answers = await ask_all(able, lambda service: look_up(service, native))
        possible = [s for s in able if not isinstance(answers.failed.get(s.name), NotFound | Refused)]
        errors = [answers.failed[s.name] for s in possible or able if s.name in answers.failed]
        if len(possible) > 1:
            raise BadInput(_SEVERAL, "; ".join(map(str, errors)), _put_in_front(possible)).naming(native)
        if possible and not errors:
            return possible[0], native
        raise next((error for error in errors if isinstance(error, Refused)), errors[0])

    def _candidates(self, handle: str, capability: type[C]) -> tuple[str, list[C], str]:
        """The service that the handle names, or empty; the services that the id can belong to; the native id."""
        service, native = Handle.parse(handle, self.services)
        if not native:
            raise BadInput("The id is empty", "", "Ids look like <service>:<id>, as the list tools return them.")
        if not service:
            self._refuse_mistyped(native)
        return service, self.offering(capability, service), native

    def run_owner(self, run_id: str, capability: type[C]) -> tuple[C, str]:
        """As `owner`, where a bare id fits the services whose run ids have its shape."""
        return self.owner(run_id, capability, lambda s, native: isinstance(s, RunArchive) and s.owns_run(native))

    def outbox_for(self, service: str) -> Outbox | None:
        """Where what goes to a service is written down first; None where that is not done."""
        return self.outbox if self.outbox is not None and self.outbox.accepts(service) else None

    def native(self, handle: str) -> str:
        """The native id in a handle of ours."""
        return Handle.parse(handle, self.services).native

    def share(self, services: Iterable[Service], limited: bool) -> Lab:
        """A lab of some of these services, or others of their names, for somebody who has no part in the rest.

        It has reservations, waits and, if `limited`, deliveries of its own. Close what is new in it by itself.
        """
        made = Lab(services, leases=self.reservations.store, archive=self.archive)
        made.longest_wait_s, made.work = self.longest_wait_s, self.work
        made.watcher, made.job_poller = self.watcher, JobPoller(self.watcher.saw_job)
        if self.outbox is not None:
            made.outbox = self.outbox.restrict(made.services if limited else None, self.outbox.direct)
        return made

    async def aclose(self) -> None:
        """Stop watches and deliveries, let orders end, release the reservations made here, then close every service."""
        try:
            await self.watcher.aclose()
            if self._outbox is not None:
                await self._outbox.aclose()
            await self.orders.aclose()
            await self.reservations.release()
            if self.reservations.store is not None:
                self.reservations.store.close()
        finally:
            if self.archive is not None:
                await self.archive.aclose()
            async with AsyncExitStack() as stack:
                for service in self.services.values():
                    stack.push_async_callback(service.aclose)

    def _refuse_mistyped(self, native: str) -> None:
        head, colon, _ = native.partition(":")
        if colon and (near := nearest(head.casefold(), self.services, cutoff=0.75)):
            mistyped = BadInput("The id begins with no configured service", "", f"Did you mean {near[0]}:…?")
            raise mistyped.naming(native)

    def _find_service(self, service: str) -> Service:
        if service not in self.services:
            hint = did_you_mean(service, self.services, f"Configured: {', '.join(self.services) or 'none'}.")
            raise BadInput("There is no service of that name", "", hint)
        return self.services[service]


async def _look_up_node(service: Service, node_id: str) -> None:
    if isinstance(service, NodeInventory):
        await service.get_node(node_id)


def _put_in_front(services: Iterable[Service]) -> str:
    return f"Put one of {_names(services)} and a colon in front."


def _names(services: Iterable[Service]) -> str:
    return ", ".join(s.name for s in services)
