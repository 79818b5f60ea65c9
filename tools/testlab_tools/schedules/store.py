"""The schedules, in a table beside the workflows. Each has one workflow, until it is ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ConfigDict

from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import Refused
from testlab_tools.late_model import LateModel

WORKFLOW = "schedule"
MAX_SCHEDULES = 50
"""Of each caller."""
KEPT_S = 7 * 86_400.0
"""How long the workflow of a schedule stays after its end. The row stays: its generation is counted on."""


class Schedule(LateModel):
    """A campaign and when it is started. Times are seconds since 1970, UTC.

    Without `names`, all test cases of the revision are run, as they are at each start. `last_at` is the last start that
    was made, when the schedule was given, or when a clock before that was first seen; `note` says what became of
    the last that came.
    """

    model_config = ConfigDict(frozen=True)

    schedule_id: str
    caller: str
    service: str
    timetable: str
    zone: str
    order: CampaignOrder
    names: list[str]
    generation: int
    ended: bool
    last_at: float
    note: str = ""


class ScheduleStore:
    """Reads and writes schedules."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "schedules",
            sa.Column("schedule_id", sa.Text, primary_key=True),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("caller", "service", "timetable", "zone")),
            *(sa.Column(name, sa.Text, nullable=False) for name in ("order", "names", "note")),
            *(sa.Column(name, sa.Integer, nullable=False) for name in ("generation", "ended")),
            sa.Column("last_at", sa.Double, nullable=False),
        )

    def begin(self, schedule: Schedule) -> Schedule:
        """Write a schedule with its workflow, or begin it anew where it has ended. Raises Refused for too many."""
        c = self._table.c
        with self._workflows.transaction() as connection:
            found = connection.execute(sa.select(c.generation, c.ended).where(c.schedule_id == schedule.schedule_id))
            row = found.first()
            if row is not None and not row.ended:
                return self._read(connection, schedule.schedule_id)
            mine = sa.select(sa.func.count()).where(c.caller == schedule.caller, c.ended == 0)
            if connection.execute(mine).scalar_one() >= MAX_SCHEDULES:
                raise Refused("Too much is scheduled", f"{MAX_SCHEDULES} schedules are the most", "Cancel some.")
            connection.execute(self._table.delete().where(c.schedule_id == schedule.schedule_id))
            generation = row.generation + 1 if row is not None else 0
            values = schedule.model_copy(update={"generation": generation})
            encoded = {"order": values.order.model_dump_json(), "names": json.dumps(values.names), "ended": 0}
            connection.execute(self._table.insert().values({**values.model_dump(), **encoded}))
            self._workflows.enqueue(
                WORKFLOW, f"{schedule.schedule_id}.{generation}", [schedule.schedule_id, generation], connection
            )
            return self._read(connection, schedule.schedule_id)

    def read(self, schedule_id: str) -> Schedule | None:
        """A schedule, if there is one of that id. PostgreSQL takes no NUL, and no id has one."""
        if "\0" in schedule_id:
            return None
        return next(iter(self._select(self._table.c.schedule_id == schedule_id)), None)

    def list(self, caller: str | None, services: Sequence[str]) -> list[Schedule]:
        """Schedules that go on, of a caller or of all, on these services."""
        c = self._table.c
        whose = sa.true() if caller is None else c.caller == caller
        return self._select(sa.and_(whose, c.ended == 0, c.service.in_(services)))

    def note(self, schedule_id: str, **changes: Any) -> None:
        """Note what became of a start."""
        with self._workflows.transaction() as connection:
            at = self._table.c.schedule_id == schedule_id
            connection.execute(self._table.update().where(at).values(changes))

    def tidy(self, now: float) -> None:
        """Delete the workflows of schedules that were ended long ago."""
        self._workflows.delete_ended(WORKFLOW, before=datetime.fromtimestamp(now - KEPT_S, UTC))

    def _read(self, connection: sa.Connection, schedule_id: str) -> Schedule:
        query = sa.select(self._table).where(self._table.c.schedule_id == schedule_id)
        return _decode(connection.execute(query).mappings().one())

    def _select(self, where: sa.ColumnElement[bool]) -> list[Schedule]:
        query = sa.select(self._table).where(where).order_by(self._table.c.schedule_id)
        with self._workflows.transaction() as connection:
            return [_decode(row) for row in connection.execute(query).mappings()]


def _decode(row: sa.RowMapping) -> Schedule:
    return Schedule.model_validate({**row, "order": json.loads(row["order"]), "names": json.loads(row["names"])})
