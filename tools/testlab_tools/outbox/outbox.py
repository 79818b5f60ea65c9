"""What tools use of the deliveries: send and wait a little, list, release, discard. The first use imports DBOS."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import Engine
from testlab_tools.errors import Conflict, LabError, NotFound
from testlab_tools.outbox.delivery import WORKFLOW, DeliveryWorker, RetrySchedule
from testlab_tools.outbox.payload import DeliveryRecord, Payload, Progress, correct, resend

if TYPE_CHECKING:
    from testlab_tools.outbox.store import Listed, Store, Which

HOLD_S = 4.0
"""How long a call waits for its run or report to arrive, before it answers that it is queued: some clients give up
after 5 s, and most then try again."""
MIN_WAIT_S = 0.3
"""The least wait, where the call has taken nearly all its time already."""
START_DELAY_S = 3.0
"""How long a server that starts leaves the work that another server left."""
WORTH_WAITING = ("AnswerLost", "RateLimited")
POLL_INTERVAL_S = 0.1


class Outbox:
    """The deliveries of one server, on an engine that is closed with it."""

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], Iterable[Service]],
        schedule: RetrySchedule | None = None,
        hold_s: float = HOLD_S,
    ) -> None:
        """`connect` makes services anew, for the engine's event loop. `hold_s` is how long `send` waits at most."""
        self.engine = engine
        self._connect = connect
        self._schedule = schedule or RetrySchedule()
        self._hold_s = hold_s
        self._opening = threading.Lock()
        self._store: Store | None = None
        engine.register(WORKFLOW, self._open_worker)

    def check(self) -> None:
        """Raises ConfigError where deliveries can never be stored."""
        self.engine.database.check()

    def resume(self) -> None:
        """After some seconds, deliver what another server left undelivered. Imports nothing unless something waits."""
        self.engine.start(START_DELAY_S)

    async def delivery_for(self, digest: str, delivery_id: str) -> str:
        """The id of the delivery that a call is for: an earlier call's whose answer was lost, or else `delivery_id`."""
        now = self.engine.clock.now()
        return await self._ask_store(lambda store: store.calls.delivery_for(digest, delivery_id, store.read, now))

    async def note_answer(self, digest: str, delivery_id: str, took_s: float) -> None:
        """Note that a call is answered now, after `took_s` seconds."""
        now = self.engine.clock.now()
        await self._ask_store(lambda store: store.calls.note_answer(digest, delivery_id, now, took_s))

    async def follow(self, delivery_id: str, spent_s: float = 0.0) -> DeliveryRecord:
        """Wait for a delivery that was given before, as `send` does."""
        self.engine.wake()
        return await self._wait_for_outcome(delivery_id, spent_s)

    async def send(
        self, delivery_id: str, service: str, payload: Payload, contents: Sequence[bytes] = (), spent_s: float = 0.0
    ) -> DeliveryRecord:
        """Write down a payload with the contents of its files, have it sent, and wait a while for it to arrive: less by
        the `spent_s` seconds that the call has taken already.

        A delivery of the same id that still waits is left as it is; one that is parked or has arrived is sent anew.

        Raises:
            Conflict: the delivery is parked since it may have arrived.
            LabError: it could not be written down.
        """
        begun = time.monotonic()
        known = await self._ask_store(lambda store: store.read(delivery_id))
        if known is None:
            await self._ask_store(lambda store: store.write(delivery_id, 0, service, payload, contents))
        elif known.progress.state in ("parked", "delivered"):
            await self._redeliver(known, service, resend(known, payload), contents)
        return await self.follow(delivery_id, spent_s + time.monotonic() - begun)

    async def release(self, delivery_id: str, service: str, changes: Mapping[str, str]) -> DeliveryRecord:
        """Send a parked delivery again with fields changed, and wait a while for it to arrive.

        Raises:
            NotFound: there is no such delivery.
            Conflict: the delivery is not parked, or its run is at the service already.
            BadInput: the delivery is a report, which has no such fields.
        """
        record = await self.find(delivery_id)
        service = service or record.service
        await self._redeliver(record, service, correct(record, service, changes))
        return await self.follow(delivery_id)

    async def discard(self, record: DeliveryRecord) -> None:
        """Delete a parked delivery with its files. Raises Conflict when it is not parked (any more)."""
        if not await self._ask_store(lambda store: store.discard(record.delivery_id, record.generation)):
            raise Conflict("The delivery is not parked", "", "list_deliveries shows how far it is.")

    async def get(self, delivery_id: str) -> DeliveryRecord | None:
        """A delivery by its id, if there is one."""
        return await self._ask_store(lambda store: store.read(delivery_id))

    async def find(self, delivery_id: str) -> DeliveryRecord:
        """A delivery by its id. Raises NotFound."""
        record = await self.get(delivery_id) if delivery_id else None
        if record is None:
            raise NotFound("There is no such delivery", "", "list_deliveries shows those there are.")
        return record

    async def list(self, limit: int, services: Collection[str] | None = None) -> dict[Which, Listed]:
        """Deliveries that wait, are parked, or were delivered lately, newest first, to these services or to all."""
        if services is None:
            return await self._ask_store(lambda store: store.list(limit))
        every: dict[Which, Listed] = await self._ask_store(lambda store: store.list(None))
        theirs = {
            which: [record for record in of.deliveries if record.service in services] for which, of in every.items()
        }
        return {
            which: of._replace(deliveries=theirs[which][:limit], total=len(theirs[which]))
            for which, of in every.items()
        }

    async def aclose(self) -> None:
        """Stop, within some two seconds; what is not delivered goes on when a server starts again."""
        await asyncio.to_thread(self.engine.close)
        self._store = None

    async def _redeliver(
        self, record: DeliveryRecord, service: str, payload: Payload, contents: Sequence[bytes] = ()
    ) -> None:
        """Write the next generation, and only then delete the one before."""
        await self._ask_store(
            lambda store: store.write(record.delivery_id, record.generation + 1, service, payload, contents)
        )
        await self._ask_store(lambda store: store.delete(record.delivery_id, record.generation))

    async def _wait_for_outcome(self, delivery_id: str, spent_s: float) -> DeliveryRecord:
        """The delivery once it has arrived with its files, is parked, or is known to take longer."""
        # An impatient client that has gone by now finds this delivery by calling again.
        seconds = max(MIN_WAIT_S, self._hold_s - spent_s) if spent_s < self._hold_s else self._hold_s
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        while True:
            record = await self.find(delivery_id)
            if _is_settled(record.progress, until) or datetime.now(UTC) >= until:
                return record
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _ask_store(self, question: Callable[[Store], Any]) -> Any:
        """Ask the store, in a thread. Raises LabError when the database does not answer."""

        def ask() -> Any:
            return question(self._open())

        try:
            return await asyncio.to_thread(ask)
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001 - SQLAlchemy's, whose classes cannot be named without importing it
            if _disk_is_full(error):
                raise LabError(
                    "The disk with the database of deliveries is full, and nothing was sent",
                    "",
                    "Make space there, then call again; what was written down before goes on by itself.",
                ) from None
            raise LabError(
                "The database of deliveries does not answer, and nothing was sent",
                type(error).__name__,
                "Mend [durable] in the config; with enabled = false runs are sent without being written down.",
            ) from None

    def _open(self) -> Store:
        with self._opening:
            if self._store is None:
                from testlab_tools.outbox.store import Store

                self._store = Store(self.engine.workflows())
            return self._store

    def _open_worker(self) -> DeliveryWorker:
        store = self._open()
        store.tidy(self.engine.clock.now())
        return DeliveryWorker(store, self._connect(), self._schedule)


def _is_settled(progress: Progress, until: datetime) -> bool:
    """Whether waiting is of no use: the delivery has ended, or its next try comes too late or will hardly succeed."""
    if progress.state in ("delivered", "parked"):
        return True
    if progress.state != "queued" or progress.failure is None or progress.next_try_at is None:
        return False
    return progress.next_try_at > until or progress.failure.kind not in WORTH_WAITING


def _disk_is_full(error: Exception) -> bool:
    """Whether SQLite or PostgreSQL (53100, disk_full) says so."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(cause, "sqlstate", "") == "53100"
