"""The engine runs work of several kinds, which outlives the process; `two_kinds.py` is that process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.workflows import Workflows

PROGRAM = Path(__file__).with_name("two_kinds.py")
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begun(*words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(PROGRAM), str(tmp_path), *words]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE))
        return started[-1]

    yield begun
    for process in started:
        process.kill()
        process.communicate()


def notes(folder: Path) -> list[str]:
    path = folder / "notes"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_two_kinds_of_work_go_on_where_they_were_after_their_process_was_killed(tmp_path: Path, start: Start) -> None:
    (tmp_path / "down").touch()
    first = start("begin")
    wait_until(lambda: notes(tmp_path) == ["counted 1"])
    workflows = Workflows(SqliteDatabase(tmp_path / "deliveries.sqlite"))
    wait_until(lambda: workflows.read_event("one", "counted") == 1 and bool(workflows.list("deliver", "waiting")))
    first.kill()
    (tmp_path / "down").unlink()
    (tmp_path / "go").touch()

    second = start()
    wait_until(lambda: bool(workflows.list("count", "succeeded") and workflows.list("deliver", "succeeded")))
    assert sorted(notes(tmp_path)) == ["counted 1", "counted 2", "counted 3", "sent SN-1"]
    assert workflows.read_event("one", "counted") == 3
    assert [row.output for row in workflows.read(["one"])] == [3]
    workflows.close()

    second.communicate(timeout=20)
    assert notes(tmp_path)[-1] == "closed"
