"""Services that know where units stand in production."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import Outcome


class PlanState(NamedTuple):
    """Where a unit stands in one test: how its last run ended, and how often it was started (0: not said).

    `test`, `part` and `station` are as the service has them: they may hold anything.
    """

    test: str
    outcome: Outcome
    attempts: int
    started_at: datetime | None = None
    part: str = ""
    station: str = ""


class UnitState(Service):
    """Knows where units stand, without their single runs."""

    @abstractmethod
    async def list_states(self, serial_number: str) -> list[PlanState]:
        """Return the unit's state in each test it was started in, newest first; empty when it is not known."""
