"""Where reservations are written down, with the process that made each; in files that only their user can read.

A process holds a lock on a file of its own as long as it lives: the system frees it when the process dies, however.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pydantic import ConfigDict, ValidationError

from testlab_tools.capabilities import Service
from testlab_tools.files.io import replace_file
from testlab_tools.files.lock import FileLock
from testlab_tools.late_model import LateModel


class Lease(LateModel):
    """A reservation by native ids, and its caller. Only the service knows whether it still exists.

    `process` is empty for one that stays when its process ends. `until` is the end it was made with, in seconds since
    1970, UTC; None for none, or where it is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reservation: str
    node: str
    caller: str
    process: str = ""
    until: float | None = None


class LeaseStore(ABC):
    """The reservations of one config, by service. `stays`: they outlive their process."""

    def __init__(self, stays: bool) -> None:
        self.stays = stays
        self.process = uuid4().hex
        self.given_back: set[tuple[str, str]] = set()
        """Service and reservation of what was ended here without its caller."""
        self._active: set[str] = set()

    def note_activity(self, caller: str) -> None:
        """Note that a caller has called; written down by `flush`."""
        self._active.add(caller)

    def flush(self) -> None:
        """Say that this process lives, and write down who has called since the last time. Blocks."""
        active, self._active = self._active, set()
        self._write_activity(active)

    @abstractmethod
    def save(self, service: Service, lease: Lease) -> None:
        """Write down a reservation. An error is ignored: the reservation exists all the same."""

    @abstractmethod
    def delete(self, service: Service, reservation: str) -> None:
        """Delete a reservation, if it is written down."""

    @abstractmethod
    def load(self, service: Service) -> list[Lease]:
        """What is written down of a service at its present address."""

    @abstractmethod
    def is_alive(self, process: str) -> bool:
        """Whether a process lives that has written down reservations."""

    @abstractmethod
    def activity(self) -> Mapping[str, str]:
        """By caller, a text that changes whenever the caller has called, at whichever process."""

    @abstractmethod
    def _write_activity(self, callers: set[str]) -> None: ...

    def close(self) -> None:  # noqa: B027 - there may be nothing open
        """This process holds nothing any more."""


class FolderLeases(LeaseStore):
    """A folder with a file for each reservation."""

    def __init__(self, folder: Path, stays: bool = True) -> None:
        super().__init__(stays)
        self._folder = folder
        self._lock = FileLock(self._process_file(self.process))

    def save(self, service: Service, lease: Lease) -> None:
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if lease.process == self.process and not self._lock.held():
                self._lock.acquire()
            replace_file(self._path(service, lease.reservation), lease.model_dump_json(exclude_defaults=True))

    def delete(self, service: Service, reservation: str) -> None:
        with suppress(OSError):
            self._path(service, reservation).unlink(missing_ok=True)

    def load(self, service: Service) -> list[Lease]:
        found: list[Lease] = []
        for path in sorted(self._folder.glob(f"{service_key(service)}.*.json")):
            with suppress(OSError, ValidationError, UnicodeDecodeError):
                lease = Lease.model_validate_json(path.read_text(encoding="utf-8"))
                if path == self._path(service, lease.reservation):
                    found.append(lease)
        return found

    def is_alive(self, process: str) -> bool:
        if process == self.process:
            return True
        path = self._process_file(process)
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            if not lock.acquire():
                return True
        except OSError:
            return True  # it cannot be found out
        lock.release()  # Windows deletes no open file
        with suppress(OSError):
            path.unlink(missing_ok=True)  # no other process will ever have this id
        return False

    def activity(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for path in self._folder.glob("*.caller"):
            with suppress(OSError, UnicodeDecodeError):
                found[path.read_text(encoding="utf-8")] = str(path.stat().st_mtime_ns)
        return found

    def _write_activity(self, callers: set[str]) -> None:
        for caller in callers if self._folder.exists() else ():
            with suppress(OSError):
                name = hashlib.sha256(caller.encode()).hexdigest()[:16]
                replace_file(self._folder / f"{name}.caller", caller)

    def close(self) -> None:
        if self._lock.held():
            self._lock.release()
            with suppress(OSError):
                self._process_file(self.process).unlink(missing_ok=True)

    def _process_file(self, process: str) -> Path:
        return self._folder / f"{hashlib.sha256(process.encode()).hexdigest()[:32]}.process"

    def _path(self, service: Service, reservation: str) -> Path:
        return self._folder / f"{service_key(service)}.{hashlib.sha256(reservation.encode()).hexdigest()[:16]}.json"


def service_key(service: Service) -> str:
    """What a service is known by: its name, and where it is."""
    return hashlib.sha256(f"{service.name} {service.location}".encode()).hexdigest()[:16]
