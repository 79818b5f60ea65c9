"""A file lock excludes others until it is released or its holder dies, and leaves the file as it is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from testlab_tools.files.lock import FileLock

HOLDER = """
import sys
from pathlib import Path
from testlab_tools.files.lock import FileLock
assert FileLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "x.lock"


def test_a_lock_that_is_held_is_refused_at_once_or_after_a_time_and_given_once_released(path: Path) -> None:
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert not second.acquire()
    begun = time.monotonic()
    assert not second.acquire(timeout_s=0.1)
    assert time.monotonic() - begun >= 0.1
    assert (first.held(), second.held()) == (True, False)
    first.release()
    first.release()
    assert second.acquire()
    second.release()


def test_the_lock_of_a_process_that_is_killed_is_free(path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        lock = FileLock(path)
        assert not lock.acquire()
        holder.kill()
        assert lock.acquire(timeout_s=10)
    lock.release()


def test_what_is_in_the_file_is_read_while_it_is_locked_and_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("whose it is", encoding="utf-8")
    lock = FileLock(path)
    assert lock.acquire()
    assert path.read_text(encoding="utf-8") == "whose it is"
    lock.release()
    assert path.read_text(encoding="utf-8") == "whose it is"


def test_a_file_that_cannot_be_opened_is_an_error_and_not_a_lock_that_is_held(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        FileLock(path).acquire()
