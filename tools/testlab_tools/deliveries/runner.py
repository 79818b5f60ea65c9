"""Runs the deliveries, in at most one process per database: the one that holds its lock.

DBOS takes the workflows of a dead process up again when one with the same executor id and application version starts;
both are constants here, since the lock lets in only one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from testlab_tools.capabilities import Service
from testlab_tools.deliveries.clock import Clock
from testlab_tools.deliveries.courier import Courier, Pace
from testlab_tools.deliveries.database import SCHEMA, Database
from testlab_tools.deliveries.parcel import unpacked
from testlab_tools.deliveries.progress import Progress

if TYPE_CHECKING:
    from testlab_tools.deliveries.store import Store

logger = logging.getLogger("testlab_tools")

REST_S = 60.0
"""After so long without work, the turn is given back."""
STOP_S = 2.0
_one_engine = threading.Lock()
"""DBOS has one instance per process."""


class Parked(Exception):
    """Ends a workflow whose delivery is parked: DBOS then keeps it as failed, and it can be listed as such."""


def _unexpected(record: logging.LogRecord) -> bool:
    """DBOS logs a workflow that ends with an exception as an error, traceback and all; a parked one is none."""
    return record.exc_info is None or not isinstance(record.exc_info[1], Parked)


class Runner:
    """A thread that takes the turn when it is free and something waits, and keeps it until stopped."""

    def __init__(
        self,
        database: Database,
        open_store: Callable[[], Store],
        connect: Callable[[], Iterable[Service]],
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._database = database
        self._open_store = open_store
        self._connect = connect
        self._pace = pace
        self._clock = clock
        self._lock = database.lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._engine: _Engine | None = None
        self._last_work = 0.0

    def start(self, after_s: float = 0) -> None:
        """Begin to look for work, first after so many seconds. Does nothing when it has begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(after_s,), name="deliveries", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Look at once: something was written."""
        self.start()
        self._wake.set()

    def stop(self) -> None:
        """Stop sending and give the turn back. What was being sent is looked up by whoever has the turn next."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self, after_s: float) -> None:
        complained = False
        self._wake.wait(after_s)
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._look()
                complained = False
            except Exception:
                if not complained:
                    logger.exception("deliveries cannot be run now; this goes on trying")
                complained = True
            self._wake.wait(self._database.look_s)
        self._halt()

    def _look(self) -> None:
        waiting = self._database.waiting()
        if waiting:
            self._last_work = self._clock.seconds()
        if self._engine is not None and (not self._lock.held() or self._clock.seconds() - self._last_work > REST_S):
            self._halt()
        if self._engine is None and waiting and _one_engine.acquire(blocking=False):
            if not self._lock.acquire():
                _one_engine.release()
                return
            try:
                store = self._open_store()
                store.tidy(self._clock.now())
                self._engine = _Engine(self._database, store, self._connect(), self._pace)
            except BaseException:
                self._lock.release()
                _one_engine.release()
                raise

    def _halt(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            self._lock.release()
            _one_engine.release()


class _Engine:
    """DBOS, launched: it takes up what a dead process left, then runs the queue."""

    def __init__(self, database: Database, store: Store, services: Iterable[Service], pace: Pace) -> None:
        from dbos import DBOS, DBOSPortableJSONSerializer

        from testlab_tools.deliveries.store import APPLICATION, PROGRESS, WORKFLOW

        self._services = {service.name: service for service in services}
        self._loop: asyncio.AbstractEventLoop | None = None
        courier = Courier(self._services, pace)
        logging.getLogger("dbos").addFilter(_unexpected)
        DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": database.url,
                "dbos_system_schema": SCHEMA,
                "executor_id": "runner",
                "application_version": "1",
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )

        async def tell(progress: Progress) -> None:
            await DBOS.set_event_async(PROGRESS, progress.model_dump(mode="json"))

        @DBOS.step(name="send")
        async def send(service: str, content: list[Any], workflow_id: str) -> dict[str, Any]:
            delivery_id = workflow_id.rpartition(".")[0]

            async def contents(number: int) -> bytes:
                return await asyncio.to_thread(store.shelf.take, delivery_id, number)

            before = await asyncio.to_thread(store.last_told, workflow_id)
            done = await courier.deliver(service, unpacked(content), contents, before, tell)
            if done.state == "parked":
                await tell(done)
                raise Parked(str(done.failure))
            return done.model_dump(mode="json")

        @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
        async def deliver(service: str, run: dict[str, Any], parcel: dict[str, Any] | None = None) -> dict[str, Any]:
            self._loop = asyncio.get_running_loop()
            assert DBOS.workflow_id is not None
            done = await send(service, [run, parcel], DBOS.workflow_id)
            if parcel:
                await asyncio.to_thread(store.unload, DBOS.workflow_id.rpartition(".")[0])
            return done

        del deliver  # DBOS has it by its name
        DBOS.launch()

    def close(self) -> None:
        from dbos import DBOS

        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it warns of every workflow that is interrupted
        if self._loop is not None:
            closing = asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop)
            with contextlib.suppress(TimeoutError):
                closing.result(STOP_S / 4)
        DBOS.destroy(destroy_registry=True)

    async def _disconnect(self) -> None:
        """End all that DBOS's own loop is doing, as a crash would, and close the connections made in it."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for service in self._services.values():
            await service.aclose()
