"""The reservations made by this process.

They are released when the server stops. Where the config says so, they are stored and stay instead, and the next
process restores them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from testlab_tools.capabilities import NodeReservations, Service
from testlab_tools.errors import LabError, NotFound
from testlab_tools.fanout import gather_all
from testlab_tools.files.io import replace_file
from testlab_tools.telemetry import RESERVATIONS

RELEASE_SECONDS = 5.0
"""For releasing reservations when the server stops. What is left over ends by its own expiry."""

logger = logging.getLogger("testlab_tools")


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
            replace_file(self._path(service, kept.reservation), kept.model_dump_json())

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


class ReservationTracker:
    """The reservations that this process has made and not ended, by service and native id. With `kept`, they are
    written down there, and stay when the process ends."""

    def __init__(self, kept: ReservationStore | None = None) -> None:
        self.kept = kept
        self._held: dict[tuple[NodeReservations, str], None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, farm: NodeReservations, reservation_id: str, node_id: str, caller: str) -> None:
        """Remember a reservation made here, by native ids."""
        RESERVATIONS.add(int((farm, reservation_id) not in self._held))
        self._held[farm, reservation_id] = None
        if self.kept is not None:
            self.kept.save(farm, ReservationRecord(reservation=reservation_id, node=node_id, caller=caller))

    def remove(self, farm: NodeReservations, reservation_id: str) -> None:
        """Forget a reservation that has ended."""
        if (farm, reservation_id) in self._held:
            del self._held[farm, reservation_id]
            RESERVATIONS.add(-1)
        if self.kept is not None:
            self.kept.delete(farm, reservation_id)

    def absorb(self, other: ReservationTracker) -> None:
        """Take all reservations of another tracker."""
        self._held.update(other._held)
        other._held.clear()

    async def restore(self, services: Iterable[Service]) -> dict[str, list[ReservationRecord]]:
        """Reservations that earlier processes have kept, by service. Those that the service no longer shows as its
        user's on that node are forgotten.

        Raises LabError where a service does not say.
        """
        found: dict[str, list[ReservationRecord]] = {}
        for farm in services:
            if self.kept is None or not isinstance(farm, NodeReservations):
                continue
            for claim in self.kept.load(farm):
                if await _holds(farm, claim):
                    found.setdefault(farm.name, []).append(claim)
                else:
                    self.remove(farm, claim.reservation)
        return found

    async def release(self) -> None:
        """End all that are left, at once, even while the server is being cancelled."""
        if self.kept is not None:
            return
        # The SDK cancels by anyio's scopes, again at every await: only a scope of anyio's shields from that.
        with anyio.move_on_after(RELEASE_SECONDS, shield=True):
            await gather_all(*(self._end(farm, reservation_id) for farm, reservation_id in list(self._held)))

    async def _end(self, farm: NodeReservations, reservation_id: str) -> None:
        try:
            await farm.give_back(reservation_id)
        except LabError as error:
            logger.warning("Reservation %s could not be released: %s", farm.handle(reservation_id), error)
        else:
            self.remove(farm, reservation_id)


async def _holds(farm: NodeReservations, claim: ReservationRecord) -> bool:
    try:
        held = await farm.get_reservation(claim.reservation)
    except NotFound:
        return False
    return held.yours and held.node_id == farm.handle(claim.node)
