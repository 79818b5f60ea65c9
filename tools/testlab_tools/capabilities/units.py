"""Services that keep units, and what else production goes by: procedures, parts, batches, stations."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.lab import Unit
from testlab_tools.models.requests import UnitChange
from testlab_tools.models.results import Definition, DefinitionKind


class UnitRegistry(Service):
    """Keeps units, and what is built into them."""

    @abstractmethod
    async def get_unit(self, serial_number: str) -> Unit:
        """Return a unit as the service knows it. Raises NotFound when it knows none."""

    @abstractmethod
    async def update_unit(self, serial_number: str, change: UnitChange) -> Unit:
        """Change what `change` names, and nothing else; return the unit as it is then."""

    @abstractmethod
    async def list_unit_runs(self, serial_number: str) -> tuple[list[str], bool]:
        """Return the native ids of a unit's runs, and whether those are all: False when more exist than were read."""

    @abstractmethod
    async def delete_unit(self, serial_number: str) -> None:
        """Delete a unit with all its runs."""


class DefinitionPage(NamedTuple):
    """A page of definitions; `after` resumes behind it and is empty on the last. `note` says what is left out."""

    found: list[Definition]
    after: str = ""
    note: str = ""


class ProductionCatalog(Service):
    """Knows what production goes by: procedures, parts with their revisions, batches, stations."""

    @abstractmethod
    async def list_definitions(self, kind: DefinitionKind, search: str, limit: int, after: str = "") -> DefinitionPage:
        """Return up to `limit` (at most 100) whose name or number holds `search`; few come in more detail."""
