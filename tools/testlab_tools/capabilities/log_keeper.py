"""Services that keep the logs of runs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator
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
