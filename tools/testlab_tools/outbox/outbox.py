"""What tools use of the deliveries: send and wait a little, list, release, discard. The first use imports DBOS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from testlab_tools.capabilities import Service
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.late_store import LateStore, disk_is_full
from testlab_tools.errors import Conflict, LabError, NotFound, Unsupported
from testlab_tools.outbox.delivery import WORKFLOW, DeliveryWorker, RetrySchedule
from testlab_tools.outbox.payload import DeliveryRecord, Payload, Progress, correct, resend

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows
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
    """The deliveries of one server as one caller may use them, on an engine that is closed with it.

    `services` are those whose deliveries it has; None is all, those no longer configured among them. What goes to a
    service in `direct` is sent at once and not stored, since only the call has the token for it.
    """

    def __init__(
        self,
        engine: Engine,
        connect: Callable[[], Iterable[Service]],
        schedule: RetrySchedule | None = None,
        hold_s: float = HOLD_S,
    ) -> None:
        """`connect` makes services anew, for the engine's event loop. `hold_s` is how long `send` waits at most."""
        self.engine = engine
        self.services: Collection[str] | None = None
        self.direct: Collection[str] = ()
        self._connect = connect
        self._schedule = schedule or RetrySchedule()
        self._hold_s = hold_s
        self._database = LateStore(engine, _open_store, _failure)
        engine.register(WORKFLOW, self._open_worker, self._tidy)

    def restrict(self, services: Collection[str] | None, direct: Collection[str]) -> Outbox:
        """The same outbox for somebody who has these services only."""
        view = copy(self)
        view.services, view.direct = services, direct
        return view

    def accepts(self, service: str) -> bool:
        """Whether what goes to a service can be stored: not where only the call has the token."""
        return service not in self.direct

    def check(self) -> None:
        """Raises ConfigError where deliveries can never be stored."""
        self.engine.database.check()

    def resume(self) -> None:
        """After some seconds, deliver what another server left undelivered. Imports nothing unless something waits."""
        self.engine.start(START_DELAY_S)

    async def delivery_for(self, digest: str, delivery_id: str) -> str:
        """The id of the delivery that a call is for: an earlier call's whose answer was lost, or else `delivery_id`."""
        now = self.engine.clock.now()
        return await self._database.ask(lambda store: store.calls.id_for(digest, delivery_id, store.is_under_way, now))

    async def note_answer(self, digest: str, delivery_id: str, took_s: float) -> None:
        """Note that a call is answered now, after `took_s` seconds."""
        now = self.engine.clock.now()
        await self._database.ask(lambda store: store.calls.note_answer(digest, delivery_id, now, took_s))

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
        known = await self._database.ask(lambda store: store.read(delivery_id))
        if known is None:
            await self._database.ask(lambda store: store.write(delivery_id, 0, service, payload, contents))
        elif known.progress.state in ("parked", "delivered"):
            await self._redeliver(known, service, resend(known, payload), contents)
        return await self.follow(delivery_id, spent_s + time.monotonic() - begun)

    async def release(self, delivery_id: str, service: str, changes: Mapping[str, str]) -> DeliveryRecord:
        """Send a parked delivery again with fields changed, and wait a while for it to arrive.

        Raises:
            NotFound: there is no such delivery.
            Unsupported: the caller's own token would be needed.
            Conflict: the delivery is not parked, or its run is at the service already.
            BadInput: the delivery is a report, which has no such fields.
        """
        record = await self.find(delivery_id)
        service = service or record.service
        if not self.accepts(service):
            raise Unsupported(
                f"Deliveries to {service} are not kept",
                "It takes callers' own tokens",
                "Record the run with create_run.",
            )
        await self._redeliver(record, service, correct(record, service, changes))
        return await self.follow(delivery_id)

    async def discard(self, record: DeliveryRecord) -> None:
        """Delete a parked delivery with its files. Raises Conflict when it is not parked (any more)."""
        if not await self._database.ask(lambda store: store.discard(record.delivery_id, record.generation)):
            raise Conflict("The delivery is not parked", "", "list_deliveries shows how far it is.")

    async def get(self, delivery_id: str) -> DeliveryRecord | None:
        """A delivery by its id, if there is one to a service of this caller's."""
        record = await self._database.ask(lambda store: store.read(delivery_id)) if delivery_id else None
        return record if record is not None and self._is_visible(record) else None

    async def find(self, delivery_id: str) -> DeliveryRecord:
        """As `get`. Raises NotFound where there is none."""
        record = await self.get(delivery_id)
        if record is None:
            missing = NotFound("There is no such delivery", "", "list_deliveries shows those there are.")
            raise missing.naming(delivery_id)
        return record

    async def list(self, limit: int) -> dict[Which, Listed]:
        """Deliveries that wait, are parked, or were delivered lately, newest first."""
        if self.services is None:
            return await self._database.ask(lambda store: store.list(limit))
        every: dict[Which, Listed] = await self._database.ask(lambda store: store.list(None))
        theirs = {which: list(filter(self._is_visible, of.deliveries)) for which, of in every.items()}
        return {
            which: of._replace(deliveries=theirs[which][:limit], total=len(theirs[which]))
            for which, of in every.items()
        }

    async def aclose(self) -> None:
        """Stop, within some two seconds; what is not delivered goes on when a server starts again."""
        await asyncio.to_thread(self.engine.close)
        self._database.forget()

    def _is_visible(self, record: DeliveryRecord) -> bool:
        return self.services is None or record.service in self.services

    async def _redeliver(
        self, record: DeliveryRecord, service: str, payload: Payload, contents: Sequence[bytes] = ()
    ) -> None:
        """Write the next generation, and only then delete the one before."""
        await self._database.ask(
            lambda store: store.write(record.delivery_id, record.generation + 1, service, payload, contents)
        )
        await self._database.ask(lambda store: store.delete(record.delivery_id, record.generation))

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

    def _tidy(self) -> None:
        self._database.open().tidy(self.engine.clock.now())

    def _open_worker(self) -> DeliveryWorker:
        store = self._database.open()
        return DeliveryWorker(store, self._connect(), self._schedule)


def _open_store(workflows: Workflows) -> Store:
    from testlab_tools.outbox.store import Store

    return Store(workflows)


def _failure(error: Exception) -> LabError:
    if disk_is_full(error):
        return LabError(
            "The disk with the database of deliveries is full, and nothing was sent",
            "",
            "Make space there, then call again; what was written down before goes on by itself.",
        )
    return LabError(
        "The database of deliveries does not answer, and nothing was sent",
        type(error).__name__,
        "Mend [durable] in the config; with enabled = false runs are sent without being written down.",
    )


def _is_settled(progress: Progress, until: datetime) -> bool:
    """Whether waiting is of no use: the delivery has ended, or its next try comes too late or will hardly succeed."""
    if progress.state in ("delivered", "parked"):
        return True
    if progress.state != "queued" or progress.failure is None or progress.next_try_at is None:
        return False
    return progress.next_try_at > until or progress.failure.kind not in WORTH_WAITING
