"""A full disk is named as what it is, by whatever kind of work finds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from testlab_tools.campaigns.campaigns import Campaigns
from testlab_tools.durable.database import SqliteDatabase
from testlab_tools.durable.engine import Engine
from testlab_tools.errors import LabError
from testlab_tools.long_services import LaunchServices
from testlab_tools.notify.notifier import Notifier
from testlab_tools.schedules.schedules import Schedules

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import Workflows


class FullDisk(Engine):
    """Its database says that the disk is full, as SQLite does."""

    def workflows(self) -> Workflows:
        import sqlite3

        from sqlalchemy.exc import OperationalError

        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE t (a)")
            database.execute("PRAGMA max_page_count = 2")
            try:
                database.execute("INSERT INTO t VALUES (zeroblob(100000))")
            except sqlite3.OperationalError as full:
                raise OperationalError("INSERT", {}, full) from None
        raise AssertionError("it has space")


def schedules(engine: Engine) -> Awaitable[Any]:
    services = LaunchServices(engine, dict)
    return Schedules(engine, services, cast(Campaigns, None)).find("s0000000000", "local", True, ())


def messages(engine: Engine) -> Awaitable[Any]:
    return Notifier(engine, {}).list("event")


@pytest.mark.parametrize("ask", [schedules, messages])
async def test_a_full_disk_is_said_to_be_full(ask: Callable[[Engine], Awaitable[Any]], tmp_path: Path) -> None:
    with pytest.raises(LabError, match=f"The disk with the database of {ask.__name__} is full"):
        await ask(FullDisk(SqliteDatabase(tmp_path / "d.sqlite")))
