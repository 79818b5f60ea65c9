"""Finds the delivery that an earlier call was for: clients that start a process for each call, or give up after some
seconds and try again, would otherwise record a run twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from testlab_tools.durable.workflows import Workflows
from testlab_tools.outbox.payload import DeliveryRecord

SHORTLY = timedelta(minutes=10)
"""How long after a call whose answer may have been lost the same call means the same delivery."""
LATE_S = 4.5
"""An answer that took longer may have come after its client had given up: the least patient ones wait 5 s."""


class CallIndex:
    """Deliveries by the calls they are for; `digest` is of caller, tool and arguments."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "delivery_calls",
            sa.Column("digest", sa.Text, primary_key=True),
            sa.Column("delivery_id", sa.Text, nullable=False),
            sa.Column("given_at", sa.Double, nullable=False),
            sa.Column("answered_at", sa.Double),
            sa.Column("took_s", sa.Double),
        )

    def delivery_for(self, digest: str, fresh: str, read: Callable[[str], DeliveryRecord | None], now: datetime) -> str:
        """The id of the delivery that a call is for: that of an earlier call like it, or else `fresh`.

        `read` returns a delivery by its id. A process may have died before it wrote its delivery down; the caller does
        that then.
        """
        columns = self._table.c
        while True:
            with self._workflows.transaction() as connection:
                row = connection.execute(sa.select(self._table).where(columns.digest == digest)).mappings().first()
            if row is None:
                if self._execute(self._table.insert().values(_row(digest, fresh, now))):
                    return fresh
                continue
            if _is_repeat(row, read(row["delivery_id"]), now):
                return row["delivery_id"]
            at = sa.and_(columns.digest == digest, columns.delivery_id == row["delivery_id"])
            if self._execute(self._table.update().where(at).values(_row(digest, fresh, now))):
                return fresh

    def note_answer(self, digest: str, delivery_id: str, now: datetime, took_s: float) -> None:
        """Note that a call was answered, and after how many seconds."""
        at = sa.and_(self._table.c.digest == digest, self._table.c.delivery_id == delivery_id)
        self._execute(self._table.update().where(at).values(answered_at=now.timestamp(), took_s=took_s))

    def delete_before(self, moment: datetime) -> None:
        """Delete the calls made before."""
        self._execute(self._table.delete().where(self._table.c.given_at < moment.timestamp()))

    def _execute(self, statement: sa.Insert | sa.Update | sa.Delete) -> bool:
        """Whether the statement changed a row; an insert does not when another process was quicker."""
        try:
            with self._workflows.transaction() as connection:
                return connection.execute(statement).rowcount > 0
        except IntegrityError:
            return False


def _row(digest: str, delivery_id: str, now: datetime) -> dict[str, object]:
    return {
        "digest": digest,
        "delivery_id": delivery_id,
        "given_at": now.timestamp(),
        "answered_at": None,
        "took_s": None,
    }


def _is_repeat(row: sa.RowMapping, record: DeliveryRecord | None, now: datetime) -> bool:
    """Whether the call is for the earlier delivery: that is under way, or its answer may not have been heard."""
    if record is not None and record.progress.state in ("queued", "sending"):
        return True
    if row["answered_at"] is None:
        return now.timestamp() - row["given_at"] < SHORTLY.total_seconds()
    return row["took_s"] > LATE_S and now.timestamp() - row["answered_at"] < SHORTLY.total_seconds()
