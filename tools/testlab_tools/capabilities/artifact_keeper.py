"""Services that keep the files that runs made."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from testlab_tools.capabilities.log_keeper import Download
from testlab_tools.capabilities.service import Service


class KeptFile(NamedTuple):
    """A file that a run kept. `name` is as the service has it and may hold anything; `size` is in bytes."""

    name: str
    size: int | None = None


class ArtifactKeeper(Service):
    """Keeps files that runs made."""

    @abstractmethod
    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        """Return the files a run kept, by name."""

    @abstractmethod
    def open_artifact(self, run_id: str, name: str) -> AbstractAsyncContextManager[Download]:
        """Open one of these files, named as `list_artifacts` does."""
