"""Deliveries as workflows: the inputs are the payload, the event `progress` is how far the delivery has come.

The workflow of a delivery is `<delivery id>.<generation>`. A workflow's inputs never change, so a delivery that is
corrected and released, or given again, goes on as its next generation.

Beside them are the contents of files, until they have arrived, and the calls that deliveries were for: clients that
start a process for each call, or give up after some seconds and try again, would otherwise record a run twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import sqlalchemy as sa
from dbos import WorkflowStatus

from testlab_tools.durable.calls import CallIndex
from testlab_tools.durable.database import STATUSES, Status
from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import LabError
from testlab_tools.outbox.delivery import PROGRESS, WORKFLOW, parse_delivery_id
from testlab_tools.outbox.payload import DeliveryRecord, Failure, Payload, Progress, decode, encode


class BlobStore:
    """Contents by delivery, numbered from 0; all generations of a delivery share them."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "delivery_files",
            sa.Column("delivery_id", sa.Text, primary_key=True),
            sa.Column("number", sa.Integer, primary_key=True),
            sa.Column("content", sa.LargeBinary, nullable=False),
        )

    def put(self, transaction: sa.Connection, delivery_id: str, contents: Sequence[bytes]) -> None:
        """Store contents in place of those the delivery had, once the transaction is committed."""
        transaction.execute(self._delete_of([delivery_id]))
        for number, content in enumerate(contents):
            row = {"delivery_id": delivery_id, "number": number, "content": content}
            transaction.execute(self._table.insert().values(row))

    def read(self, delivery_id: str, number: int) -> bytes:
        """The content of a file. Raises LabError when it is not there."""
        at = sa.and_(self._table.c.delivery_id == delivery_id, self._table.c.number == number)
        with self._workflows.transaction() as connection:
            content = connection.execute(sa.select(self._table.c.content).where(at)).scalar_one_or_none()
        if content is None:
            raise LabError(
                "A file of the delivery is no longer in the database",
                "It was taken out from outside",
                "Give what is to be delivered again.",
            )
        return bytes(content)

    def delivery_ids(self) -> set[str]:
        """The deliveries that have any contents."""
        with self._workflows.transaction() as connection:
            return set(connection.execute(sa.select(self._table.c.delivery_id).distinct()).scalars())

    def delete(self, delivery_ids: Iterable[str]) -> None:
        """Delete all contents of these deliveries."""
        with self._workflows.transaction() as connection:
            connection.execute(self._delete_of(delivery_ids))

    def _delete_of(self, delivery_ids: Iterable[str]) -> sa.Delete:
        return self._table.delete().where(self._table.c.delivery_id.in_(list(delivery_ids)))


logger = logging.getLogger("testlab_tools")

KEPT_FOR = timedelta(days=7)
"""How long a delivery stays in the database once it has arrived; the contents of its files do not."""

Which = Literal["waiting", "parked", "delivered"]
_STATUS: dict[Which, Status] = {"waiting": "waiting", "parked": "failed", "delivered": "succeeded"}


class Listed(NamedTuple):
    """Deliveries, newest first, of `total` that there are."""

    deliveries: list[DeliveryRecord]
    total: int


class Store:
    """Reads and writes deliveries; runs none."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the tables if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self.blobs = BlobStore(workflows)
        self.calls = CallIndex(workflows, "delivery_calls", "delivery_id")

    def write(
        self, delivery_id: str, generation: int, service: str, payload: Payload, contents: Sequence[bytes] = ()
    ) -> None:
        """Write down a delivery, to be sent by the leader. With contents, they replace those of its files."""
        workflow_id, inputs = f"{delivery_id}.{generation}", [service, *encode(payload)]
        if not contents:
            self._workflows.enqueue(WORKFLOW, workflow_id, inputs)
            return
        with self._workflows.transaction() as transaction:
            self.blobs.put(transaction, delivery_id, contents)
            self._workflows.enqueue(WORKFLOW, workflow_id, inputs, transaction)

    def is_under_way(self, delivery_id: str) -> bool:
        """Whether a delivery is still to arrive, and nothing has to be done for that."""
        record = self.read(delivery_id)
        return record is not None and record.progress.state in ("queued", "sending")

    def read(self, delivery_id: str) -> DeliveryRecord | None:
        """The latest generation of a delivery."""
        rows = self._workflows.read(prefix=f"{delivery_id}.")
        return self._decode(max(rows, key=_generation)) if rows else None

    def list(self, limit: int | None) -> dict[Which, Listed]:
        """All deliveries by how far they are, as at one moment: none is listed twice."""
        latest: dict[str, WorkflowStatus] = {}
        for row in self._workflows.list(WORKFLOW):
            delivery_id = parse_delivery_id(row.workflow_id)
            known = latest.get(delivery_id)
            if known is None or _generation(known) < _generation(row):
                latest[delivery_id] = row
        return {
            which: self._read_page(
                [row.workflow_id for row in latest.values() if row.status in STATUSES[status]], limit
            )
            for which, status in _STATUS.items()
        }

    def _read_page(self, workflow_ids: list[str], limit: int | None) -> Listed:
        rows = self._workflows.read(workflow_ids[:limit])
        return Listed([record for row in rows if (record := self._decode_or_skip(row))], len(workflow_ids))

    def delete(self, delivery_id: str, generation: int) -> None:
        """Delete a generation that a later one has replaced."""
        self._workflows.delete(f"{delivery_id}.{generation}")

    def discard(self, delivery_id: str, generation: int) -> bool:
        """Delete a parked delivery and its files; returns False where it is not parked."""
        workflow_id = f"{delivery_id}.{generation}"
        rows = self._workflows.read([workflow_id])
        if not rows or rows[0].status not in STATUSES["failed"]:
            return False
        self._workflows.delete(workflow_id)
        self.delete_files(delivery_id)
        return True

    def tidy(self, now: datetime) -> None:
        """Delete what was delivered long ago, and the contents of files that no delivery needs."""
        self.calls.delete_before(now - KEPT_FOR)
        self._workflows.delete_ended(WORKFLOW, "succeeded", before=now - KEPT_FOR)
        stored = self.blobs.delivery_ids()  # asked first: a delivery and its files are written at once
        needed = self._workflows.list(WORKFLOW, "waiting", "failed")
        self.blobs.delete(stored - {parse_delivery_id(row.workflow_id) for row in needed})

    def delete_files(self, delivery_id: str) -> None:
        """Delete the contents of a delivery's files. What cannot be deleted now, `tidy` deletes."""
        try:
            self.blobs.delete([delivery_id])
        except Exception:
            logger.exception("the files of a delivery that has arrived stay in the database for now")

    def last_progress(self, workflow_id: str) -> Progress:
        """How far a workflow had come when it last noted that."""
        event = self._workflows.read_event(workflow_id, PROGRESS)
        # What an earlier generation sent may have arrived after all.
        first = Progress(unsure=not workflow_id.endswith(".0"))
        return first if event is None else Progress.model_validate(event)

    def _decode_or_skip(self, row: WorkflowStatus) -> DeliveryRecord | None:
        """The delivery; None where something else wrote its row, as the log then says."""
        try:
            return self._decode(row)
        except (TypeError, ValueError, LookupError):
            logger.warning("a row of the deliveries' database is none of ours and was not read: %.80s", row.workflow_id)
            return None

    def _decode(self, row: WorkflowStatus) -> DeliveryRecord:
        assert row.input is not None
        service, *content = row.input["args"]
        return DeliveryRecord(
            delivery_id=parse_delivery_id(row.workflow_id),
            generation=_generation(row),
            service=service,
            payload=decode(content),
            written_at=datetime.fromtimestamp((row.created_at or 0) / 1000, UTC),
            progress=self._progress_of(row),
        )

    def _progress_of(self, row: WorkflowStatus) -> Progress:
        if row.status in STATUSES["succeeded"]:
            return Progress.model_validate(row.output)
        progress = self.last_progress(row.workflow_id)
        if progress.state == "parked" and row.status in STATUSES["waiting"]:  # its workflow is about to end
            return progress.model_copy(update={"state": "sending"})
        if row.status in STATUSES["failed"] and progress.state != "parked":
            why = f"DBOS has its workflow as {row.status}"
            failure = Failure(kind="LabError", what="It was stopped from outside", why=why)
            return progress.model_copy(update={"state": "parked", "failure": failure, "next_try_at": None})
        return progress


def _generation(row: WorkflowStatus) -> int:
    return int(row.workflow_id.rpartition(".")[2])
