"""The deliveries as DBOS keeps them: a workflow each, its inputs the parcel, its event `progress` how far it has come.

A delivery's workflow is `<delivery id>.<round>`: DBOS never changes the inputs of a workflow, so one that is corrected
and released goes on as its next round.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowStatus

from testlab_tools.deliveries.database import SCHEMA, Database
from testlab_tools.deliveries.parcel import Parcel, packed, unpacked
from testlab_tools.deliveries.progress import Failure, Kept, Progress
from testlab_tools.deliveries.shelf import Shelf

logger = logging.getLogger("testlab_tools")

APPLICATION = "testlab-deliveries"
WORKFLOW = QUEUE = "deliver"
PROGRESS = "progress"
POLL_S = 0.2
KEPT_FOR = timedelta(days=7)
"""How long a delivery stays in the database once it has arrived; the contents of its files do not."""

Which = Literal["waiting", "parked", "delivered"]
_STATUSES: dict[Which, list[str]] = {
    "waiting": ["ENQUEUED", "PENDING", "DELAYED"],
    "parked": ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
    "delivered": ["SUCCESS"],
}


class Store:
    """Reads and writes deliveries; runs none."""

    def __init__(self, database: Database) -> None:
        """Create the tables if need be. Raises what SQLAlchemy raises when the database does not let us."""
        database.prepare()
        DBOS.migrate(database.url, schema=SCHEMA)
        self.shelf = Shelf(database)
        self._client = DBOSClient(
            system_database_url=database.url,
            dbos_system_schema=SCHEMA,
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            retry_connection_errors=False,
        )
        self._client.register_queue(QUEUE, polling_interval_sec=POLL_S)

    def write(
        self, delivery_id: str, round_: int, service: str, parcel: Parcel, contents: Sequence[bytes] = ()
    ) -> None:
        """Write down a delivery, with the contents of its files if it is not to keep those it has, to be run by
        whichever process has the turn."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": f"{delivery_id}.{round_}",
        }
        if not contents:
            self._client.enqueue(options, service, *packed(parcel))
            return
        with self.shelf.engine.begin() as connection:
            self.shelf.put(connection, delivery_id, contents)
            self._client.enqueue_in_transaction(connection, options, service, *packed(parcel))

    def read(self, delivery_id: str) -> Kept | None:
        """A delivery, in its latest round."""
        found = self._kept(self._client.list_workflows(workflow_id_prefix=f"{delivery_id}."))
        return found[0] if found else None

    def list(self, which: Which, limit: int | None) -> list[Kept]:
        """Deliveries that wait, are parked, or were delivered lately, newest first, at most `limit` or all."""
        return self._kept(
            self._client.list_workflows(name=WORKFLOW, status=_STATUSES[which], sort_desc=True, limit=limit)
        )

    def count(self, which: Which) -> int:
        """How many there are."""
        rows = self._client.list_workflows(name=WORKFLOW, status=_STATUSES[which], load_input=False, load_output=False)
        return len({row.workflow_id.rpartition(".")[0] for row in rows})

    def forget(self, delivery_id: str, round_: int) -> None:
        """Delete a round that a later one has taken the place of."""
        self._client.delete_workflow(f"{delivery_id}.{round_}")

    def tidy(self, now: datetime) -> None:
        """Delete what was delivered long ago, and the contents of files that nothing waits to send."""
        before = (now - KEPT_FOR).isoformat()
        old = self._client.list_workflows(
            name=WORKFLOW, status="SUCCESS", completed_before=before, load_input=False, load_output=False
        )
        self._client.delete_workflows([row.workflow_id for row in old])
        held = self.shelf.held()  # asked first: a delivery and its files are written at once
        needed = self._client.list_workflows(
            name=WORKFLOW, status=_STATUSES["waiting"] + _STATUSES["parked"], load_input=False, load_output=False
        )
        self.shelf.drop(held - {row.workflow_id.rpartition(".")[0] for row in needed})

    def unload(self, delivery_id: str) -> None:
        """Take away the contents of a delivery's files: they have arrived. What cannot be now, `tidy` does."""
        try:
            self.shelf.drop([delivery_id])
        except Exception:
            logger.exception("the files of a delivery that has arrived stay in the database for now")

    def close(self) -> None:
        """Close the connections."""
        self._client.destroy()
        self.shelf.close()

    def _kept(self, rows: Iterable[WorkflowStatus]) -> list[Kept]:
        """The rows as deliveries, each in its latest round only."""
        latest: dict[str, Kept] = {}
        for row in rows:
            kept = self._one(row)
            known = latest.get(kept.delivery_id)
            if known is None or known.round < kept.round:
                latest[kept.delivery_id] = kept
        return list(latest.values())

    def _one(self, row: WorkflowStatus) -> Kept:
        delivery_id, _, round_ = row.workflow_id.rpartition(".")
        assert row.input is not None
        service, *content = row.input["args"]
        return Kept(
            delivery_id=delivery_id,
            round=int(round_),
            service=service,
            parcel=unpacked(content),
            written_at=datetime.fromtimestamp((row.created_at or 0) / 1000, UTC),
            progress=self._progress(row),
        )

    def _progress(self, row: WorkflowStatus) -> Progress:
        if row.status == "SUCCESS":
            return Progress.model_validate(row.output)
        progress = self.last_told(row.workflow_id)
        if row.status in _STATUSES["parked"] and progress.state != "parked":
            why = f"DBOS has its workflow as {row.status}"
            failure = Failure(kind="LabError", what="It was stopped from outside", why=why)
            return progress.model_copy(update={"state": "parked", "failure": failure, "next_try_at": None})
        return progress

    def last_told(self, workflow_id: str) -> Progress:
        """What was last told of a workflow."""
        told = cast(object, self._client.get_event(workflow_id, PROGRESS, timeout_seconds=0))
        # What was sent in an earlier round may have arrived after all.
        begun = Progress(unsure=not workflow_id.endswith(".0"))
        return begun if told is None else Progress.model_validate(told)
