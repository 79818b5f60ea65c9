"""Acquiring and releasing labgrid's places.

A place is acquired in the name of `host/user` and stays so, whoever disconnects, until it is released.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from testlab_tools.adapters.labgrid.client import SHOWN, Rejected
from testlab_tools.adapters.labgrid.models import Place
from testlab_tools.adapters.labgrid.queue import Queue
from testlab_tools.capabilities import NodeReservations
from testlab_tools.capabilities.nodes import no_such_reservation
from testlab_tools.errors import AnswerLost, BadInput, Conflict, LabError, NotFound, Refused, ServiceDown, Unsupported
from testlab_tools.models.nodes import Node, Reservation, Taken
from testlab_tools.untrusted import login_of

LOOK_S = 60.0
"""How often the ends that other processes have moved are seen."""
AGAIN_S = 5.0
"""Before a place is given back once more that could not be."""


class Acquisitions(Queue, NodeReservations):
    """Takes places and gives them back, at their end as well."""

    _expiring: asyncio.Task[None] | None = None

    def __init__(self, name: str, address: str, holder: str, timeout: float) -> None:
        super().__init__(name, address, holder, timeout)
        self._moved = asyncio.Event()
        self._set_here: dict[str, datetime | None] = {}
        """The ends that this process has set last."""

    async def list_nodes(self) -> list[Node]:
        """What has come to its end is given back first, be it what an earlier process has left. What cannot be, is
        shown as it stands."""
        with suppress(LabError, OSError):
            await self.release_expired()
        return await super().list_nodes()

    async def reserve(self, node_ids: Sequence[str], message: str, duration_s: int | None) -> list[Reservation]:
        """The ends are kept first: whatever happens after that, the places are given back."""
        await self.refuse_taken(node_ids)
        end = None
        if duration_s is not None:
            end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=duration_s)
        before = self._keep_ends(node_ids, end, "Nothing was reserved")
        taken: list[str] = []
        try:
            for name in node_ids:
                await self._acquire(name)
                taken.append(name)
        except BaseException as error:
            with suppress(LabError):
                await asyncio.shield(self._release_all(taken))
            untouched = node_ids[len(taken) + (not isinstance(error, Conflict)) :]
            self._restore_ends(end, {name: before[name] for name in untouched})
            raise
        places: dict[str, Place] = {}
        with suppress(LabError):  # they are reserved, whatever can be seen of it
            places, _ = await self.read()
        held = [places.get(name) or Place(name, acquired=self.holder) for name in node_ids]
        for place in held:
            await self.leave_queue(place)
        return [self.make_reservation(place, {place.name: end} if end else {}) for place in held]

    async def get_reservation(self, reservation_id: str) -> Reservation:
        place = await self._find_held(reservation_id)
        if place is None:
            raise no_such_reservation(self.name, reservation_id)
        return self.make_reservation(place, self.leases.read())

    async def extend_reservation(self, reservation_id: str, seconds: int) -> Reservation:
        place = await self._require_own(reservation_id)
        end = self.leases.read().get(place.name)
        if end is None:
            raise BadInput("This reservation has no end to move", "", "It holds until end_reservation.")
        if end <= datetime.now(UTC):
            raise no_such_reservation(self.name, reservation_id)
        end += timedelta(seconds=seconds)
        self._keep_ends([place.name], end, "The end was not moved")
        return self.make_reservation(place, {place.name: end})

    async def end_reservation(self, reservation_id: str) -> bool:
        name, holder = _split(self.name, reservation_id)
        place = (await self.read())[0].get(name)
        if place is None or holder not in (self.holder, place.acquired):
            raise no_such_reservation(self.name, reservation_id)
        if place.acquired != holder:
            return False
        await self._release((await self._require_own(reservation_id)).name)
        return True

    async def give_back(self, reservation_id: str) -> None:
        """A reservation of the same place by another process of this user has the same id, and its own end."""
        name, _ = _split(self.name, reservation_id)
        kept, mine = self.leases.read().get(name), self._set_here.get(name)
        is_lost = kept is None and mine is not None and mine > datetime.now(UTC)
        if kept == mine or is_lost:
            await self.end_reservation(reservation_id)

    async def interrupt_reservation(self, reservation_id: str, message: str) -> None:
        raise Unsupported(
            f"{self.name} cannot tell a holder that their place is taken from them",
            "labgrid has no messages to them",
            "Ask them; who must, kicks them out with labgrid-client.",
        )

    async def release_expired(self) -> None:
        """Give back what is ours and has come to its end."""
        await self._release_all(self.leases.expired())

    async def aclose(self) -> None:
        if self._expiring is not None:
            self._expiring.cancel()
        await super().aclose()

    async def _acquire(self, name: str) -> None:
        try:
            await self.change("AcquirePlace", "AcquirePlaceRequest", placename=name)
        except Rejected:
            await self.refuse_taken([name])
            what = f"{self.name} does not give {self.handle(name)!r} away"
            raise Conflict(what, "A resource of it may be in use by another place", SHOWN) from None
        except AnswerLost as lost:
            with _in_doubt(lost):
                acquired = (await self.read_place(name)).acquired
            if acquired != self.holder:
                await self.refuse_taken([name])
                raise ServiceDown(self.name, lost.what, "The place was not acquired", "Call again.") from None

    async def _release(self, name: str) -> None:
        """Only what is ours: `fromuser`. labgrid says that it has released a place of somebody else's, and has not."""
        lost: AnswerLost | None = None
        end = self.leases.read().get(name)
        await self.leave_queue((await self.read())[0].get(name) or Place(name))
        try:
            await self.change("ReleasePlace", "ReleasePlaceRequest", placename=name, fromuser=self.holder)
        except Rejected:
            pass
        except AnswerLost as unanswered:
            lost = unanswered
        with _in_doubt(lost):
            places, _ = await self.read()
        is_anew = self.leases.read().get(name) != end
        if name in places and places[name].acquired == self.holder and not is_anew:
            what = f"{self.name} still shows {self.handle(name)!r} as reserved by you"
            raise AnswerLost(self.name, what, lost.why if lost else "", "end_reservation can be called again.")
        self._restore_ends(end, {name: None})

    async def _release_all(self, names: Sequence[str]) -> None:
        """Each, also after one that could not be. Raises LabError for the last of those."""
        failed: LabError | None = None
        for name in names:
            try:
                await self._release(name)
            except LabError as error:
                failed = error
        if failed is not None:
            raise failed

    async def refuse_taken(self, names: Sequence[str]) -> None:
        """Raise Conflict for those that are not to be had: whose they are, and which of their type are free."""
        every = {self.native(node.node_id): node for node in await self.list_nodes()}
        for name in names:
            if name not in every:
                raise NotFound(f"{self.name} has no such place", "", "list_nodes shows all nodes.").naming(name)
        taken = [every[name] for name in names if every[name].state != "free"]
        if not taken:
            return
        own = [node.reservation.reservation_id for node in taken if node.reservation and node.reservation.yours]
        types = {node.device_type for node in taken}
        free = [n.node_id for n in every.values() if n.state == "free" and n.device_type in types]
        others = ", ".join(node_id for node_id in free if self.native(node_id) not in names)
        instead = f"Free nodes of the same type: {others}." if others else "wait_seconds waits in line for one."
        if own:
            instead = " ".join(
                f"extend_reservation(reservation_id={it!r}) keeps it, end_reservation ends it." for it in own
            )
        raise Conflict("; ".join(_taken(node) for node in taken), "", instead, Taken(taken=taken), own=own)

    def _keep_ends(self, names: Sequence[str], end: datetime | None, otherwise: str) -> dict[str, datetime | None]:
        """Write an end down for all of them, and return those before; `otherwise` says what has not happened."""
        before: dict[str, datetime | None] = {}
        try:
            for name in names:
                before[name] = self.leases.set(name, end)
        except OSError as error:
            self._restore_ends(end, before)
            why = f"When to give it back cannot be written down ({error.strerror or type(error).__name__})"
            raise ServiceDown(self.name, otherwise, why, "The folder of this user's data is full?") from None
        self._set_here |= dict.fromkeys(names, end)
        self._moved.set()
        if self._expiring is None or self._expiring.done():
            self._expiring = asyncio.create_task(self._expire())
        return before

    def _restore_ends(self, end: datetime | None, before: Mapping[str, datetime | None]) -> None:
        """Where it cannot be written, `end` stays: a release of what is not ours does nothing."""
        with suppress(OSError):
            for name, other in before.items():
                self.leases.replace(name, end, other)

    async def _expire(self) -> None:
        """Give places back at their end, as long as this process lives and any is held."""
        least = 0.0
        while ends := self.leases.read():
            pause = (min(ends.values()) - datetime.now(UTC)).total_seconds()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), min(max(pause, least), LOOK_S))
            self._moved.clear()
            try:
                await self.release_expired()
                least = 0.1
            except (LabError, OSError):
                least = AGAIN_S

    async def _find_held(self, reservation_id: str) -> Place | None:
        name, holder = _split(self.name, reservation_id)
        places, _ = await self.read()
        place = places.get(name)
        return place if place and place.acquired == holder else None

    async def _require_own(self, reservation_id: str) -> Place:
        place = await self._find_held(reservation_id)
        if place is None:
            raise no_such_reservation(self.name, reservation_id)
        if place.acquired != self.holder:
            what = f"Node {self.handle(place.name)!r} is held by another user"
            raise Refused(what, "Only its holder can extend or end it", "Ask them: list_nodes shows who it is.")
        return place


@contextmanager
def _in_doubt(lost: AnswerLost | None) -> Generator[None]:
    """Looks up what became of a change whose answer was lost: if that fails, it is not known."""
    try:
        yield
    except LabError:
        if lost is None:
            raise
        raise lost from None


def _taken(node: Node) -> str:
    """Our own words for why a node is taken."""
    held = node.reservation
    if held and held.yours:
        return f"Node {node.node_id!r} is already reserved by you {held.until}"
    by = f" by {login_of(held.holder)}" if held and node.state == "reserved" else ""
    return f"Node {node.node_id!r} is {node.state}{by}"


def _split(service: str, reservation_id: str) -> tuple[str, str]:
    """The place and its holder, `host/user`."""
    parts = reservation_id.rsplit("/", 2)
    if len(parts) != 3 or not all(parts):
        raise NotFound("There is no such reservation", "Its id is not PLACE/HOST/USER", _IDS).naming(reservation_id)
    return parts[0], f"{parts[1]}/{parts[2]}"


_IDS = "list_nodes shows reservations and their ids."
