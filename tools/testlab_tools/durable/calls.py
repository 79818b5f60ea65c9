"""Which piece of stored work a call was for: clients that start a process for each call, or give up after some seconds
and try again, would otherwise begin it twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from testlab_tools.durable.workflows import Workflows

SHORTLY = timedelta(minutes=10)
"""How long after a call whose answer may have been lost the same call means the same work."""
LATE_S = 4.5
"""An answer that took longer may have come after its client had given up: the least patient ones wait 5 s."""


class CallIndex:
    """Work by the calls it is for; `digest` is of caller, tool and arguments."""

    def __init__(self, workflows: Workflows, table: str, id_column: str) -> None:
        """Create the table if need be; `id_column` holds the id of the work."""
        self._workflows = workflows
        self._id = id_column
        self._table = workflows.create_table(
            table,
            sa.Column("digest", sa.Text, primary_key=True),
            sa.Column(id_column, sa.Text, nullable=False),
            sa.Column("given_at", sa.Double, nullable=False),
            sa.Column("answered_at", sa.Double),
            sa.Column("took_s", sa.Double),
        )

    def id_for(self, digest: str, fresh: str, is_under_way: Callable[[str], bool], now: datetime) -> str:
        """The id of the work that a call is for: that of an earlier call like it, or else `fresh`.

        `is_under_way` says of an id whether a call like it is for that work however late it comes. A process may have
        died before it wrote its work down; the caller does that then.
        """
        columns = self._table.c
        while True:
            with self._workflows.transaction() as connection:
                row = connection.execute(sa.select(self._table).where(columns.digest == digest)).mappings().first()
            if row is None:
                if self._execute(self._table.insert().values(self._row(digest, fresh, now))):
                    return fresh
                continue
            known: str = row[self._id]
            if is_under_way(known) or _is_repeat(row, now):
                return known
            at = sa.and_(columns.digest == digest, columns[self._id] == known)
            if self._execute(self._table.update().where(at).values(self._row(digest, fresh, now))):
                return fresh

    def note_answer(self, digest: str, work_id: str, now: datetime, took_s: float) -> None:
        """Note that a call was answered, and after how many seconds."""
        at = sa.and_(self._table.c.digest == digest, self._table.c[self._id] == work_id)
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

    def _row(self, digest: str, work_id: str, now: datetime) -> dict[str, object]:
        return {
            "digest": digest,
            self._id: work_id,
            "given_at": now.timestamp(),
            "answered_at": None,
            "took_s": None,
        }


def _is_repeat(row: sa.RowMapping, now: datetime) -> bool:
    """Whether the answer of the earlier call may not have been heard."""
    if row["answered_at"] is None:
        return now.timestamp() - row["given_at"] < SHORTLY.total_seconds()
    return row["took_s"] > LATE_S and now.timestamp() - row["answered_at"] < SHORTLY.total_seconds()
