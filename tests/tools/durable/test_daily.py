"""A leader that never rests deletes what ended long ago each day, whatever one kind of work makes of it."""

from __future__ import annotations

from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.engine import Clock, Engine

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

DAY_S = 86_400.0


class Days(Clock):
    """A steady clock that goes on by what it is given."""

    def __init__(self) -> None:
        self.passed = 0.0

    def seconds(self) -> float:
        return self.passed


class IdleWorker:
    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Never called."""

    async def aclose(self) -> None:
        """Has nothing open."""


def test_what_ended_long_ago_is_deleted_at_the_begin_and_each_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, tidied = Days(), Queue[float]()
    database = SqliteDatabase(tmp_path / "d.sqlite")
    database.poll_interval_s = 0.02
    engine = Engine(database, clock)
    engine.rests = False

    def fail() -> None:
        raise OSError("no space left")

    engine.register("broken", IdleWorker, fail)
    engine.register("idle", IdleWorker, lambda: tidied.put(clock.passed))
    engine.start()
    try:
        assert tidied.get(timeout=40) == 0
        for day in (1, 2):
            clock.passed = day * DAY_S
            assert tidied.get(timeout=20) == day * DAY_S
        assert tidied.empty(), "once a day"
    finally:
        engine.close()
    assert caplog.text.count("cannot be deleted now") == 1, "said once, though it fails each day"
