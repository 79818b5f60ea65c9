"""Workflows as DBOS stores and runs them. The first import of this module takes over a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NoReturn

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSClient,
    DBOSPortableJSONSerializer,
    EnqueueOptions,
    WorkflowStatus,
    _serialization,  # pyright: ignore[reportPrivateUsage]
)
from sqlalchemy import URL, CreateEnginePlugin, Engine, event
from sqlalchemy.dialects import plugins
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from testlab_tools.durable.database import PLUGIN, SCHEMA, STATUSES, Database, Status
from testlab_tools.durable.engine import Liveness, Worker, WorkflowFailed

_HAS_SUBSEC = (3, 42)


class PickleRefused(TypeError):
    """A row of the database is pickled."""


def apply_patches() -> None:
    """Patch DBOS in this process: rows are never unpickled, and connections to SQLite have `unixepoch('subsec')`.

    A row's own column `serialization` may say `py_pickle` (dbos/_serialization.py), so whoever can write a row could
    run code; none of ours is pickled. DBOS 3.4 takes the time from SQLite as only 3.42 and newer have it (sqlite.org,
    "Date And Time Functions"); Debian 12 brings 3.40, Ubuntu 22.04 3.37.
    """
    _serialization.DefaultSerializer.deserialize = _refuse
    plugins.register(PLUGIN, __name__, SessionPlugin.__name__)


class SessionPlugin(CreateEnginePlugin):
    """For each connection of an engine whose URL names the plugin, whoever makes the engine: SQLite is given
    `unixepoch`, and PostgreSQL is not waited for once it has gone."""

    def update_url(self, url: URL) -> URL:
        return url

    def engine_created(self, engine: Engine) -> None:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _add_unixepoch)
        else:
            event.listen(engine, "do_connect", _connect)


def _refuse(cls: object, serialized_data: str) -> NoReturn:
    raise PickleRefused("a row of the deliveries' database is pickled, and was not read")


def _connect(_dialect: object, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]) -> object:
    from testlab_tools.durable.sessions import connect

    return connect(*arguments, **options)


def _add_unixepoch(connection: Any, _record: object) -> None:
    if sqlite3.sqlite_version_info < _HAS_SUBSEC:
        connection.create_function("unixepoch", -1, _unixepoch, deterministic=False)


def _unixepoch(*words: object) -> float | None:
    """Seconds since 1970 with their fraction, for the one form that DBOS uses; NULL for the others."""
    return time.time() if words == ("subsec",) else None


APPLICATION = "testlab-deliveries"
QUEUE = "stored"
"""Of all workflows: DBOS has a thread for each queue of the database, which asks it again and again."""
POLL_INTERVAL_S = 0.1
OTHERS_POLL_INTERVAL_S = 2.0
"""Of queues that earlier versions have made, one for each kind of workflow: what they left there is begun."""
DISCONNECT_S = 0.5
POOL_S = 10.0
"""How long one waits for a connection that others use."""
AT_ONCE = 1000
"""Named by one statement."""

apply_patches()


class Workflows:
    """The stored workflows, and the tables kept beside them."""

    def __init__(self, database: Database) -> None:
        """Create the tables and the queue if need be. Raises what SQLAlchemy raises."""
        database.prepare()
        DBOS.migrate(database.url, schema=SCHEMA)
        url = sa.make_url(database.url)
        self._local = url.get_backend_name() == "sqlite"
        self._connections = (
            sa.create_engine(url, connect_args={"timeout": 30})
            if self._local
            else sa.create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_timeout=POOL_S)
        )
        self._client = DBOSClient(
            system_database_url=database.url,
            dbos_system_schema=SCHEMA,
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            retry_connection_errors=False,
        )
        for name in {QUEUE, *(queue.name for queue in self._client.list_queues())}:
            interval_s = POLL_INTERVAL_S if name == QUEUE else OTHERS_POLL_INTERVAL_S
            self._client.register_queue(name, polling_interval_sec=interval_s)

    def enqueue(
        self, name: str, workflow_id: str, inputs: Sequence[Any], transaction: sa.Connection | None = None
    ) -> None:
        """Write down a workflow, to be run by the leader; with a transaction, once that is committed."""
        options: EnqueueOptions = {"workflow_name": name, "queue_name": QUEUE, "workflow_id": workflow_id}
        if transaction is None:
            self._client.enqueue(options, *inputs)
        else:
            self._client.enqueue_in_transaction(transaction, options, *inputs)

    def list(self, name: str, *statuses: Status, completed_before: datetime | None = None) -> list[WorkflowStatus]:
        """Workflows of a name, newest first, without inputs and outputs; of all statuses if none is given."""
        return self._client.list_workflows(
            name=name,
            status=[word for status in statuses for word in STATUSES[status]] or None,
            completed_before=completed_before.isoformat() if completed_before else None,
            sort_desc=True,
            load_input=False,
            load_output=False,
        )

    def read(self, workflow_ids: Sequence[str] = (), prefix: str = "") -> list[WorkflowStatus]:
        """Workflows by their ids, or by how their ids begin, newest first, with inputs and outputs."""
        if prefix:
            return self._client.list_workflows(workflow_id_prefix=prefix, sort_desc=True)
        return self._client.list_workflows(workflow_ids=list(workflow_ids), sort_desc=True) if workflow_ids else []

    def read_event(self, workflow_id: str, key: str) -> object:
        """What a workflow last set under a key; None if nothing yet."""
        value: object = self._client.get_event(workflow_id, key, timeout_seconds=0)
        return value

    def delete(self, *workflow_ids: str) -> None:
        """Delete workflows with all that is stored of them."""
        self._client.delete_workflows(list(workflow_ids))

    def delete_ended(self, name: str, *statuses: Status, before: datetime) -> None:
        """Delete the workflows of a name that ended with these statuses, any if none is given, before a moment."""
        old = self.list(name, *(statuses or ("succeeded", "failed")), completed_before=before)
        for first in range(0, len(old), AT_ONCE):
            self.delete(*(row.workflow_id for row in old[first : first + AT_ONCE]))

    def create_table(self, name: str, *columns: sa.Column[Any] | sa.Index) -> sa.Table:
        """A table beside the workflows with its indexes, created unless it is there."""
        table = sa.Table(name, sa.MetaData(schema=None if self._local else SCHEMA), *columns)
        try:
            with self.transaction() as connection:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
        except DBAPIError:  # PostgreSQL lets two sessions run into each other, IF NOT EXISTS or not
            if not sa.inspect(self._connections).has_table(table.name, table.schema):
                raise
        return table

    def transaction(self) -> AbstractContextManager[sa.Connection]:
        """A connection whose changes are committed together at the end."""
        return self._connections.begin()

    @contextlib.contextmanager
    def snapshot(self) -> Generator[sa.Connection]:
        """A connection that only reads, all of it as it stood at one moment."""
        level = "SERIALIZABLE" if self._local else "REPEATABLE READ"
        with self._connections.execution_options(isolation_level=level).begin() as connection:
            if self._local:  # its driver begins a transaction only before what writes
                connection.exec_driver_sql("BEGIN")
            yield connection

    def lock(self, connection: sa.Connection, table: sa.Table) -> None:
        """Let nobody else write to a table until the transaction ends, whose first statement this is; who reads it then
        reads what all others have written. In SQLite whoever writes is alone anyway."""
        if not self._local:
            connection.execute(sa.text(f"LOCK TABLE {table.fullname} IN SHARE ROW EXCLUSIVE MODE"))

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        self._connections.dispose()


class WorkflowRun:
    """The workflow that runs now, for its worker."""

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id

    async def step(self, name: str, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Run a step and store its result; a later process gets the stored result, and does not run the step."""

        async def run() -> Any:
            return await function(*arguments)

        return await DBOS.run_step_async({"name": name}, run)

    async def set_event(self, key: str, value: object) -> None:
        """Store how far the workflow has come, for `Workflows.read_event`."""
        await DBOS.set_event_async(key, value)


class Launch:
    """DBOS from its launch to its end: it takes up the workflows that a dead process left, then runs the queues."""

    def __init__(self, database: Database, workers: Mapping[str, Worker], liveness: Liveness) -> None:
        self.liveness = liveness
        self._workers = workers
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            _configure_log()
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
            for name, worker in workers.items():
                self._register(name, worker)
            DBOS.launch()
        except BaseException:
            self.close()
            raise

    def _register(self, name: str, worker: Worker) -> None:
        async def run(*inputs: Any) -> Any:
            self._loop = asyncio.get_running_loop()
            workflow_id = DBOS.workflow_id
            assert workflow_id is not None
            self.liveness.note_start(workflow_id)
            try:
                return await worker.run(WorkflowRun(workflow_id), *inputs)
            finally:
                self.liveness.note_end(workflow_id)

        DBOS.workflow(name=name, max_recovery_attempts=None)(run)

    def close(self) -> None:
        """End all workflows that run, as a crash would: the next launch takes them up."""
        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # it warns of every workflow that is interrupted
        if self._loop is not None:
            closing = asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop)
            with contextlib.suppress(TimeoutError):
                closing.result(DISCONNECT_S)
        DBOS.destroy(destroy_registry=True)

    async def _disconnect(self) -> None:
        """Cancel all tasks of DBOS's own loop, and close what workers opened in it."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in self._workers.values():
            await worker.aclose()


def _configure_log() -> None:
    log = logging.getLogger("dbos")
    log.addFilter(_is_unexpected)
    if not log.handlers:  # DBOS then adds one of its own, which would print what an exception says
        log.addHandler(logging.NullHandler())


def _is_unexpected(record: logging.LogRecord) -> bool:
    """DBOS logs each workflow that ends with an exception as an error, with its traceback."""
    return record.exc_info is None or not isinstance(record.exc_info[1], WorkflowFailed)
