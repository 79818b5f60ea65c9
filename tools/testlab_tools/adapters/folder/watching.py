"""Hears from the system which files change, where it can tell: on file systems of this machine, with `watchfiles`
installed. Elsewhere the folders are looked through at each question."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock, Thread

from testlab_tools.adapters.folder.places import Place

_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "overlay", "bcachefs", "jfs"})
"""Of Linux: where inotify tells of every change, as no other machine can make one."""
MAX_CHANGES = 10_000
"""Beyond, all is looked through."""
_STEP_MS = 200
_TIMEOUT_MS = 1_000


class Watcher:
    """Collects the paths that change below some folders from when it runs."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._roots = sorted({os.path.realpath(place.root) for place in places})
        self._changed: set[str] = set()
        self._lost = False
        self._lock = Lock()
        self._stop = Event()
        self._heard_since: float | None = None
        self._thread: Thread | None = None
        self._possible: bool | None = None

    def start(self) -> None:
        """Begin to watch, where that is possible; it takes a moment until changes are heard of."""
        if self._possible is None:
            self._possible = all(map(_is_local, self._roots)) and _is_installed()
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
        if self._thread is None and self._possible:
            self._stop = Event()
            self._thread = Thread(target=self._watch, name="testlab-folder-watch", daemon=True)
            self._thread.start()

    def take(self, since: float) -> set[str] | None:
        """The paths that changed since the last time; None where not all since a moment (of the monotonic clock) are
        known."""
        with self._lock:
            changed, self._changed = self._changed, set()
            lost, self._lost = self._lost, False
            heard = self._heard_since is not None and self._heard_since < since
        return changed if heard and not lost else None

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def _watch(self) -> None:
        from watchfiles import watch

        try:
            changes = watch(
                *self._roots,
                watch_filter=None,
                debounce=2 * _STEP_MS,
                step=_STEP_MS,
                stop_event=self._stop,
                rust_timeout=_TIMEOUT_MS,
                yield_on_timeout=True,
                raise_interrupt=False,
                force_polling=False,
            )
            for some in changes:
                paths = {path for _, path in some}
                self._note(paths)
                if paths & set(self._roots):  # a root has gone: nobody would listen to another of its name
                    return
        except (OSError, RuntimeError):  # too many folders for the system to watch
            self._possible = False
        finally:
            with self._lock:
                self._heard_since = None

    def _note(self, paths: set[str]) -> None:
        with self._lock:
            self._heard_since = self._heard_since or time.monotonic()
            self._changed |= paths
            if len(self._changed) > MAX_CHANGES:
                self._changed, self._lost = set(), True


def _is_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("watchfiles") is not None


def _is_local(root: str) -> bool:
    """Whether a folder is on this machine's own disk, so that no other machine changes what is in it."""
    if sys.platform == "win32":
        from ctypes import windll

        return not root.startswith("\\\\") and windll.kernel32.GetDriveTypeW(f"{os.path.splitdrive(root)[0]}\\") == 3
    if sys.platform == "darwin":
        return not root.startswith(("/Volumes/", "/Network/", "/net/"))
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    best, kind = "", ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape", "replace")
        if (root == point or root.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    return kind in _LOCAL
