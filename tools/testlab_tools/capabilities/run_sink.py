"""Services that record production runs."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import CreatedRun, StoredRun
from testlab_tools.models.requests import NewRun


class Foreseen(NamedTuple):
    """What a service would answer to a run, in our words: why it would be `refused`, and what could not be asked."""

    refused: list[str]
    unchecked: list[str]


class RunSink(Service):
    """Takes production runs. `keeps_reasons`: it keeps why each phase did not pass, with the traceback.
    `keeps_reports`: a run of a report keeps its `ref`, and its log as a file."""

    keeps_reasons: bool = False
    keeps_reports: bool = False

    @abstractmethod
    async def create_run(self, run: NewRun) -> CreatedRun:
        """Record a finished run; the service creates the unit when it does not know it.

        The adapter looks up a run whose answer was lost; a run of the same `ref` is recorded once where the service can
        tell.
        """

    @abstractmethod
    async def find_created(self, run: NewRun) -> CreatedRun | None:
        """Return the run as it was recorded before, if it was: of that serial number, procedure and start time."""

    async def read_stored(self, run_id: str) -> StoredRun | None:
        """Return what the service has of a run that was just recorded; None where it does not say."""
        return None

    def foresee_losses(self, run: NewRun) -> list[str]:
        """Return what the service would not keep of a run, in our words, without asking it.

        Raises BadInput for a run it would refuse by its form.
        """
        return []

    async def check_run(self, run: NewRun) -> Foreseen:
        """Return what the service would refuse of a run, as far as it can be asked without recording it."""
        return Foreseen([], ["whether it would take the run"])
