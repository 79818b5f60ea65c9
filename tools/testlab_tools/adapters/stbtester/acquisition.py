"""Taking nodes, so that none is left held without anybody knowing: what became of every attempt is looked up.

A reservation is ours if it is by us, with our message, on our nodes, was not there before, does not begin before the
attempt by the portal's clock, and is not one that another call was told to be its own. One that is looked for long
after must be as old as the attempt is; where the portal does not tell how old it is, it is not taken.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime

import anyio

from testlab_tools.adapters.stbtester.models import QUOTED, NodeStatus, ReservationEntry
from testlab_tools.adapters.stbtester.nodes import Nodes
from testlab_tools.capabilities import NodeReservations
from testlab_tools.errors import AnswerLost, BadInput, BadReply, LabError, NotFound
from testlab_tools.http import Reply, ServiceClient
from testlab_tools.http.policy import look_up
from testlab_tools.models.nodes import Reservation
from testlab_tools.untrusted import quote

DOUBTED_S = 300
"""A reservation that is younger than its order by more than this is not the one, nor is one that is older."""

RELEASE_SECONDS = 4.0
MAX_DOUBTED = 100
MAX_NAMED = 5
SKEW_S = 2
"""The portal tells both times in whole seconds."""


class Acquisition(Nodes, NodeReservations):
    """Knows the reservations that calls were told of, and the attempts whose end is not known."""

    def __init__(self, name: str, client: ServiceClient) -> None:
        super().__init__(name, client)
        self.claimed: set[int] = set()
        self._doubted: list[Attempt] = []
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def attempt(self, node_ids: Sequence[str], message: str) -> AsyncGenerator[Attempt]:
        """An attempt, one at a time for each node. What it leaves in doubt, be it cancelled, is remembered."""
        async with self.turns(node_ids):
            attempt = Attempt(self, node_ids, message, await self.list_statuses())
            self._doubted = [*self._doubted[-MAX_DOUBTED:], attempt]
            try:
                yield attempt
            except AnswerLost:
                raise
            except Exception:
                self._doubted.remove(attempt)
                raise
            else:
                self._doubted.remove(attempt)

    @asynccontextmanager
    async def turns(self, node_ids: Sequence[str]) -> AsyncGenerator[None]:
        """While nobody else here is taking one of these nodes."""
        async with AsyncExitStack() as stack:
            for node_id in sorted(node_ids):
                await stack.enter_async_context(self._turns[node_id])
            yield

    async def entries(self) -> list[ReservationEntry]:
        """All reservations there are."""
        return [status.reservation for status in await self.list_statuses() if status.reservation]

    async def aclose(self) -> None:
        """Give back what attempts of unknown end have taken after all, if `ends_doubtful`, then the connections."""
        with anyio.move_on_after(RELEASE_SECONDS, shield=True):
            for attempt in self._doubted if self.ends_doubtful else ():
                await attempt.undo()
        self._doubted.clear()
        await super().aclose()


class Attempt:
    """One order to reserve nodes, with what was held before it."""

    def __init__(self, farm: Acquisition, node_ids: Sequence[str], message: str, before: Sequence[NodeStatus]) -> None:
        known = {status.node_id for status in before}
        if wrong := [quote(node_id, QUOTED) for node_id in node_ids if node_id not in known]:
            more = f" and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
            what = f"{farm.name} has no such node: {', '.join(wrong[:MAX_NAMED])}{more}"
            raise NotFound(what, "Nothing was reserved", "list_nodes shows all nodes.")
        self._farm, self._nodes, self._message = farm, list(node_ids), message
        self._before = {status.reservation.reservation_id for status in before if status.reservation}
        self._asked_at = time.monotonic()

    def claim(self, made: Sequence[ReservationEntry]) -> list[Reservation]:
        """Tell of reservations: from now on they are this call's."""
        self._farm.claimed.update(entry.reservation_id for entry in made)
        return [self._farm.make_reservation(entry) for entry in made]

    async def settle(self, answer: Reply | AnswerLost | BadReply) -> list[Reservation]:
        """The reservations after all. A refusal is looked up once, an answer that says nothing again after a pause.

        Raises:
            AnswerLost: they are not there (so far), or it cannot be found out.
            LabError: what the refusal means.
        """
        refused = isinstance(answer, Reply)
        try:
            made = await self._found(self._farm.looks[:1] if refused else self._farm.looks)
        except LabError as error:
            raise self._unknown(f"The nodes cannot be looked up: {error}") from None
        if len(made) == len(self._nodes):
            return self.claim(made)
        if made:
            held = ", ".join(self._farm.handle(str(entry.reservation_id)) for entry in made)
            raise self._unknown(f"Only part of them is held by you now: {held}")
        if isinstance(answer, Reply):
            raise await self._refusal(answer)
        said = f"The answer of service {self._farm.name} was lost"
        safe = "It is safe to call again with the same arguments."
        raise AnswerLost(self._farm.name, said, "Nothing was reserved so far", safe, self._look)

    async def undo(self) -> None:
        """End what it has taken after all."""
        try:
            for entry in self._ours(await self._farm.list_statuses(), late=True):
                await self._farm.client.send(
                    "DELETE", f"/api/v2/reservations/{entry.reservation_id}", settled=lambda reply: True
                )
        except LabError:
            return

    async def _found(self, looks: Sequence[float]) -> list[ReservationEntry]:
        made: list[ReservationEntry] = []

        async def all_made() -> bool:
            nonlocal made
            made = self._ours(await self._farm.list_statuses(), late=False)
            return len(made) == len(self._nodes)

        await look_up(all_made, looks)
        return made

    def _ours(self, statuses: Sequence[NodeStatus], late: bool) -> list[ReservationEntry]:
        """Those that this attempt has made; `late` is any time after it."""
        now = next((status.told_at for status in statuses), None)
        return [
            entry
            for entry in (status.reservation for status in statuses)
            if entry is not None
            and entry.reserved_by_you
            and entry.node_id in self._nodes
            and entry.message == self._message
            and entry.reservation_id not in self._before
            and entry.reservation_id not in self._farm.claimed
            and self._as_old(entry, now, late)
        ]

    def _as_old(self, entry: ReservationEntry, now: datetime | None, late: bool) -> bool:
        """Whether it is as old, by the portal's clock, as the attempt is by ours."""
        if entry.start_time is None or now is None:
            return not late
        passed = time.monotonic() - self._asked_at
        age = (now - entry.start_time).total_seconds()
        return passed - DOUBTED_S <= age <= passed + SKEW_S

    async def _look(self) -> list[Reservation] | None:
        """In turn: what another is taking just now it has not been told of yet."""
        async with self._farm.turns(self._nodes):
            made = self._ours(await self._farm.list_statuses(), late=True)
            return self.claim(made) if len(made) == len(self._nodes) else None

    def _unknown(self, why: str) -> AnswerLost:
        nodes = ", ".join(repr(self._farm.handle(node_id)) for node_id in self._nodes)
        return AnswerLost(
            self._farm.name,
            f"Whether {nodes} is reserved is not known: the answer was lost, and it may be held by you",
            why,
            "list_nodes shows it; what is certainly yours of it ends when this server stops, at the latest.",
            self._look,
        )

    async def _refusal(self, reply: Reply) -> LabError:
        """What a refusal means, now that nothing is held."""
        if reply.status == 409:
            return await self._farm.conflict(self._nodes)
        if reply.status == 400 and not reply.is_web_page:
            what = f"{self._farm.name} does not accept the reservation"
            return BadInput(what, "", "Check message and duration_minutes.")
        return self._farm.failure(reply, "the reservation")
