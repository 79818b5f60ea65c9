"""Services that take files to keep with runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable

from testlab_tools.capabilities.artifact_keeper import KeptFile
from testlab_tools.capabilities.service import Service

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
