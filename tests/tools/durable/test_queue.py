"""All kinds of stored work are in one queue, which one thread asks; what an earlier version left in others is run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions

from testlab_tools.durable.database import SCHEMA, SqliteDatabase
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.workflows import APPLICATION, Workflows, apply_patches

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

KINDS = ("deliver", "watch", "campaign")


class Worker:
    def __init__(self, done: Queue[str]) -> None:
        self._done = done

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        self._done.put(workflow.workflow_id)

    async def aclose(self) -> None:
        """Has nothing open."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[int], set[str]]]:
    """The ids of the next workflows that an engine runs, which is launched at the first call."""
    done = Queue[str]()
    engine = Engine(SqliteDatabase(tmp_path / "d.sqlite"))
    for kind in KINDS:
        engine.register(kind, partial(Worker, done))
    yield lambda number: engine.wake() or {done.get(timeout=20) for _ in range(number)}
    engine.close()


def test_one_thread_asks_for_work_of_every_kind(tmp_path: Path, run: Callable[[int], set[str]]) -> None:
    with closing(Workflows(SqliteDatabase(tmp_path / "d.sqlite"))) as workflows:
        for kind in KINDS:
            workflows.enqueue(kind, f"of {kind}", [])
    assert run(len(KINDS)) == {f"of {kind}" for kind in KINDS}
    asking = {thread.name for thread in threading.enumerate() if thread.name.startswith("queue-worker")}
    assert asking == {"queue-worker-stored", "queue-worker-_dbos_internal_queue"}


def test_what_an_earlier_version_left_in_the_queue_of_its_kind_is_run(
    tmp_path: Path, run: Callable[[int], set[str]]
) -> None:
    apply_patches()
    url = SqliteDatabase(tmp_path / "d.sqlite").url
    DBOS.migrate(url, schema=SCHEMA)
    earlier = DBOSClient(
        system_database_url=url,
        dbos_system_schema=SCHEMA,
        application_name=APPLICATION,
        serializer=DBOSPortableJSONSerializer(),
    )
    for kind in KINDS:
        earlier.register_queue(kind, polling_interval_sec=0.2)
        options: EnqueueOptions = {"workflow_name": kind, "queue_name": kind, "workflow_id": f"of {kind}"}
        earlier.enqueue(options)
    earlier.destroy()
    assert run(len(KINDS)) == {f"of {kind}" for kind in KINDS}
