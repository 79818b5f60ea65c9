"""What DBOS does otherwise than it should here: it unpickles rows, and asks older SQLite versions for what they lack.

A row's own column `serialization` may say `py_pickle` (dbos/_serialization.py, `deserialize_value` and its like), so
whoever can write a row could run code. None of our rows is pickled: they are portable JSON.

DBOS 3.4 takes the time from `unixepoch('subsec')` on Python 3.12 and newer (dbos/_sys_db.py, dbos/_migration.py), which
SQLite has since 3.42 (sqlite.org, "Date And Time Functions"); Debian 12 brings 3.40, Ubuntu 22.04 3.37. A table made so
is then written to from any Python.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Any, NoReturn

from dbos import _serialization  # pyright: ignore[reportPrivateUsage]
from sqlalchemy import URL, CreateEnginePlugin, Engine, event
from sqlalchemy.dialects import plugins

from testlab_tools.durable.database import SQLITE_PLUGIN

_HAS_SUBSEC = (3, 42)


class PickleRefused(TypeError):
    """A row of the database is pickled."""


def apply_patches() -> None:
    """Patch DBOS in this process: rows are never unpickled, and connections to SQLite have `unixepoch`."""
    _serialization.DefaultSerializer.deserialize = _refuse
    plugins.register(SQLITE_PLUGIN, __name__, SqlitePlugin.__name__)


class SqlitePlugin(CreateEnginePlugin):
    """Gives the function to each connection of an engine whose URL names the plugin, whoever makes the engine."""

    def update_url(self, url: URL) -> URL:
        return url

    def engine_created(self, engine: Engine) -> None:
        event.listen(engine, "connect", _add_unixepoch)


def _refuse(cls: object, serialized_data: str) -> NoReturn:
    raise PickleRefused("a row of the deliveries' database is pickled, and was not read")


def _add_unixepoch(connection: Any, _record: object) -> None:
    if sqlite3.sqlite_version_info < _HAS_SUBSEC:
        connection.create_function("unixepoch", -1, _unixepoch, deterministic=False)


def _unixepoch(*words: object) -> float | None:
    """Seconds since 1970 with their fraction, for the one form that DBOS uses; NULL for the others."""
    return time.time() if words == ("subsec",) else None
