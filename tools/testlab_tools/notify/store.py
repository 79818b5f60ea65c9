"""The messages, in a table beside the workflows: one for each event and receiver, written with its workflow."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ConfigDict

from testlab_tools.durable.workflows import Workflows
from testlab_tools.late_model import LateModel
from testlab_tools.notify.event import Event

WORKFLOW = "notify"
KEPT_S = 14 * 86_400.0


class Notice(LateModel):
    """A message to a receiver. Times are seconds since 1970, UTC."""

    model_config = ConfigDict(frozen=True)

    notice_id: str
    event_id: str
    receiver: str
    event: Event
    state: Literal["waiting", "sent", "parked"]
    tries: int
    written_at: float
    next_at: float
    why: str = ""


class NoticeStore:
    """Reads and writes messages."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "notices",
            sa.Column("notice_id", sa.Text, primary_key=True),
            sa.Column("event_id", sa.Text, nullable=False),
            sa.Column("receiver", sa.Text, nullable=False),
            sa.Column("event", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("tries", sa.Integer, nullable=False),
            sa.Column("written_at", sa.Double, nullable=False),
            sa.Column("next_at", sa.Double, nullable=False),
            sa.Column("why", sa.Text, nullable=False),
        )

    def add(self, connection: sa.Connection, event: Event, receivers: Iterable[str], now: float) -> None:
        """Write an event's messages, in the transaction of what has happened; those that are there already stay."""
        for receiver in receivers:
            notice_id = f"msg_{hashlib.sha256(f'{event.event_id} {receiver}'.encode()).hexdigest()[:24]}"
            there = sa.select(self._table.c.notice_id).where(self._table.c.notice_id == notice_id)
            if connection.execute(there).first() is not None:
                continue
            row = {"notice_id": notice_id, "event_id": event.event_id, "receiver": receiver}
            row |= {"event": event.model_dump_json(), "state": "waiting", "why": ""}
            moments = {"tries": 0, "written_at": now, "next_at": now}
            connection.execute(self._table.insert().values({**row, **moments}))
            self._workflows.enqueue(WORKFLOW, f"notify.{notice_id}", [notice_id], connection)

    def add_alone(self, event: Event, receivers: Sequence[str], now: float) -> None:
        """As `add`, in a transaction of its own."""
        with self._workflows.transaction() as connection:
            self.add(connection, event, receivers, now)

    def read(self, notice_id: str) -> Notice | None:
        """A message, if there is one of that id."""
        return next(iter(self._select(self._table.c.notice_id == notice_id)), None)

    def list(self, event_id: str) -> list[Notice]:
        """The messages about an event."""
        return self._select(self._table.c.event_id == event_id)

    def note(self, notice_id: str, **changes: Any) -> None:
        """Note how far a waiting message has come."""
        c = self._table.c
        at = sa.and_(c.notice_id == notice_id, c.state == "waiting")
        with self._workflows.transaction() as connection:
            connection.execute(self._table.update().where(at).values(changes))

    def tidy(self, now: float) -> None:
        """Delete what ended long ago."""
        c = self._table.c
        old = sa.and_(c.state != "waiting", c.written_at < now - KEPT_S)
        with self._workflows.transaction() as connection:
            connection.execute(self._table.delete().where(old))
        self._workflows.delete_ended(WORKFLOW, before=datetime.fromtimestamp(now - KEPT_S, UTC))

    def _select(self, where: sa.ColumnElement[bool]) -> list[Notice]:
        query = sa.select(self._table).where(where).order_by(self._table.c.receiver)
        with self._workflows.transaction() as connection:
            return [
                Notice.model_validate({**row, "event": Event.model_validate_json(row["event"])})
                for row in connection.execute(query).mappings()
            ]
