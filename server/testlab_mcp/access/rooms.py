"""Rooms: what one caller, with the tokens it brings, has of the lab. Nothing said in one is heard in another.

A room shares the services that work with the config's token; those that take the caller's own, what it waits for, its
reservations, and its files are its own.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
from pydantic import SecretStr

from testlab_mcp.access.brought import fingerprints
from testlab_mcp.access.callers import LOCAL, Caller
from testlab_mcp.access.fence import fenced
from testlab_mcp.access.ledger import Ledger
from testlab_tools.capabilities import Service
from testlab_tools.files import Folders
from testlab_tools.lab import Lab
from testlab_tools.transfers import Transfers

MOST_ROOMS = 256
MOST_OF_ONE = 8
"""Of one caller, who may bring any number of tokens."""


Connect = Callable[[SecretStr | None], Service]
"""Makes a service with a caller's token, or with none: never with one of the config's."""


@dataclass
class Room:
    """`own` are the services made for it, to be closed with it; `guests` the calls now in it."""

    caller: Caller
    lab: Lab
    files: Folders
    own: list[Service] = field(default_factory=list[Service])
    guests: int = 0

    @property
    def idle(self) -> bool:
        """Whether it can be closed without anybody noticing."""
        return not self.guests and not self.files.transfers.busy


class Rooms:
    """The rooms in use, the least lately used closed when there are too many. `connect` has, by name, how to make those
    services that take a caller's own token."""

    def __init__(
        self,
        lab: Lab,
        files: Folders,
        connect: Mapping[str, Connect] | None = None,
    ) -> None:
        self._whole = Room(LOCAL, lab, files)
        self._connect = connect or {}
        self._rooms: OrderedDict[Hashable, Room] = OrderedDict()
        self._ledgers: defaultdict[str, Ledger] = defaultdict(Ledger)

    @property
    def callers_own(self) -> Collection[str]:
        """Names of the services that take a caller's own token."""
        return self._connect.keys()

    @property
    def services(self) -> list[Service]:
        """Every service of the deployment."""
        return list(self._whole.lab.services.values())

    @asynccontextmanager
    async def enter(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> AsyncGenerator[Room]:
        """The caller's room, open at least until the call is over."""
        room = await self._room(caller, tokens)
        room.guests += 1
        try:
            yield room
        finally:
            room.guests -= 1

    async def aclose(self) -> None:
        """Release what was reserved in the rooms, then close the services made for them; the lab closes itself."""
        rooms = list(self._rooms.values())
        self._rooms.clear()
        async with anyio.create_task_group() as group:
            for room in rooms:
                group.start_soon(room.lab.holding.release)
        for room in rooms:
            await self._clear(room)

    async def _room(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> Room:
        if caller == LOCAL and not tokens:
            return self._whole
        within = caller.policy.services if caller.policy else None
        key = (caller.name, within, caller.nodes, fingerprints(tokens))
        room = self._rooms.get(key)
        if room is None:
            room = self._rooms[key] = self._furnished(caller, tokens)
            room.guests += 1  # not to be cleared for itself
            try:
                await self._make_space(caller)
            finally:
                room.guests -= 1
        self._rooms.move_to_end(key)
        return room

    def _furnished(self, caller: Caller, tokens: Mapping[str, SecretStr]) -> Room:
        within = caller.policy.services if caller.policy else None
        services: list[Service] = []
        own: list[Service] = []
        for service in self.services:
            if within is not None and service.name not in within:
                continue
            ledger = self._ledgers[service.name]
            if service.name in self._connect:
                service = self._connect[service.name](tokens.get(service.name))
                own.append(service)
                ledger = Ledger()
            services.append(service if caller == LOCAL else fenced(service, caller, ledger))
        files = self._whole.files
        folders = files.save_to if caller == LOCAL else [folder / caller.folder for folder in files.save_to]
        lab = self._whole.lab.share(services, limited=within is not None)
        return Room(caller, lab, replace(files, save_to=folders, transfers=Transfers()), own)

    async def _make_space(self, caller: Caller) -> None:
        """Rooms that somebody is in stay, however many they are."""
        theirs = [key for key, room in self._rooms.items() if room.caller.name == caller.name and room.idle]
        anyones = [key for key, room in self._rooms.items() if room.idle]
        too_many = sum(room.caller.name == caller.name for room in self._rooms.values()) - MOST_OF_ONE
        gone = theirs[: max(0, too_many)]
        rest = [key for key in anyones if key not in gone]
        gone += rest[: max(0, len(self._rooms) - len(gone) - MOST_ROOMS)]
        for room in [self._rooms.pop(key) for key in gone]:
            self._whole.lab.holding.take_over(room.lab.holding)
            await self._clear(room)

    async def _clear(self, room: Room) -> None:
        for service in room.own:
            await service.aclose()
