"""What the store tells of a delivery whose workflow says that it is parked, before and after the workflow has ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOSPortableJSONSerializer

from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.workflows import Workflows
from testlab_tools.outbox.delivery import PROGRESS
from testlab_tools.outbox.payload import Failure, FileFacts, Progress, RunPayload
from testlab_tools.outbox.store import Store

PAYLOAD = RunPayload(run={"serial_number": "SN-1"}, files=[FileFacts(name="log.txt", size=3)])
WORKFLOW_ID = "one.0"
REFUSED = Failure(kind="Refused", what="The service refused it")


class Workflow:
    """The rows of a delivery's workflow, as the process that runs it writes them: first the event, then the end."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        self._serializer = DBOSPortableJSONSerializer()

    def tells(self, progress: Progress) -> None:
        event = {
            "workflow_uuid": WORKFLOW_ID,
            "key": PROGRESS,
            "value": self._serializer.serialize(progress.model_dump(mode="json")),
            "serialization": self._serializer.name(),
        }
        self._write(sa.insert(sa.table("workflow_events", *map(sa.column, event))).values(event))

    def becomes(self, status: str) -> None:
        rows = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("status"))
        self._write(sa.update(rows).where(rows.c.workflow_uuid == WORKFLOW_ID).values(status=status))

    def close(self) -> None:
        self._engine.dispose()

    def _write(self, statement: sa.Insert | sa.Update) -> None:
        with self._engine.begin() as connection:
            connection.execute(statement)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    workflows = Workflows(SqliteDatabase(tmp_path / "deliveries.sqlite"))
    opened = Store(workflows)
    opened.write("one", 0, "factory", PAYLOAD, [b"abc"])
    yield opened
    workflows.close()


@pytest.fixture
def workflow(store: Store, tmp_path: Path) -> Iterator[Workflow]:
    made = Workflow(f"sqlite:///{tmp_path / 'deliveries.sqlite'}")
    yield made
    made.close()


def state(store: Store) -> str:
    record = store.read("one")
    assert record is not None
    return record.progress.state


def listed(store: Store) -> dict[str, list[str]]:
    """The states of what is listed, by the heading it is listed under."""
    return {which: [record.progress.state for record in of.deliveries] for which, of in store.list(10).items()}


@pytest.mark.parametrize("status", ["ENQUEUED", "PENDING"])
def test_a_delivery_is_still_being_sent_until_its_workflow_has_ended(
    store: Store, workflow: Workflow, status: str
) -> None:
    workflow.becomes(status)
    workflow.tells(Progress(state="parked", attempts=1, failure=REFUSED))
    assert state(store) == "sending"
    assert listed(store) == {"waiting": ["sending"], "parked": [], "delivered": []}
    assert not store.discard("one", 0)
    assert store.blobs.read("one", 0) == b"abc"


def test_a_delivery_whose_workflow_has_ended_is_parked_and_can_be_discarded(store: Store, workflow: Workflow) -> None:
    workflow.tells(Progress(state="parked", attempts=1, failure=REFUSED))
    workflow.becomes("ERROR")
    record = store.read("one")
    assert record is not None
    assert (record.progress.state, record.progress.failure) == ("parked", REFUSED)
    assert listed(store) == {"waiting": [], "parked": ["parked"], "delivered": []}
    assert store.discard("one", 0)
    assert store.read("one") is None
    assert store.blobs.delivery_ids() == set()
