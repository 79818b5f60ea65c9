"""Whoever writes a pickled row into the deliveries' database runs no code by it, and stops nobody's delivery."""

from __future__ import annotations

import base64
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window

VALUES = {"inputs", "output", "error", "value", "message"}
"""The columns that DBOS keeps values in (dbos/_schemas/system_database.py)."""


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (str(self.made), "w")


def poison(database: Path, trap: Trap) -> set[str]:
    """Put the trap into all that DBOS would unpickle, of every row that there is; the names of the columns."""
    pickled = base64.b64encode(pickle.dumps(trap)).decode()
    poisoned: set[str] = set()
    with sqlite3.connect(database) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column in sorted(columns & VALUES) if columns & {"serialization", "inputs"} else ():
                if connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} NOT NULL", (pickled,)).rowcount:
                    poisoned.add(column)
            if "serialization" in columns:
                connection.execute(f"UPDATE {table} SET serialization = 'py_pickle'")
    connection.close()
    return poisoned


def test_a_pickled_row_is_not_unpickled_and_others_are_delivered(
    open_window: Callable[[str], Window],
    plant: Plant,
    durable: str,
    folder: Path,
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    made = tmp_path / "made"
    plant.trouble(service="tofupilot", method="POST", action="status", status=503)
    first = open_window(plant.config(durable, answer_within=1))
    assert first.call("create_run", **plant.run("SN-POISONED"))["queued"]
    first.close()
    plant.calm()
    database = next(path for path in tmp_path.rglob("*.sqlite") if path.stat().st_size)
    assert {"inputs", "value"} <= poison(database, Trap(made))

    second = open_window(plant.config(durable))
    second.answer(second.ask("list_deliveries"))
    second.call("create_run", **plant.run("SN-OTHER"))
    until(lambda: plant.runs("SN-OTHER"))
    second.answer(second.ask("list_deliveries"))
    assert not made.exists()
