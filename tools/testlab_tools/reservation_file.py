"""Stores reservations that outlive the process that made them, for the next process."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from testlab_tools.capabilities import Service


class ReservationRecord(BaseModel):
    """A reservation by native ids, and its caller. Only the service knows whether it still exists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reservation: str
    node: str
    caller: str


class ReservationStore:
    """A folder with a file for each reservation, which only its user can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, service: Service, kept: ReservationRecord) -> None:
        """Store a reservation. An error is ignored: the reservation exists all the same."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._folder)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    file.write(kept.model_dump_json())
                os.replace(name, self._path(service, kept.reservation))
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise

    def delete(self, service: Service, reservation: str) -> None:
        """Delete a reservation, if it is stored."""
        with suppress(OSError):
            self._path(service, reservation).unlink(missing_ok=True)

    def load(self, service: Service) -> Iterator[ReservationRecord]:
        """The stored reservations of a service at its present address."""
        for path in sorted(self._folder.glob(f"{_service_key(service)}.*.json")):
            with suppress(OSError, ValidationError, UnicodeDecodeError):
                kept = ReservationRecord.model_validate_json(path.read_text(encoding="utf-8"))
                if path == self._path(service, kept.reservation):
                    yield kept

    def _path(self, service: Service, reservation: str) -> Path:
        return self._folder / f"{_service_key(service)}.{hashlib.sha256(reservation.encode()).hexdigest()[:16]}.json"


def _service_key(service: Service) -> str:
    return hashlib.sha256(f"{service.name} {service.location}".encode()).hexdigest()[:16]
