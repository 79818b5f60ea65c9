"""The table of tasks among processes whose clocks differ, and whose tasks nobody asks for again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testlab_mcp.protocol.tasks.record import DEAD_S, TaskRecord
from testlab_mcp.protocol.tasks.store import TaskStore
from testlab_tools.durable.database import open_database
from testlab_tools.durable.workflows import Workflows


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[TaskStore]:
    place = open_database(database or tmp_path / "work.sqlite")
    place.prepare()
    workflows = Workflows(place)
    yield TaskStore(workflows)
    workflows.close()


def task(name: str, now: float) -> TaskRecord:
    """A task as a process makes it whose clock shows `now`."""
    return TaskRecord(
        task_id=name,
        caller="alice",
        tool="triage",
        arguments={},
        created_at=now,
        updated_at=now,
        expires_at=now + 100,
        runner="one",
        beat_at=now,
    )


def silence(store: TaskStore, name: str) -> float:
    found = store.read(name)
    assert found is not None
    return abs(found.read_at - found.beat_at)


def test_a_process_whose_clock_is_wrong_is_seen_to_live(store: TaskStore) -> None:
    assert store.create(task("a", 5000.0), 10)
    assert silence(store, "a") < DEAD_S
    assert store.beat("one", {"a": "half"}) == []
    assert silence(store, "a") < DEAD_S
    found = store.read("a")
    assert found
    assert store.take(found, "two")
    assert silence(store, "a") < DEAD_S


def test_what_dead_processes_left_does_not_fill_the_bound_of_a_caller(store: TaskStore) -> None:
    assert store.create(task("a", 5000.0), 1)
    assert not store.create(task("b", 5000.0), 1)
    store.release("one")
    assert store.create(task("b", 5000.0), 1)
