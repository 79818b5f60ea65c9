"""A disk that is full for a while: what was given before arrives once there is space, without a restart."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from testlab_tools.durable.database import SqliteDatabase

if sys.platform != "linux":
    pytest.skip("needs prlimit, to have a process without space", allow_module_level=True)

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window


@pytest.fixture
def space() -> Callable[..., None]:
    """Let a server write to files, or have every such write fail as on a full disk (EFBIG in place of ENOSPC)."""

    def given(window: Any, there: bool) -> None:
        _, hard = resource.prlimit(window.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(window.pid, resource.RLIMIT_FSIZE, (hard if there else 0, hard))

    return given


class SmallDisk:
    """A file system of a few megabytes, and a file that takes up what is left of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Write until the system refuses it."""
        with self._ballast.open("ab", buffering=0) as file, pytest.raises(OSError) as refusal:  # noqa: PT011
            file.writelines(repeat(bytes(65536)))
        assert refusal.value.errno == errno.ENOSPC

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def overdue(window: Any) -> timedelta:
    """For how long the delivery that has waited longest should have been tried again."""
    waiting = (one for one in window.call("list_deliveries")["deliveries"] if one["state"] == "queued")
    now = datetime.now(UTC)
    return now - min((datetime.fromisoformat(one["next_try_at"]) for one in waiting), default=now)


def test_what_was_being_sent_when_the_disk_was_full_arrives_once_there_is_space(
    plant: Plant,
    open_window: Callable[[str], Window],
    sqlite: str,
    until: Callable[..., Any],
    space: Callable[..., None],
) -> None:
    window = open_window(plant.config(sqlite))
    window.call("create_run", **plant.run("SN-1"))
    window.close()
    window = open_window(plant.config(sqlite, answer_within=5))
    plant.trouble(action="status", status=503)
    assert window.call("create_run", **plant.run("SN-2"))["queued"]
    space(window, there=False)
    refused = window.answer(window.ask("create_run", **plant.run("SN-3")))
    assert refused["result"]["isError"]
    until(lambda: overdue(window) > timedelta(seconds=2))  # it was tried again, and that could not be written down
    plant.calm()
    space(window, there=True)
    until(lambda: plant.serials() == ["SN-1", "SN-2"])
    window.call("create_run", **plant.run("SN-3"))
    assert plant.serials() == ["SN-1", "SN-2", "SN-3"]
    until(lambda: window.call("list_deliveries")["waiting"] == 0)


def test_what_was_given_before_a_small_disk_was_full_arrives_once_there_is_space(
    plant: Plant, open_window: Callable[[str], Window], small_disk: SmallDisk, until: Callable[..., Any]
) -> None:
    window = open_window(plant.config(f"path = '{small_disk.folder / 'deliveries.sqlite'}'", answer_within=5))
    plant.trouble(action="status", status=503)
    given: list[str] = []
    refused = None
    while refused is None:  # SQLite may write into space that its files have already
        serial = f"SN-{len(given) + 1}"
        if given:
            small_disk.fill()
        answer = window.answer(window.ask("create_run", **plant.run(serial)))["result"]
        if answer["isError"]:
            refused = answer["content"][0]["text"]
        else:
            assert answer["structuredContent"]["queued"]
            given.append(serial)
        assert len(given) < 20
    assert "The disk with the database of deliveries is full, and nothing was sent" in refused
    assert "Make space there" in refused
    until(lambda: overdue(window) > timedelta(seconds=2))  # it was tried, and that could not be written down
    plant.calm()
    small_disk.clear()
    until(lambda: plant.serials() == sorted(given))
    window.call("create_run", **plant.run(serial))
    until(lambda: window.call("list_deliveries")["waiting"] == 0)
    assert plant.serials() == sorted([*given, serial])


def test_the_leader_lock_is_taken_on_a_full_disk_and_given_back_too(tmp_path: Path) -> None:
    path = tmp_path / "deliveries.sqlite"
    first, second = SqliteDatabase(path).leader_lock(), SqliteDatabase(path).leader_lock()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        taken = first.acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert taken
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
