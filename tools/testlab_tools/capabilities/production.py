"""Services that record production: runs, reports, files, units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.definitions import Definition, DefinitionKind
from testlab_tools.models import CreatedRun, Outcome, Unit
from testlab_tools.questions import NewRun, UnitChange

Importing = Callable[[], Awaitable[None]]


class RunSink(Service):
    """Takes production runs."""

    @abstractmethod
    async def create_run(self, run: NewRun) -> CreatedRun:
        """Record a finished run; the service creates the unit when it does not know it.

        An answer that was lost is looked up; a run of the same `ref` is recorded once where the service can tell.
        """

    @abstractmethod
    async def find_created(self, run: NewRun) -> CreatedRun | None:
        """The run as it was recorded before, if it was: of that serial number, procedure and start time."""

    def foresee(self, run: NewRun) -> list[str]:
        """What the service would not keep of a run, in our words, without asking it.

        Raises BadInput for a run it would refuse by its form.
        """
        return []


class AttachmentSink(Service):
    """Takes files to keep with runs."""

    most_bytes: int
    """How large a file may be."""

    @abstractmethod
    async def attach(self, run_id: str, name: str, data: bytes) -> None:
        """Keep a file with a run. Raises BadInput when it is too large."""


class ReportImporter(Service):
    """Reads report files of test frameworks by itself."""

    importers: frozenset[str]
    """Names of its importers, as the service spells them: `OPENHTF`, `WATS`, ..."""

    most_bytes: int
    """How large a report may be."""

    @abstractmethod
    async def import_file(
        self, name: str, data: bytes, importer: str, serial_number: str = "", importing: Importing | None = None
    ) -> list[str]:
        """Upload a report and have one of `importers` read it; native ids of the runs it became.

        `serial_number`, where it is known, becomes part of ids that need it. `importing` is awaited once it is
        uploaded: what fails before has imported nothing. Raises BadInput when the service cannot read the report,
        Unsupported when it has no such importer.
        """

    @abstractmethod
    async def find_imported(
        self, earlier: Sequence[str], serial_number: str, started_at: datetime | None
    ) -> list[str] | None:
        """Native ids of the runs of a report that may have been imported before, as those `earlier` or not; none when
        they are not there, or when the service itself knows a report again. None when that cannot be told.

        `serial_number` and `started_at` are those of its only run, as far as they are known.
        """


class UnitRegistry(Service):
    """Keeps units, and what is built into them."""

    @abstractmethod
    async def get_unit(self, serial_number: str) -> Unit:
        """A unit as the service knows it. Raises NotFound when it knows none."""

    @abstractmethod
    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """Change what `change` names, and nothing else; the unit as it is then."""

    @abstractmethod
    async def count_runs(self, serial_number: str) -> tuple[int, bool]:
        """How many runs a unit has, and whether that is all: False when there are more than were counted."""

    @abstractmethod
    async def delete_unit(self, serial_number: str) -> None:
        """Delete a unit with all its runs."""


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
    async def tested_duts(self, serial_number: str) -> list[PlanState]:
        """The unit's state in each test it was started in, newest first; empty when it is not known."""


class DefinitionPage(NamedTuple):
    """A page of definitions; `after` resumes behind it, and is empty on the last. `note`: what of them is not told."""

    found: list[Definition]
    after: str = ""
    note: str = ""


class ProductionCatalog(Service):
    """Knows what production goes by: procedures, parts with their revisions, batches, stations."""

    @abstractmethod
    async def list_definitions(self, kind: DefinitionKind, search: str, limit: int, after: str = "") -> DefinitionPage:
        """Up to `limit` (at most 100) whose name or number holds `search`; few of them are told in more detail."""
