"""Services that read the report files of test frameworks by themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from testlab_tools.capabilities.service import Service

Importing = Callable[[], Awaitable[None]]


class ReportImporter(Service):
    """Reads report files of test frameworks by itself."""

    importers: frozenset[str]
    """Names of its importers, as the service spells them: `OPENHTF`, `WATS`, ..."""

    max_bytes: int
    """How large a report may be."""

    @abstractmethod
    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """Upload a report, have one of `importers` read it, and return the native ids of the runs it became.

        `serial_number`, where it is known, becomes part of ids that need it. The adapter awaits `importing` once the
        report is uploaded: what fails before has imported nothing.

        Raises:
            BadInput: the service cannot read the report.
            Unsupported: it has no such importer.
        """

    @abstractmethod
    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """Return the native ids of the runs of a report that may have been imported before, as those `earlier` or not.

        Empty when they are not there, or when the service itself recognises a report that comes again; None when that
        cannot be told. `serial_number` and `started_at` are those of its only run, as far as they are known.
        """
