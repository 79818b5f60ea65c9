"""Brings the index up to date with the folders: what is new or has changed is read, what is gone is forgotten. One
process does it at a time, in a thread of its own; the others read what it has written."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread

from testlab_tools.adapters.folder.index import Index, IndexUnusable, Scan
from testlab_tools.adapters.folder.places import HIDDEN, FolderGone, Found, Key, Place, is_candidate, sign, walk
from testlab_tools.adapters.folder.reading import Record, Request
from testlab_tools.adapters.folder.watching import Watcher
from testlab_tools.adapters.folder.workers import read_records
from testlab_tools.files.lock import FileLock
from testlab_tools.reports.read import ALLURE_FILES

PATIENCE_S = 1.5
"""For another process that is looking: then what it has written so far is the answer."""
COMMIT_FILES = 500
COMMIT_S = 1.0
MAX_SINGLE = 1_000
"""Changed paths that are looked at one by one; beyond, all is looked through."""


class Unmounted(FolderGone):
    """A folder that is empty on another device than the one that held its reports."""


class Looker:
    """Looks at the folders when asked to; a look that has begun serves those who ask after it began no more."""

    def __init__(self, places: Sequence[Place], index: Index, rescan_s: float) -> None:
        self._places = places
        self._index = index
        self._rescan_s = rescan_s
        self._watcher = Watcher(places)
        self._lock = Lock()
        self._stop = Event()
        self._now: Future[bool] | None = None
        self._next: Future[bool] | None = None
        self._looked_at = 0.0
        self._told: set[str] = set()
        self._together: set[str] = set()
        self._watched: list[tuple[int, int]] = []

    def look(self) -> Future[bool]:
        """Have the folders looked at. The future's result is whether the index is up to date with them; it raises
        FolderGone or IndexUnusable."""
        with self._lock:
            if self._now is None:
                self._now = _begun()
                Thread(target=self._run, args=(self._now, self._stop), name="testlab-folder-look", daemon=True).start()
                return self._now
            if self._next is None:
                self._next = _begun()
            return self._next

    def tell(self, path: Path) -> None:
        """A file was written here."""
        with self._lock:
            self._told.add(str(path))

    def close(self) -> None:
        """Stop looking and watching; what was read so far is kept. Who asks again begins anew."""
        with self._lock:
            pending, stop, self._stop = self._now, self._stop, Event()
        stop.set()
        if pending is not None:
            with suppress(TimeoutError):
                pending.exception(10.0)
        self._watcher.close()

    def _run(self, asked: Future[bool] | None, stop: Event) -> None:
        while asked is not None:
            try:
                asked.set_result(self._bring_up_to_date(stop))
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                asked.set_exception(error)
            with self._lock:
                asked = self._now = self._next
                self._next = None

    def _bring_up_to_date(self, stop: Event) -> bool:
        self._index.check()
        lock = FileLock(self._index.path.with_suffix(".lock"))
        try:
            if not lock.acquire(PATIENCE_S):
                self._require_roots()
                return self._index.scan() == Scan() and bool(self._index.fact("whole"))
        except OSError as error:
            raise IndexUnusable(f"{self._index.path.parent} cannot be written ({error.strerror})") from None
        try:
            return self._look_at_changes(stop) or self._look_at_all(stop)
        finally:
            lock.release()

    def _look_at_changes(self, stop: Event) -> bool:
        """Look at what is known to have changed. False where all has to be looked through."""
        changed = self._watcher.take(self._looked_at)
        with self._lock:
            told, self._told = self._told, set()
        recent = time.monotonic() - self._looked_at < self._rescan_s
        if changed is None or not self._looked_at or not recent or len(changed) > MAX_SINGLE:
            return False
        if not self._index.fact("whole"):  # made anew meanwhile
            return False
        if self._require_roots() != self._watched:  # other folders of the same names, which nobody listens to
            self._watcher.close()
            return False
        found, gone = Found(), set[str]()
        if not all(self._look_at_path(path, found, gone) for path in changed | told):
            return False
        return self._read(found.files, gone, stop) and not self._index.has_stale()

    def _look_at_path(self, path: str, found: Found, gone: set[str]) -> bool:
        """False where more than a file has changed."""
        name = os.path.basename(path)
        if not is_candidate(name):
            return (name.startswith(".") and name not in HIDDEN) or os.path.isfile(path)
        of_many = name.endswith(ALLURE_FILES) or os.path.dirname(path) in self._together
        if of_many or os.path.islink(path) or os.path.isdir(path):
            return False
        try:
            facts = sign(os.stat(path, follow_symlinks=False))
        except FileNotFoundError:
            facts = ""
        except (OSError, ValueError):
            return False
        relatives = [place.relative(path) for place in self._places]
        for number, relative in enumerate(relatives):
            if relative and not facts:
                gone.add(str(Key(number, relative)))
            elif relative:
                found.files[str(Key(number, relative))] = facts
        return any(relative is not None for relative in relatives)

    def _look_at_all(self, stop: Event) -> bool:
        self._watched = self._require_roots()
        self._watcher.start()
        self._watcher.take(0)
        began = time.monotonic()
        found = walk(self._places, stop)
        if stop.is_set():
            return False
        known = self._index.signatures()
        self._refuse_unmounted(found, known)
        gone = known.keys() - found.files.keys() - found.passed_over.keys()
        passed = [
            _pass_over(key, state) for key, state in found.passed_over.items() if known.get(key) != f"passed {state}"
        ]
        fresh = {key: signature for key, signature in found.files.items() if known.get(key) != signature}
        if passed:
            self._index.put(passed)
        if not self._read(fresh, gone, stop):
            return False
        if self._index.has_stale():
            return self._look_at_all(stop)
        devices = " ".join(str(device_of(place.root)) for place in self._places)
        if (self._index.fact("whole"), self._index.fact("devices")) != ("1", devices):
            self._index.set_facts(whole=1, devices=devices)
        self._looked_at, self._together = began, found.together
        return True

    def _read(self, fresh: dict[str, str], gone: set[str], stop: Event) -> bool:
        """Read files, those written last first, and forget others. False where it was stopped."""
        if not fresh and not gone:
            if self._index.scan() != Scan():
                self._index.put([], scan=Scan())
            return True
        requests = [
            Request(os.path.realpath(self._places[key.place].root), key.relative, str(key), signature)
            for key, signature in sorted(_parse(fresh), key=lambda item: _written(item[1]), reverse=True)
        ]
        self._index.put([], gone, Scan(0, len(requests)))
        done, waiting, committed = 0, list[Record](), time.monotonic()
        for records in read_records(requests, stop):
            waiting += records
            if len(waiting) >= COMMIT_FILES or time.monotonic() - committed > COMMIT_S:
                done += len(waiting)
                self._index.put(waiting, scan=Scan(done, len(requests)))
                waiting, committed = [], time.monotonic()
        whole = done + len(waiting) == len(requests)
        self._index.put(waiting, scan=Scan() if whole else Scan(done + len(waiting), len(requests)))
        return whole

    def _require_roots(self) -> list[tuple[int, int]]:
        """What tells the roots from others of their names. Raises FolderGone."""
        try:
            facts = [os.stat(os.path.join(place.root, "")) for place in self._places]
        except OSError:
            gone = next((place.root for place in self._places if not os.path.isdir(place.root)), self._places[0].root)
            raise FolderGone(gone, "is not there, or is no folder") from None
        return [(root.st_dev, root.st_ino) for root in facts]

    def _refuse_unmounted(self, found: Found, known: dict[str, str]) -> None:
        """A drive that is not mounted leaves an empty folder, on another device: its reports are not gone."""
        devices = self._index.fact("devices").split()
        for number, place in enumerate(self._places):
            prefix = f"{number}/"
            held = any(key.startswith(prefix) for key in known)
            if held and not any(key.startswith(prefix) for key in found.files):
                moved = number < len(devices) and devices[number] != str(device_of(place.root))
                if moved:
                    raise Unmounted(place.root, "is empty, on another device than before: is its drive mounted?")


def device_of(path: Path) -> int:
    """The device that a folder is on."""
    return os.stat(path).st_dev


def _begun() -> Future[bool]:
    future: Future[bool] = Future()
    future.set_running_or_notify_cancel()
    return future


def _parse(fresh: dict[str, str]) -> list[tuple[Key, str]]:
    return [(Key.parse(key), signature) for key, signature in fresh.items()]


def _written(signature: str) -> int:
    return int(signature.split(".")[1])


def _pass_over(key: str, state: str) -> Record:
    return {"key": key, "signature": f"passed {state}", "format": "", "state": state, "why": "", "runs": []}
