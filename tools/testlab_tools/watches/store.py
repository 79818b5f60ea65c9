"""The watches, in a table beside the workflows. Each is written with its workflow, at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from testlab_tools.durable.workflows import Workflows
from testlab_tools.errors import Refused
from testlab_tools.models.watches import WatchFacts
from testlab_tools.watches.judging import Verdict
from testlab_tools.watches.subjects import Watch

WORKFLOW = "watch"
KEPT_S = 14 * 86_400.0
"""How long a watch that has ended stays readable."""
MAX_WATCHES = 100
"""Of each caller, at the same time."""
Announce = Callable[[sa.Connection, Watch], None]
"""Written in the transaction that ends a watch."""


class WatchStore:
    """Reads and writes watches; a watch ends in one statement that says from which state, so it ends once."""

    def __init__(self, workflows: Workflows, announce: Announce) -> None:
        """Create the table if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._announce = announce
        self._table = workflows.create_table(
            "watches",
            sa.Column("watch_id", sa.Text, primary_key=True),
            sa.Column("caller", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("subject", sa.Text, nullable=False),
            sa.Column("begun_at", sa.Double, nullable=False),
            sa.Column("deadline", sa.Double, nullable=False),
            sa.Column("facts", sa.Text, nullable=False),
            sa.Column("seen_at", sa.Double),
            sa.Column("trouble", sa.Text, nullable=False),
            sa.Column("what", sa.Text, nullable=False),
            sa.Column("ended_at", sa.Double),
            sa.Column("told_at", sa.Double),
        )

    def begin(self, watch: Watch) -> Watch:
        """Write a watch with its workflow, unless there is one of its id. Returns it as it stands.

        Raises Refused where the caller has too many.
        """
        if (found := self.read(watch.watch_id)) is not None:
            return found
        c = self._table.c
        mine = sa.select(sa.func.count()).where(c.caller == watch.caller, c.state == "watching")
        row = {**watch.model_dump(), "subject": watch.subject.model_dump_json(), "facts": _encode(watch.facts)}
        try:
            with self._workflows.transaction() as connection:
                if connection.execute(mine).scalar_one() >= MAX_WATCHES:
                    raise Refused("Too much is watched", f"{MAX_WATCHES} watches are the most", "Wait for some to end.")
                connection.execute(self._table.insert().values(row))
                self._workflows.enqueue(WORKFLOW, watch.watch_id, [watch.watch_id], connection)
        except IntegrityError:
            pass  # another process was quicker
        found = self.read(watch.watch_id)
        assert found is not None, "it was just written"
        return found

    def read(self, watch_id: str) -> Watch | None:
        """A watch, if there is one of that id."""
        return next(iter(self.read_all([watch_id])), None)

    def read_all(self, watch_ids: Collection[str]) -> list[Watch]:
        """The watches of these ids. PostgreSQL takes no NUL, and no id has one."""
        return self._select(self._table.c.watch_id.in_([one for one in watch_ids if "\0" not in one]))

    def list(self, prefix: str) -> list[Watch]:
        """Watches whose ids begin so, oldest first."""
        return self._select(self._table.c.watch_id.startswith(prefix, autoescape=True))

    def list_newest(self, caller: str | None, limit: int) -> list[Watch]:
        """Watches, newest first, of a caller or (None) of all."""
        c = self._table.c
        query = sa.select(self._table).where(sa.true() if caller is None else c.caller == caller)
        with self._workflows.transaction() as connection:
            newest = query.order_by(c.begun_at.desc(), c.watch_id).limit(limit)
            return [_decode(row) for row in connection.execute(newest).mappings()]

    def note_seen(self, watch_id: str, facts: WatchFacts, now: float) -> None:
        """Note what was seen of a watch that goes on."""
        self._update(watch_id, facts=_encode(facts), seen_at=now, trouble="")

    def note_trouble(self, watch_ids: Sequence[str], trouble: str) -> None:
        """Note why watches cannot be looked at now."""
        for watch_id in watch_ids:
            self._update(watch_id, trouble=trouble)

    def note_told(self, watch_id: str, now: float) -> None:
        """Note that the caller has been told of the end."""
        at = sa.and_(self._table.c.watch_id == watch_id, self._table.c.told_at.is_(None))
        with self._workflows.transaction() as connection:
            connection.execute(self._table.update().where(at).values(told_at=now))

    def end(self, watch_id: str, verdict: Verdict, now: float) -> bool:
        """End a watch, and announce it in the same transaction. Returns False where it had ended."""
        changes: dict[str, Any] = {"state": verdict.state, "what": verdict.what, "ended_at": now}
        if verdict.facts.model_dump(exclude_defaults=True):
            changes |= {"facts": _encode(verdict.facts), "seen_at": now}
        if verdict.state != "not in time":
            changes["trouble"] = ""
        c = self._table.c
        with self._workflows.transaction() as connection:
            ended = self._table.update().where(c.watch_id == watch_id, c.state == "watching").values(changes)
            if not connection.execute(ended).rowcount:
                return False
            row = connection.execute(sa.select(self._table).where(c.watch_id == watch_id)).mappings().one()
            self._announce(connection, _decode(row))
            return True

    def tidy(self, now: float) -> None:
        """Delete what ended long ago."""
        with self._workflows.transaction() as connection:
            connection.execute(self._table.delete().where(self._table.c.ended_at < now - KEPT_S))
        self._workflows.delete_ended(WORKFLOW, before=datetime.fromtimestamp(now - KEPT_S, UTC))

    def _update(self, watch_id: str, **changes: Any) -> None:
        c = self._table.c
        with self._workflows.transaction() as connection:
            at = sa.and_(c.watch_id == watch_id, c.state == "watching")
            connection.execute(self._table.update().where(at).values(changes))

    def _select(self, where: sa.ColumnElement[bool]) -> list[Watch]:
        query = sa.select(self._table).where(where).order_by(self._table.c.begun_at, self._table.c.watch_id)
        with self._workflows.transaction() as connection:
            return [_decode(row) for row in connection.execute(query).mappings()]


def _encode(facts: WatchFacts) -> str:
    return facts.model_dump_json(exclude_defaults=True)


def _decode(row: sa.RowMapping) -> Watch:
    facts = json.loads(row["facts"])
    if held := facts.get("node", {}).get("reservation"):  # which says of itself only what its node does not
        held |= {"node_id": facts["node"]["node_id"], "yours": False}
    if held := facts.get("reservation"):
        held |= {"yours": False}
    parsed = {"subject": json.loads(row["subject"]), "facts": facts}
    return Watch.model_validate({**row, **parsed})
