"""The table of tasks, beside the workflows: in SQLite, or in the PostgreSQL database that replicas share.

A task that has ended never changes, and a process changes only what nobody else has changed since it looked: each
change names the state that it goes out from, and does nothing where another came first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from testlab_mcp.protocol.tasks.long_calls import FOLLOWED
from testlab_mcp.protocol.tasks.record import DEAD_S, OPEN, Questions, TaskRecord
from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import LabError

_JSON = ("arguments", "outcome", "questions")


class DamagedTask(LabError):
    """The row of a task makes no sense."""

    def __init__(self) -> None:
        super().__init__("The task is damaged", "Its row in the database makes no sense", "Make the call again.")


class TaskStore:
    """Reads and writes tasks."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        texts = ("caller", "tool", "arguments", "status", "message", "follows", "runner")
        times = ("created_at", "updated_at", "expires_at", "beat_at")
        columns: list[sa.Column[Any]] = [
            sa.Column("task_id", sa.Text, primary_key=True),
            *(sa.Column(name, sa.Text, nullable=False) for name in texts),
            *(sa.Column(name, sa.Text) for name in ("outcome", "questions")),
            *(sa.Column(name, sa.Double, nullable=False) for name in times),
        ]
        self._table = workflows.create_table("tasks", *columns)

    def create(self, task: TaskRecord, most: int) -> bool:
        """Store a task, unless its caller has `most` open ones; and delete those that have expired.

        What runs in a dead process is not counted: it may never be asked for again.
        """
        of = self._table.c
        with self._workflows.transaction() as connection:
            clock = _clock(connection)
            at_work = sa.or_(of.status != "working", of.follows != "", sa.func.abs(clock - of.beat_at) <= DEAD_S)
            theirs = sa.and_(of.caller == task.caller, of.status.in_(OPEN), at_work)
            connection.execute(self._table.delete().where(of.expires_at <= task.created_at))
            if connection.execute(sa.select(sa.func.count()).where(theirs)).scalar_one() >= most:
                return False
            connection.execute(self._table.insert().values({**_to_row(task.model_dump()), "beat_at": clock}))
        return True

    def read(self, task_id: str) -> TaskRecord | None:
        """A task. PostgreSQL takes no NUL, and no id has one. Raises DamagedTask."""
        if "\0" in task_id:
            return None
        with self._workflows.transaction() as connection:
            query = sa.select(self._table, _clock(connection).label("read_at"))
            row = connection.execute(query.where(self._table.c.task_id == task_id)).mappings().first()
        if row is None:
            return None
        try:
            task = TaskRecord.model_validate({**row, **{name: json.loads(row[name] or "null") for name in _JSON}})
            if (task.tool in FOLLOWED) != bool(task.follows) or (task.status == "completed" and task.outcome is None):
                raise ValueError(task.tool)
            return task
        except (ValueError, TypeError) as error:
            raise DamagedTask from error

    def change(self, seen: TaskRecord, **to: Any) -> bool:
        """Change a task that is as it was seen, its last sign of life aside; returns False where it is another now."""
        of = self._table.c
        row = _to_row(seen.model_dump())
        same = sa.and_(
            of.task_id == seen.task_id,
            of.status == seen.status,
            of.runner == seen.runner,
            of.questions.is_(None) if row["questions"] is None else of.questions == row["questions"],
        )
        with self._workflows.transaction() as connection:
            lives = {"beat_at": _clock(connection)} if "runner" in to else {}
            done = connection.execute(self._table.update().where(same).values({**_to_row(to), **lives}))
        return done.rowcount > 0

    def take(self, seen: TaskRecord, runner: str) -> bool:
        """Take over a task whose process is dead; returns False where another was quicker, or the process lives."""
        of = self._table.c
        same = sa.and_(of.task_id == seen.task_id, of.status == "working", of.runner == seen.runner)
        with self._workflows.transaction() as connection:
            changed = self._table.update().where(same, of.beat_at == seen.beat_at)
            return connection.execute(changed.values(runner=runner, beat_at=_clock(connection))).rowcount > 0

    def beat(self, runner: str, messages: Mapping[str, str]) -> list[str]:
        """Say that a process lives and how far its tasks are; returns those that are no longer its own."""
        of = self._table.c
        lost: list[str] = []
        with self._workflows.transaction() as connection:
            for task_id, message in messages.items():
                mine = sa.and_(of.task_id == task_id, of.status == "working", of.runner == runner)
                changed = self._table.update().where(mine).values(beat_at=_clock(connection), message=message)
                if not connection.execute(changed).rowcount:
                    lost.append(task_id)
        return lost

    def release(self, runner: str) -> None:
        """Leave the tasks of a process that ends to others, which need not wait until it is seen to be dead."""
        mine = sa.and_(self._table.c.runner == runner, self._table.c.status == "working")
        with self._workflows.transaction() as connection:
            connection.execute(self._table.update().where(mine).values(beat_at=0.0))


def _clock(connection: sa.Connection) -> sa.ColumnElement[float]:
    """The time of the database."""
    if connection.dialect.name == "sqlite":
        return sa.func.unixepoch("subsec", type_=sa.Double)
    return sa.func.date_part("epoch", sa.func.clock_timestamp(), type_=sa.Double)


def _to_row(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _encode(value) if name in _JSON else value for name, value in values.items()}


def _encode(value: Any) -> str | None:
    value = value.model_dump() if isinstance(value, Questions) else value
    return None if value is None else json.dumps(value, separators=(",", ":"), sort_keys=True)
