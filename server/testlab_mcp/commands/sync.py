"""`testlab-mcp sync`: reads what services have that the archive has not, and shows what is held."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from testlab_mcp.commands.console import paint, table
from testlab_mcp.config.loading import find_config, load_config
from testlab_mcp.logs import set_up_logging
from testlab_tools.archive.archive import SILENT, HistoryArchive, ServiceHistory, key_of
from testlab_tools.archive.schema import TABLES
from testlab_tools.capabilities import HistoryFeed, RunArchive, Service
from testlab_tools.errors import ConfigError, LabError
from testlab_tools.times import iso

if TYPE_CHECKING:
    pass

LINE_SECONDS = 5.0
"""How often progress is a line of its own where standard error is no terminal."""
OWN_TOKENS = "each caller brings its own token: it is read as they ask"


class Held(NamedTuple):
    """What is held of one service, as the table shows it, and what is wrong."""

    service: str
    runs: str = "-"
    failures: str = "-"
    measurements: str = "-"
    since: str = "-"
    read_at: str = "-"
    size: str = "-"
    remedy: str = ""
    note: str = ""


def sync(service: str, config_file: str, measurements: bool, full: bool) -> int:
    """Read, print a table, and return 0 when all was read, else 1. Raises ConfigError for a wrong config."""
    set_up_logging()
    path = find_config(config_file)
    config = load_config(path)
    lab = config.lab()
    if lab.archive is None:
        raise ConfigError("history is not kept", "[archive] enabled is false", "Take the line out of the config.")
    asked = [one for one in lab.offering(RunArchive, service) if one.name not in config.callers_own]
    rows = asyncio.run(_sync_all(lab.archive, asked, measurements, full))
    rows += [Held(name, note=OWN_TOKENS) for name in config.callers_own if service in ("", name)]
    print(table(("service", "runs", "failures", "measurements", "since", "read at", "size"), [row[:7] for row in rows]))
    for row in rows:
        for words, style in ((row.remedy, "fail"), (row.note, "dim")):
            if words:
                print(f"\n{paint(row.service, 'bold')}: {paint(words, style)}")
    return 1 if any(row.remedy for row in rows) else 0


async def _sync_all(archive: HistoryArchive, services: Sequence[Service], measurements: bool, full: bool) -> list[Held]:
    """One service after the other, so that each is asked no more than calls may ask it."""
    from testlab_tools.archive.reading import Scope

    rows: list[Held] = []
    try:
        for service in services:
            if not isinstance(service, HistoryFeed):
                rows.append(Held(service.name, note=SILENT))
                continue
            meter = Meter(service.name)
            try:
                history = await archive.refresh(service, Scope(recheck=True, full=full), None, meter.tell)
                if measurements and service.has_measurements and not history.error:
                    scope = Scope(measured=[(test, "") for test in await _list_tests(archive, service)])
                    history = await archive.refresh(service, scope, None, meter.tell)
                rows.append(await _held(archive, service, history))
            except LabError as error:
                rows.append(Held(service.name, remedy=str(error)))
            finally:
                meter.end()
    finally:
        for service in services:
            await service.aclose()
        await archive.aclose()
    return rows


async def _list_tests(archive: HistoryArchive, feed: HistoryFeed) -> list[str]:
    view = archive.store.view([await key_of(feed)])
    return [test for (test,) in await view.rows("SELECT DISTINCT test FROM runs ORDER BY test")]


async def _held(archive: HistoryArchive, feed: HistoryFeed, history: ServiceHistory) -> Held:
    state, _ = await archive.read_state(feed)
    runs, failures, measurements = (f"{state.rows[table]:,}" for table in TABLES)
    return Held(
        service=feed.name,
        runs=runs,
        failures=failures,
        measurements=measurements,
        since=iso(history.held_since) if history.held_since else "-",
        read_at=iso(history.fresh_at) if history.fresh_at else "-",
        size=f"{state.size_bytes / 1e6:,.1f} MB" if state.size_bytes else "-",
        remedy=history.error,
        note=history.note,
    )


class Meter:
    """How far reading is, on standard error: a line that changes, or one now and then where that is no terminal."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._last = time.monotonic()
        self._open = False

    async def tell(self, read: int, back_to: datetime | None) -> None:
        """Say how many rows were read, and how far back."""
        line = f"{self._service}: {read:,} read" + (f", back to {iso(back_to)}" if back_to and back_to.year > 1 else "")
        if sys.stderr.isatty():
            print(f"\r  {line}\x1b[K", end="", file=sys.stderr, flush=True)
            self._open = True
        elif time.monotonic() - self._last >= LINE_SECONDS:
            print(line, file=sys.stderr, flush=True)
            self._last = time.monotonic()

    def end(self) -> None:
        """Leave the line as it is."""
        if self._open:
            print(file=sys.stderr)
