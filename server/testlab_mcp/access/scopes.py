"""The part of the lab that each caller has.

A scope belongs to one caller with one set of service tokens. It shares the services that work with the config's token;
services with the caller's token, waits, reservations and files are its own. A caller's scopes share one write quota.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
from pydantic import SecretStr

from testlab_mcp.access.callers import LOCAL, Caller
from testlab_mcp.access.service_scope import OwnershipRegistry
from testlab_tools.capabilities import NodeReservations, Service
from testlab_tools.errors import LabError
from testlab_tools.files.folders import Folders
from testlab_tools.files.transfers import Transfers, WriteQuota
from testlab_tools.lab import Lab

MAX_SCOPES = 256
MAX_PER_CALLER = 8
"""Scopes of one caller, who may send any number of tokens."""

RESTORE_S = 5.0
"""Before a service that did not answer is asked again whose its reservations are: calls wait for that."""

LEARN_S = 1.0
"""How old what other processes and long work have reserved may be in the eyes of a call."""

Connect = Callable[[SecretStr | None], Service]
"""Makes a service with a caller's token or with none, never with one of the config's."""


@dataclass
class CallerScope:
    """A caller's part of the lab. `own_services` are closed with it; `in_flight` counts the calls that use it."""

    caller: Caller
    lab: Lab
    files: Folders
    own_services: list[Service] = field(default_factory=list[Service])
    in_flight: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is going on in it."""
        return not self.in_flight and not self.files.transfers.busy and not self.lab.orders.busy

    async def release(self) -> None:
        """Wait for its orders, then end its reservations."""
        await self.lab.orders.aclose()
        await self.lab.reservations.release()

    async def aclose(self) -> None:
        """Close its own services."""
        for service in self.own_services:
            await service.aclose()


class ScopeCache:
    """Builds scopes, and closes the least recently used. `connect` makes, by name, the services that take a caller's
    own token; `max_files` (at once) and `max_bytes` are each caller's write quota, 0 for no limit."""

    def __init__(
        self,
        lab: Lab,
        files: Folders,
        connect: Mapping[str, Connect] | None = None,
        max_files: int = 0,
        max_bytes: int = 0,
    ) -> None:
        self._quota = (max_files, max_bytes)
        self._write_quotas: dict[str, WriteQuota] = {}
        self._local = CallerScope(LOCAL, lab, files)
        self._connect = connect or {}
        self._scopes: OrderedDict[Hashable, CallerScope] = OrderedDict()
        self._ownership: defaultdict[str, OwnershipRegistry] = defaultdict(OwnershipRegistry)
        self._restored = lab.reservations.store is None
        self._restore_at = self._learn_at = 0.0

    @property
    def callers_own(self) -> Collection[str]:
        """Names of the services that take a caller's own token."""
        return self._connect.keys()

    @property
    def services(self) -> list[Service]:
        """Every service of the deployment."""
        return list(self._local.lab.services.values())

    @asynccontextmanager
    async def enter(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> AsyncGenerator[CallerScope]:
        """The caller's scope, kept open until the call ends."""
        scope = await self._find_or_build(caller, tokens)
        scope.in_flight += 1
        self._note_activity(caller)
        try:
            yield scope
        finally:
            scope.in_flight -= 1
            self._note_activity(caller)

    def _note_activity(self, caller: Caller) -> None:
        if (leases := self._local.lab.reservations.store) is not None:
            leases.note_activity(caller.name)

    async def aclose(self) -> None:
        """Release the reservations of all scopes, then close their own services. The lab closes itself."""
        scopes = list(self._scopes.values())
        self._scopes.clear()
        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(scope.release)
        for scope in scopes:
            await scope.aclose()

    async def _find_or_build(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> CallerScope:
        if caller == LOCAL and not tokens:
            return self._local
        await self.restore_ownership()
        await self._learn_ownership()
        key = (caller.name, caller.services, caller.nodes, frozenset(tokens.items()))
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = self._build(caller, tokens)
            scope.in_flight += 1  # so that it is not evicted itself
            try:
                await self._evict(caller)
            finally:
                scope.in_flight -= 1
        self._scopes.move_to_end(key)
        return scope

    async def restore_ownership(self) -> None:
        """Learn from earlier processes' records which caller made which reservation that its service still shows."""
        if self._restored or anyio.current_time() < self._restore_at:
            return
        shared = [service for service in self.services if service.name not in self._connect]
        try:
            found = await self._local.lab.reservations.restore(shared)
        except LabError:
            self._restore_at = anyio.current_time() + RESTORE_S
            return
        self._restored = True
        for service, reservations in found.items():
            for kept in reservations:
                self._ownership[service].add_reservation(kept.reservation, kept.node, kept.caller)

    async def _learn_ownership(self) -> None:
        """Learn for whom other replicas and long work have reserved nodes: to a service, all of them are one user.

        While the database does not answer, what is known already holds.
        """
        if anyio.current_time() < self._learn_at:
            return
        self._learn_at = anyio.current_time() + LEARN_S
        store, work = self._local.lab.reservations.store, self._local.lab.work
        if store is not None:
            for service in self.services:
                if service.name not in self._connect and isinstance(service, NodeReservations):
                    for lease in await anyio.to_thread.run_sync(store.load, service):
                        self._ownership[service.name].add_reservation(lease.reservation, lease.node, lease.caller)
        with suppress(LabError):
            for ticket in await work.queue.list_granted() if work is not None else ():
                for held in ticket.reservations:
                    ownership = self._ownership[ticket.request.service]
                    ownership.add_reservation(held.reservation_id, held.node_id, ticket.request.caller)

    def _build(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> CallerScope:
        from testlab_mcp.access.scoping import scope_service  # stdio has no use for it

        services: list[Service] = []
        own: list[Service] = []
        for service in self.services:
            if not caller.may_use(service.name):
                continue
            ownership = self._ownership[service.name]
            if service.name in self._connect:
                service = self._connect[service.name](tokens.get(service.name))
                own.append(service)
                ownership = OwnershipRegistry()
            services.append(service if caller == LOCAL else scope_service(service, caller, ownership))
        files = self._local.files
        folders = files.save_to if caller == LOCAL else [folder / caller.folder for folder in files.save_to]
        transfers = Transfers(self._write_quota(caller, folders))
        lab = self._local.lab.share(services, limited=caller.services is not None)
        return CallerScope(caller, lab, replace(files, save_to=folders, transfers=transfers), own)

    def _write_quota(self, caller: Caller, folders: Sequence[Path]) -> WriteQuota:
        """The write quota of all scopes of a caller."""
        if caller == LOCAL:
            return WriteQuota()
        return self._write_quotas.setdefault(caller.name, WriteQuota(folders, *self._quota))

    async def _evict(self, caller: Caller) -> None:
        """Close idle scopes of this caller, then of any caller, down to the limits. Scopes in use stay."""
        idle = [key for key, scope in self._scopes.items() if scope.idle]
        own = [key for key, scope in self._scopes.items() if scope.caller.name == caller.name]
        evicted = [key for key in own if key in idle][: max(0, len(own) - MAX_PER_CALLER)]
        rest = [key for key in idle if key not in evicted]
        evicted += rest[: max(0, len(self._scopes) - len(evicted) - MAX_SCOPES)]
        for scope in [self._scopes.pop(key) for key in evicted]:
            self._local.lab.reservations.absorb(scope.lab.reservations)
            await scope.aclose()
