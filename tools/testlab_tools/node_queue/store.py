"""Tickets and observed durations, in tables beside the workflows. Each ticket is written with its workflow, at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.tickets import HeldNode, NodeRequest, Ticket

WORKFLOW = "node_queue"
KEPT_S = 7 * 86_400.0
"""How long a ticket that has ended stays readable, and a duration counts."""
MAX_HOLDS = 200


class Intent(NamedTuple):
    """A reservation that is being made: its nodes, and when it was begun."""

    nodes: tuple[str, ...]
    begun_at: float


class Entry(NamedTuple):
    """A ticket that needs work. `is_due`: what was reserved for it has to be given back."""

    ticket: Ticket
    intent: Intent | None
    is_due: bool


class TicketStore:
    """Reads and writes tickets; each change is one statement that says from which state, so that two who change one
    ticket at once never both succeed."""

    def __init__(self, workflows: Workflows) -> None:
        """Create the tables if need be. Raises what SQLAlchemy raises when the database refuses."""
        self._workflows = workflows
        self._table = workflows.create_table(
            "node_tickets",
            sa.Column("ticket_id", sa.Text, primary_key=True),
            sa.Column("number", sa.Integer, nullable=False),
            sa.Column("service", sa.Text, nullable=False),
            sa.Column("caller", sa.Text, nullable=False),
            sa.Column("state", sa.Text, nullable=False),
            sa.Column("request", sa.Text, nullable=False),
            sa.Column("written_at", sa.Double, nullable=False),
            sa.Column("deadline", sa.Double, nullable=False),
            sa.Column("outlook", sa.Text, nullable=False),
            sa.Column("intent", sa.Text),
            sa.Column("reservations", sa.Text, nullable=False),
            sa.Column("is_due", sa.Integer, nullable=False),
            sa.Column("granted_at", sa.Double),
            sa.Column("collected_at", sa.Double),
            sa.Column("ended_at", sa.Double),
            sa.Column("reason", sa.Text, nullable=False),
        )
        self._holds = workflows.create_table(
            "node_holds",
            sa.Column("service", sa.Text, nullable=False),
            sa.Column("node", sa.Text, nullable=False),
            sa.Column("seconds", sa.Double, nullable=False),
            sa.Column("ended_at", sa.Double, nullable=False),
        )

    def submit(self, request: NodeRequest, ticket_id: str, now: float, wait_s: float) -> Ticket:
        """Write a ticket at the end of the line, unless it is written already; of several at once each has a number of
        its own. Returns it as it stands."""
        c = self._table.c
        last = sa.select(sa.func.coalesce(sa.func.max(c.number), 0) + 1).scalar_subquery()
        row = {
            "ticket_id": ticket_id,
            "number": last,
            "service": request.service,
            "caller": request.caller,
            "state": "waiting",
            "request": request.model_dump_json(),
            "written_at": now,
            "deadline": now + wait_s,
            "outlook": "{}",
            "reservations": "[]",
            "is_due": 0,
            "reason": "",
        }
        if self.read(ticket_id) is None:
            try:
                with self._workflows.transaction() as connection:
                    self._workflows.lock(connection, self._table)
                    connection.execute(self._table.insert().values(row))
                    inputs = [ticket_id, request.service]
                    self._workflows.enqueue(WORKFLOW, f"nodes.{ticket_id}", inputs, connection)
            except IntegrityError:
                pass  # another process was quicker
        ticket = self.read(ticket_id)
        assert ticket is not None, "it was just written"
        return ticket

    def read(self, ticket_id: str) -> Ticket | None:
        """A ticket, if there is one of that id."""
        rows = self._select(self._table.c.ticket_id == ticket_id)
        return rows[0].ticket if rows else None

    def list(self, service: str = "", prefix: str = "") -> list[Ticket]:
        """Tickets in the order of the line, of a service or of all, whose ids begin with the prefix."""
        c = self._table.c
        named = c.ticket_id.startswith(prefix, autoescape=True)
        return [entry.ticket for entry in self._select(sa.and_(named, c.service == service if service else sa.true()))]

    def list_extended(self, service: str) -> set[str]:
        """The native ids of reservations whose holder extends them for as long as they are needed."""
        c = self._table.c
        granted = self._select(sa.and_(c.service == service, c.state == "granted"))
        return {
            held.reservation_id for one in granted if one.ticket.request.extended for held in one.ticket.reservations
        }

    def active(self, service: str) -> list[Entry]:
        """The tickets of a service that need work, in the order of the line."""
        c = self._table.c
        uncollected = sa.and_(c.state == "granted", c.collected_at.is_(None))
        return self._select(sa.and_(c.service == service, sa.or_(c.state == "waiting", uncollected, c.is_due == 1)))

    def intend(self, ticket_id: str, intent: Intent) -> bool:
        """Note what is about to be reserved for a waiting ticket; returns False where it waits no longer, or something
        is being reserved for it already."""
        return self._update(ticket_id, ["waiting"], self._table.c.intent.is_(None), intent=json.dumps(intent))

    def drop_intent(self, ticket_id: str) -> None:
        """Note that nothing was reserved."""
        self._update(ticket_id, (), intent=None)

    def grant(self, ticket_id: str, held: Sequence[HeldNode], now: float) -> bool:
        """Give a waiting ticket its reservations. One that has ended has them to be given back: returns False, as for
        one that another process has granted, which stays as it is."""
        made = json.dumps(held)
        if self._update(ticket_id, ["waiting"], state="granted", granted_at=now, reservations=made, intent=None):
            return True
        self._update(ticket_id, (), self._table.c.state != "granted", reservations=made, intent=None, is_due=1)
        return False

    def note_collected(self, ticket_id: str, now: float) -> bool:
        """Note that whoever asked for a granted ticket knows of it."""
        return self._update(ticket_id, ["granted"], self._table.c.collected_at.is_(None), collected_at=now)

    def end(self, ticket_id: str, state: str, reason: str, now: float, *, give_back: bool = True) -> bool:
        """End a ticket that waits or is granted, by a workflow that gives back what was reserved for it."""
        changes = {"state": state, "reason": reason, "ended_at": now, "is_due": int(give_back)}
        c = self._table.c
        at = sa.and_(c.ticket_id == ticket_id, c.state.in_(["waiting", "granted"]))
        with self._workflows.transaction() as connection:
            if not connection.execute(self._table.update().where(at).values(changes)).rowcount:
                return False
            if give_back:
                service = connection.execute(sa.select(c.service).where(c.ticket_id == ticket_id)).scalar_one()
                self._workflows.enqueue(WORKFLOW, f"nodes.{ticket_id}.back", [ticket_id, service], connection)
            return True

    def end_uncollected(self, ticket_id: str, reason: str, now: float) -> bool:
        """End a granted ticket of which nobody came to know."""
        never = self._table.c.collected_at.is_(None)
        return self._update(ticket_id, ["granted"], never, state="ended", reason=reason, ended_at=now, is_due=1)

    def note_given_back(self, ticket_id: str) -> None:
        """Note that nothing is reserved for the ticket any more."""
        self._update(ticket_id, (), is_due=0, intent=None)

    def is_due(self, ticket_id: str) -> bool:
        """Whether something reserved for the ticket has still to be given back."""
        with self._workflows.transaction() as connection:
            query = sa.select(self._table.c.is_due).where(self._table.c.ticket_id == ticket_id)
            return bool(connection.execute(query).scalar_one_or_none())

    def note_outlook(self, ticket_id: str, outlook: dict[str, Any]) -> None:
        """Store what is told to those who wait."""
        self._update(ticket_id, ["waiting"], outlook=json.dumps(outlook))

    def add_holds(self, service: str, holds: Sequence[tuple[str, float]], now: float) -> None:
        """Store for how many seconds nodes were held."""
        rows = [{"service": service, "node": node, "seconds": s, "ended_at": now} for node, s in holds]
        with self._workflows.transaction() as connection:
            connection.execute(self._holds.insert(), rows)

    def holds(self, service: str) -> list[float]:
        """For how long nodes of a service were held, as observed and as granted, of those that ended last."""
        c, t = self._holds.c, self._table.c
        observed = sa.select(c.seconds, c.ended_at).where(c.service == service)
        ended = sa.and_(t.service == service, t.collected_at.is_not(None), t.state.in_(["ended", "cancelled"]))
        granted = sa.select((t.ended_at - t.granted_at).label("seconds"), t.ended_at).where(ended)
        both = sa.union_all(observed, granted).subquery()
        newest = sa.select(both.c.seconds).order_by(both.c.ended_at.desc()).limit(MAX_HOLDS)
        with self._workflows.transaction() as connection:
            return [float(seconds) for seconds in connection.execute(newest).scalars()]

    def tidy(self, now: float) -> None:
        """Delete what ended long ago."""
        c, before = self._table.c, now - KEPT_S
        old = sa.and_(c.is_due == 0, c.state != "waiting", sa.func.coalesce(c.ended_at, c.deadline) < before)
        granted = sa.or_(c.state != "granted", sa.and_(c.collected_at.is_not(None), c.collected_at < before))
        with self._workflows.transaction() as connection:
            connection.execute(self._table.delete().where(sa.and_(old, granted)))
            connection.execute(self._holds.delete().where(self._holds.c.ended_at < before))
        self._workflows.delete_ended(WORKFLOW, before=datetime.fromtimestamp(before, UTC))

    def _update(
        self, ticket_id: str, states: Sequence[str], where: sa.ColumnElement[bool] | None = None, **changes: Any
    ) -> bool:
        """Whether the ticket was in one of these states, any if none is given, and has been changed."""
        c = self._table.c
        at = [c.ticket_id == ticket_id, *([c.state.in_(states)] if states else [])]
        at += [] if where is None else [where]
        with self._workflows.transaction() as connection:
            return connection.execute(self._table.update().where(*at).values(changes)).rowcount > 0

    def _select(self, where: sa.ColumnElement[bool]) -> list[Entry]:
        c = self._table.c
        query = sa.select(self._table).where(where).order_by(c.number, c.written_at, c.ticket_id)
        with self._workflows.transaction() as connection:
            return [_decode(row) for row in connection.execute(query).mappings()]


def _decode(row: sa.RowMapping) -> Entry:
    intent = json.loads(row["intent"]) if row["intent"] else None
    ticket = Ticket.model_validate(
        {
            "ticket_id": row["ticket_id"],
            "request": json.loads(row["request"]),
            "state": row["state"],
            "written_at": row["written_at"],
            "deadline": row["deadline"],
            "reservations": json.loads(row["reservations"]),
            "granted_at": row["granted_at"],
            "reason": row["reason"],
            **json.loads(row["outlook"]),
            **({"reason": row["reason"]} if row["reason"] else {}),
        }
    )
    return Entry(ticket, Intent(tuple(intent[0]), intent[1]) if intent else None, bool(row["is_due"]))
