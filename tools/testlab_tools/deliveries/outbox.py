"""What tools use of the deliveries: send and wait a little, list, release. Starts DBOS at the first of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.deliveries.clock import Clock
from testlab_tools.deliveries.courier import Pace
from testlab_tools.deliveries.database import Database, PostgresDatabase, SqliteDatabase
from testlab_tools.deliveries.parcel import Parcel
from testlab_tools.deliveries.progress import Kept, Progress
from testlab_tools.deliveries.rounds import corrected, given_again
from testlab_tools.deliveries.runner import Runner
from testlab_tools.errors import LabError, NotFound

if TYPE_CHECKING:
    from testlab_tools.deliveries.store import Store, Which

HOLD_S = 20.0
"""How long a tool waits for its run or report to arrive, before it answers that it is queued."""
FILES_S = 16.0
"""How long it then waits for the run's files."""
IDLE_S = 3.0
"""What a server that starts is left to do first, before it looks for work that another left."""
WORTH_WAITING = ("AnswerLost", "RateLimited")
_LOOK_S = 0.1


class Outbox:
    """The deliveries of one server. `connect` makes services anew, for the thread that sends.

    `place` is a SQLite file, or the URL of a PostgreSQL database.
    """

    def __init__(
        self,
        place: Path | str,
        connect: Callable[[], Iterable[Service]],
        pace: Pace | None = None,
        hold_s: float = HOLD_S,
        clock: Clock | None = None,
    ) -> None:
        self.place = place
        self._database: Database = PostgresDatabase(place) if isinstance(place, str) else SqliteDatabase(place)
        self._opening = threading.Lock()
        self._store: Store | None = None
        self._runner = Runner(self._database, self._open, connect, pace or Pace(), clock or Clock())
        self._hold_s = hold_s

    def resume(self) -> None:
        """After some idle seconds, see to what another server left undelivered. Imports nothing until there is such."""
        self._runner.start(IDLE_S)

    async def send(self, delivery_id: str, service: str, parcel: Parcel, contents: Sequence[bytes] = ()) -> Kept:
        """Write it down with the contents of its files, have it sent, and wait a while for it to arrive.

        One of the same id that still waits is the same delivery; one that was parked or has arrived is sent anew.

        Raises:
            Conflict: it is parked since it may have arrived.
            LabError: it could not be written down.
        """
        known = await self._asked(lambda store: store.read(delivery_id))
        if known is None:
            await self._asked(lambda store: store.write(delivery_id, 0, service, parcel, contents))
        elif known.progress.state in ("parked", "delivered"):
            await self._again(known, service, given_again(known, parcel), contents)
        self._runner.wake()
        return await self._outcome(delivery_id)

    async def release(self, delivery_id: str, service: str, changes: Mapping[str, str]) -> Kept:
        """Send a parked delivery again, with such fields changed, and wait a while for it to arrive.

        Raises:
            NotFound: there is no such delivery.
            Conflict: it is not parked, or what is to be changed is there already.
            BadInput: it is a report, which has no such fields.
        """
        kept = await self.find(delivery_id)
        service = service or kept.service
        await self._again(kept, service, corrected(kept, service, changes))
        self._runner.wake()
        return await self._outcome(delivery_id)

    async def known(self, delivery_id: str) -> Kept | None:
        """A delivery by its id, if there is one."""
        return await self._asked(lambda store: store.read(delivery_id))

    async def find(self, delivery_id: str) -> Kept:
        """A delivery by its id. Raises NotFound."""
        kept = await self.known(delivery_id) if delivery_id else None
        if kept is None:
            raise NotFound("There is no such delivery", "", "list_deliveries shows those there are.")
        return kept

    async def list(self, which: Which, limit: int, services: Collection[str] | None = None) -> tuple[list[Kept], int]:
        """Deliveries that wait, are parked, or were delivered lately, newest first, to these services or to any; and
        how many there are."""
        if services is None:
            return await self._asked(lambda store: (store.list(which, limit), store.count(which)))
        every: list[Kept] = await self._asked(lambda store: store.list(which, None))
        theirs = [kept for kept in every if kept.service in services]
        return theirs[:limit], len(theirs)

    async def aclose(self) -> None:
        """Stop, within some two seconds; what is not delivered goes on when a server starts again."""
        await asyncio.to_thread(self._runner.stop)
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
            self._store = None

    async def _again(self, kept: Kept, service: str, parcel: Parcel, contents: Sequence[bytes] = ()) -> None:
        """Write its next round, and only then delete the one before."""
        await self._asked(lambda store: store.write(kept.delivery_id, kept.round + 1, service, parcel, contents))
        await self._asked(lambda store: store.forget(kept.delivery_id, kept.round))

    async def _outcome(self, delivery_id: str) -> Kept:
        """The delivery once it has arrived, is parked, or is known to take longer."""
        until, there = datetime.now(UTC) + timedelta(seconds=self._hold_s), False
        while True:
            kept = await self.find(delivery_id)
            if kept.progress.created is not None and not there:
                until, there = datetime.now(UTC) + timedelta(seconds=FILES_S), True
            if _settled(kept.progress, until) or datetime.now(UTC) >= until:
                return kept
            await asyncio.sleep(_LOOK_S)

    async def _asked(self, question: Callable[[Store], Any]) -> Any:
        """Ask the store, in a thread. Raises LabError when the database does not answer."""

        def ask() -> Any:
            return question(self._open())

        try:
            return await asyncio.to_thread(ask)
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001 - SQLAlchemy's, whose classes cannot be named without importing it
            raise LabError(
                "The database of deliveries does not answer, and nothing was sent",
                type(error).__name__,
                "Mend [durable] in the config; with enabled = false runs are sent without being written down.",
            ) from None

    def _open(self) -> Store:
        with self._opening:
            if self._store is None:
                from testlab_tools.deliveries.store import Store

                self._store = Store(self._database)
            return self._store


def _settled(progress: Progress, until: datetime) -> bool:
    """Whether there is nothing to wait for: it has ended, or its next try comes late or will hardly fare better."""
    if progress.state in ("delivered", "parked"):
        return True
    if progress.state != "queued" or progress.failure is None or progress.next_try_at is None:
        return False
    return progress.next_try_at > until or progress.failure.kind not in WORTH_WAITING
