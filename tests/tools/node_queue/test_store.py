"""Tickets where two processes take themselves for the one that serves the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.workflows import Workflows
from testlab_tools.node_queue.store import WORKFLOW, Intent, TicketStore
from testlab_tools.node_queue.tickets import HeldNode, NodeRequest, Ticket


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TicketStore]:
    workflows = Workflows(SqliteDatabase(tmp_path / "d.sqlite"), [WORKFLOW])
    made = TicketStore(workflows)
    request = NodeRequest(service="portal", node_ids=("a", "b"), count=1, message="m", duration_s=60, caller="local")
    made.submit(request, "ticket-1", 0.0, 1800)
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
