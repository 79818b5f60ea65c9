"""Services that know procedures, parts, batches and stations."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from testlab_tools.capabilities.service import Service
from testlab_tools.models.production import Definition, DefinitionKind


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
