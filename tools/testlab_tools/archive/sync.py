"""Brings a history up to date, as far as its time goes, by one process at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from testlab_tools.archive.measuring import read_measurements
from testlab_tools.archive.reading import OutOfTime, Reading, Scope, Tell
from testlab_tools.archive.store import HistoryDamaged, HistoryStore
from testlab_tools.archive.sync_state import SyncState
from testlab_tools.capabilities import HistoryFeed
from testlab_tools.errors import LabError
from testlab_tools.times import iso


@dataclass
class Synced:
    """What a reading came to. `error` ended it early; `out_of_time`: it can go on."""

    state: SyncState
    added: int = 0
    deleted: int = 0
    error: LabError | None = None
    out_of_time: bool = False


async def sync_history(
    feed: HistoryFeed,
    store: HistoryStore,
    key: str,
    scope: Scope,
    seconds: float | None = None,
    wait_s: float = 0.0,
    tell: Tell | None = None,
) -> Synced:
    """Bring a history up to date, as far as `seconds` go.

    Raises:
        HistoryBusy: another process does it already.
        HistoryDamaged: what was held could not be read, and is to be filled anew.
        LabError: the store cannot be written.
    """
    async with store.write(key, wait_s) as writer:
        ends = None if seconds is None else asyncio.get_running_loop().time() + seconds
        reading = Reading(feed, writer, store.view([key]), scope, ends, tell)
        if writer.lost:
            await reading.commit()
        error, late = None, False
        try:
            await reading.read()
            for test, name in scope.measured if feed.has_measurements else ():
                await read_measurements(reading, test, name)
        except OutOfTime:
            late = True
        except HistoryDamaged:
            raise
        except LabError as failure:
            error = failure.with_traceback(None)
        await reading.commit()
        return Synced(reading.state, reading.added, reading.deleted, error, late)


def describe(state: SyncState) -> str:
    """How far a history goes back, in a few words."""
    if state.complete:
        return "complete"
    return f"since {iso(state.held_since)}" if state.held_since else "nothing yet"
