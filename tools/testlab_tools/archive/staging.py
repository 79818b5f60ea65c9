"""What writers of every store do alike: rows wait beside the tables, in a thread, until the commit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from testlab_tools.archive.schema import TABLES, Row, Table, clean_text


class StagingWriter(ABC):
    """A `HistoryWriter` but for its commit. `_before`: rows that started earlier go at the commit."""

    _before: datetime | None = None

    async def append(self, table: Table, rows: Iterable[Row]) -> None:
        await self._finish(partial(self._stage, table, rows, replaces=table == "runs"))

    async def replace(self, table: Table, rows: Iterable[Row]) -> None:
        await self._finish(partial(self._stage, table, rows, replaces=True))

    async def delete(self, run_ids: Iterable[str], tables: Sequence[Table] = TABLES) -> None:
        await self._finish(partial(self._mark_gone, [clean_text(run_id) for run_id in run_ids], tables))

    async def delete_before(self, moment: datetime) -> None:
        self._before = max(moment, self._before or moment)
        await self._finish(partial(self._delete_staged, moment.astimezone(UTC).replace(tzinfo=None)))

    @abstractmethod
    async def _finish(self, call: Callable[[], None]) -> None:
        """Run in a thread to its end. Raises LabError for what the store refuses."""

    @abstractmethod
    def _stage(self, table: Table, rows: Iterable[Row], *, replaces: bool) -> None:
        """Keep rows for the commit; `replaces`: in place of what is held of their runs."""

    @abstractmethod
    def _mark_gone(self, run_ids: list[str], tables: Sequence[Table]) -> None:
        """Have the commit remove what is held of these runs."""

    @abstractmethod
    def _delete_staged(self, limit: datetime) -> None:
        """Drop rows that wait and started before a UTC time without its zone."""
