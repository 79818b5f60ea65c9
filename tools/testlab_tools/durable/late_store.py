"""A store on the engine's database that is opened at its first use, which imports DBOS and SQLAlchemy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from testlab_tools.durable.engine import Engine
from testlab_tools.durable.threads import run_in_thread
from testlab_tools.errors import LabError

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows

S = TypeVar("S")


class LateStore(Generic[S]):
    """Opens a store once, and asks it in threads."""

    def __init__(
        self, engine: Engine, open_store: Callable[[Workflows], S], failure: Callable[[Exception], LabError]
    ) -> None:
        """`failure` makes the error of a call from what the database raised."""
        self._engine = engine
        self._open_store = open_store
        self._failure = failure
        self._opening = threading.Lock()
        self._store: S | None = None

    @property
    def is_open(self) -> bool:
        """Whether this process has used it."""
        return self._store is not None

    def open(self) -> S:
        """The store. Blocks; raises what SQLAlchemy raises."""
        if (store := self._store) is not None:
            return store
        workflows = self._engine.workflows()
        with self._opening:
            if self._store is None:
                self._store = self._open_store(workflows)
            return self._store

    def forget(self) -> None:
        """Open it anew at its next use."""
        self._store = None

    async def ask(self, question: Callable[[S], Any]) -> Any:
        """Ask the store, in a thread. Raises LabError when the database does not answer."""
        try:
            return await run_in_thread(lambda: question(self.open()))
        except LabError:
            raise
        except Exception as error:  # noqa: BLE001 - SQLAlchemy's, whose classes cannot be named without importing it
            raise self._failure(error) from None


def database_error(of: str, next_step: str) -> Callable[[Exception], LabError]:
    """Make a store's `failure`: the database `of` what is stored is full, or does not answer."""

    def failure(error: Exception) -> LabError:
        if disk_is_full(error):
            return LabError(f"The disk with the database of {of} is full", "", "Make space there, then call again.")
        return LabError(f"The database of {of} does not answer", type(error).__name__, next_step)

    return failure


def next_number(ids: Iterable[str], now: float) -> int:
    """The number at the end of a new id, `prefix.number`: one more than the last of those that are stored, else the
    minute, which no deleted one had. Two who ask at once are given the same."""
    return max((int(one.rpartition(".")[2]) + 1 for one in ids), default=int(now // 60))


def disk_is_full(error: Exception) -> bool:
    """Whether SQLite or PostgreSQL (53100, disk_full) says so."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(cause, "sqlstate", "") == "53100"
