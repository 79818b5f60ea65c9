"""Services that keep what runs left behind: logs and files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from testlab_tools.capabilities.service import Service


class KeptFile(NamedTuple):
    """A file that a run kept, with its name as the service has it: it may hold anything. `size` is in bytes."""

    name: str
    size: int | None = None


class Download(NamedTuple):
    """A file as it comes, to be read once, within the context that gave it."""

    chunks: AsyncIterator[bytes]


class LogKeeper(Service):
    """Keeps the logs of runs."""

    @abstractmethod
    def open_log(self, run_id: str, tz: str) -> AbstractAsyncContextManager[Download]:
        """A run's log, UTF-8 lines; `tz` is the Olson name of the zone for its timestamps."""


class ArtifactKeeper(Service):
    """Keeps files that runs made."""

    @abstractmethod
    async def list_artifacts(self, run_id: str) -> list[KeptFile]:
        """The files a run kept, by name."""

    @abstractmethod
    def open_artifact(self, run_id: str, name: str) -> AbstractAsyncContextManager[Download]:
        """One of these files, named as `list_artifacts` does."""
