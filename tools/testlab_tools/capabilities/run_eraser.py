"""Services that delete runs."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import Run


class RunContents(NamedTuple):
    """A run and what goes with it when it is deleted; `attachments` is None where the service does not say."""

    run: Run
    phases: int
    measurements: int
    attachments: int | None = None


class RunEraser(Service):
    """Deletes runs, for good."""

    @abstractmethod
    async def get_run_contents(self, run_id: str) -> RunContents:
        """Return what deleting the run would take with it, as it stands now."""

    @abstractmethod
    async def delete_run(self, run_id: str) -> None:
        """Delete a run with its phases, measurements and attachments."""
