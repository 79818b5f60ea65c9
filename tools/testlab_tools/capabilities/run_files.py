"""Services that keep what runs leave: logs, files that they made, and files given to keep with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

from testlab_tools.capabilities.service import Service


class Download(NamedTuple):
    """A file as it arrives, to be read once, within the context that gave it.

    `says_its_end` is True where an end that is missing would be noticed. Otherwise the file ends with its connection,
    and may have been cut.
    """

    chunks: AsyncIterator[bytes]
    says_its_end: bool = True


class LogKeeper(Service):
    """Keeps the logs of runs."""

    @abstractmethod
    def open_log(self, run_id: str, tz: str) -> AbstractAsyncContextManager[Download]:
        """Open a run's log, UTF-8 lines; `tz` is the Olson name of the zone for its timestamps."""


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


Keeping = Callable[[], Awaitable[None]]


class AttachmentSink(Service):
    """Takes files to keep with runs."""

    max_bytes: int
    """How large a file may be."""

    @abstractmethod
    async def attach(self, run_id: str, name: str, data: bytes, keeping: Keeping | None = None) -> None:
        """Keep a file with a run.

        The adapter awaits `keeping` before the request that can put the file there: what fails earlier has not.
        Raises BadInput when the file is too large.
        """

    async def list_attached(self, run_id: str) -> list[KeptFile] | None:
        """Return the files that are with a run; None where the service does not say."""
        return None
