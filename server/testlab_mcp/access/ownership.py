"""Which caller made which reservation and started which job: to a service, callers who share its token are one user."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MAX_ENTRIES = 10_000
"""Of each sort. The oldest is forgotten first; the service's account of it decides from then on."""


class OwnedReservation(NamedTuple):
    """A reservation of a node, made by a caller."""

    node: str
    caller: str


class OwnershipRegistry:
    """What callers own in one service, by native ids. It lives as long as the process."""

    def __init__(self) -> None:
        self._reservations: OrderedDict[str, OwnedReservation] = OrderedDict()
        self._jobs: OrderedDict[str, str] = OrderedDict()

    def add_reservation(self, reservation: str, node: str, caller: str) -> None:
        """Remember who made a reservation."""
        self._reservations[reservation] = OwnedReservation(node, caller)
        if len(self._reservations) > MAX_ENTRIES:
            self._reservations.popitem(last=False)

    def remove_reservation(self, reservation: str) -> None:
        """Forget a reservation that has ended."""
        self._reservations.pop(reservation, None)

    def add_job(self, job: str, caller: str) -> None:
        """Remember who started a job."""
        self._jobs[job] = caller
        if len(self._jobs) > MAX_ENTRIES:
            self._jobs.popitem(last=False)

    def reservation_owner(self, reservation: str) -> str:
        """The caller who made a reservation; empty when it was not made here."""
        owned = self._reservations.get(reservation)
        return owned.caller if owned else ""

    def job_owner(self, job: str) -> str:
        """The caller who started a job; empty when it was not started here."""
        return self._jobs.get(job, "")

    def reservations_of(self, node: str) -> dict[str, str]:
        """Callers by reservation of a node. Some reservations may have ended without notice."""
        return {made: owned.caller for made, owned in self._reservations.items() if owned.node == node}
