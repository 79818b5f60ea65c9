"""Which caller took or started what: to the service, all who share its configured token are one user."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MOST = 10_000
"""Entries kept of each sort; the oldest go first, and are then judged by the service alone."""


class Held(NamedTuple):
    """A reservation: of which node, and by which caller."""

    node: str
    caller: str


class Ledger:
    """Of one service, by native ids. It lives as long as the process; what came before is the service's to say."""

    def __init__(self) -> None:
        self._reservations: OrderedDict[str, Held] = OrderedDict()
        self._jobs: OrderedDict[str, str] = OrderedDict()

    def took(self, reservation: str, node: str, caller: str) -> None:
        """Remember a reservation."""
        self._reservations[reservation] = Held(node, caller)
        if len(self._reservations) > MOST:
            self._reservations.popitem(last=False)

    def ended(self, reservation: str) -> None:
        """Forget one that holds no longer."""
        self._reservations.pop(reservation, None)

    def started(self, job: str, caller: str) -> None:
        """Remember a job."""
        self._jobs[job] = caller
        if len(self._jobs) > MOST:
            self._jobs.popitem(last=False)

    def holder(self, reservation: str) -> str:
        """Who made a reservation; empty when it was not made here."""
        held = self._reservations.get(reservation)
        return held.caller if held else ""

    def starter(self, job: str) -> str:
        """Who started a job; empty when it was not started here."""
        return self._jobs.get(job, "")

    def on(self, node: str) -> dict[str, str]:
        """The callers by the reservations they made of a node, as far as it is not known that these have ended."""
        return {made: held.caller for made, held in self._reservations.items() if held.node == node}
