"""Tickets where two processes write at once, or take themselves for the one that serves the line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from testlab_tools.durable.database import SqliteDatabase, open_database
from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.store import Intent, TicketStore
from testlab_tools.node_queue.tickets import HeldNode, NodeRequest, Ticket
from tests.postgresql import fresh_database

REQUEST = NodeRequest(service="portal", node_ids=("a", "b"), count=1, message="m", duration_s=60, caller="local")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TicketStore]:
    workflows = Workflows(SqliteDatabase(tmp_path / "d.sqlite"))
    made = TicketStore(workflows)
    made.submit(REQUEST, "ticket-1", 0.0, 1800)
    yield made
    workflows.close()


def read(store: TicketStore) -> Ticket:
    ticket = store.read("ticket-1")
    assert ticket is not None
    return ticket


def test_only_one_of_two_begins_to_reserve_for_a_ticket(store: TicketStore) -> None:
    assert store.intend("ticket-1", Intent(("a",), 1.0))
    assert not store.intend("ticket-1", Intent(("b",), 2.0))
    (entry,) = store.active("portal")
    assert entry.intent == Intent(("a",), 1.0)


def test_who_comes_late_takes_nothing_from_a_ticket_that_is_granted(store: TicketStore) -> None:
    first, late = HeldNode("1", "a", None), HeldNode("2", "b", None)
    assert store.grant("ticket-1", [first], 3.0)
    assert not store.grant("ticket-1", [late], 4.0)
    assert (read(store).state, read(store).reservations, store.is_due("ticket-1")) == ("granted", [first], False)


def test_what_was_reserved_for_a_ticket_that_has_ended_is_given_back(store: TicketStore) -> None:
    store.end("ticket-1", "cancelled", "", 2.0, give_back=False)
    held = HeldNode("1", "a", None)
    assert not store.grant("ticket-1", [held], 3.0)
    assert (read(store).reservations, store.is_due("ticket-1")) == ([held], True)


@pytest.mark.parametrize("isolation", [None, "READ COMMITTED", "REPEATABLE READ"])
def test_two_replicas_that_submit_at_once_stand_in_the_order_of_their_writing_not_of_their_clocks(
    isolation: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        place = tmp_path / "d.sqlite" if isolation is None else stack.enter_context(fresh_database())
        if isolation:
            isolate(str(place), isolation)
        one, other = (stack.enter_context(closing(Workflows(open_database(place)))) for _ in range(2))
        first, second = TicketStore(one), TicketStore(other)
        late = Thread(target=second.submit, args=(REQUEST, "ticket-b", 100.0, 60))
        enqueue = one.enqueue

        def while_another_submits(*arguments: Any) -> None:
            late.start()
            late.join(1)  # it waits for this transaction to end
            enqueue(*arguments)

        monkeypatch.setattr(one, "enqueue", while_another_submits)
        first.submit(REQUEST, "ticket-a", 200.0, 60)
        late.join(30)
        assert [ticket.ticket_id for ticket in second.list()] == ["ticket-a", "ticket-b"]


def isolate(url: str, level: str) -> None:
    """Have transactions see what there was at their first query, as a database may be set to."""
    with psycopg.connect(url, autocommit=True) as session:
        name = Identifier(session.info.dbname)
        session.execute(SQL("ALTER DATABASE {} SET default_transaction_isolation = {}").format(name, Literal(level)))
