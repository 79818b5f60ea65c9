"""Measurements of one test, read when they are asked for: there are twenty times as many as runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from testlab_tools.archive.reading import FURTHER_SECONDS, Reading, as_run, as_time, rows_of
from testlab_tools.archive.schema import Measurement, Run, clean
from testlab_tools.archive.sync_state import Measured
from testlab_tools.times import EARLIEST

LATE = timedelta(minutes=2)
"""A run may be stamped before the last one that was seen, and come after it."""
TOGETHER = 50
"""Runs whose measurements are asked for by their units' serial numbers."""
_KEY = ("run_id", "case_name", "name", "value", "text")
_CAME = "CASE WHEN created_at IS NULL THEN started_at ELSE created_at END"


async def read_measurements(reading: Reading, test: str, name: str = "") -> None:
    """Read a test's measurements, of one name or all, as far as its runs are held.

    Raises:
        OutOfTime: it did not get through in time; the same again goes on.
        LabError: the service failed, or knows no such test.
    """
    of_test = reading.state.measured.setdefault(test, {})
    known = of_test.get("") if of_test.get("", Measured()).complete else of_test.setdefault(name, Measured())
    assert known is not None
    await reading.commit()
    came = await reading.view.rows(f"SELECT max({_CAME}) FROM runs WHERE test = $test", {"test": test})
    last = as_time(came[0][0]) if came and came[0][0] else None
    if known.as_of is not None:
        await _read_new(reading, test, name, known)
    known.as_of = last
    if not known.complete:
        await _go_back(reading, test, name, known)


async def _read_new(reading: Reading, test: str, name: str, known: Measured) -> None:
    """Those of runs that have come since, whenever they began."""
    sql = (
        f"SELECT {', '.join(Run._fields)} FROM runs AS r WHERE test = $test AND started_at >= $since AND "
        f"({_CAME} > $seen OR ({_CAME} > $late AND NOT EXISTS (SELECT 1 FROM measurements AS m "
        "WHERE m.run_id = r.run_id))) ORDER BY started_at DESC"
    )
    seen = known.as_of or EARLIEST
    asked = {
        "test": test,
        "seen": seen,
        "since": known.held_since or EARLIEST,
        "late": max(EARLIEST + LATE, seen) - LATE,
    }
    runs = [as_run(row) for row in await reading.view.rows(sql, asked)]
    for n in range(0, len(runs), TOGETHER):
        some = runs[n : n + TOGETHER]
        async with aclosing(reading.feed.read_measurements_of(test, name, some)) as pages:
            while (page := await reading.ask(anext(pages, None))) is not None:
                await _store(reading, page.rows)


async def _go_back(reading: Reading, test: str, name: str, known: Measured) -> None:
    begun = time.monotonic()
    async with aclosing(reading.feed.read_measurements(test, name, known.held_since)) as pages:
        while (page := await reading.ask(anext(pages, None))) is not None:
            await _store(reading, page.rows, page.back_to)
            known.held_since = page.back_to or known.held_since
            if page.back_to is not None and page.back_to <= (reading.state.held_since or EARLIEST):
                break
            enough = page.back_to is not None and page.back_to <= reading.scope.needed_since
            if enough and time.monotonic() - begun > FURTHER_SECONDS:
                return
    known.complete = reading.state.complete
    known.held_since = reading.state.held_since


async def _store(reading: Reading, rows: Sequence[Measurement], back_to: datetime | None = None) -> None:
    """Store those that are not held, under their runs' starts; those of runs that are not held are left out.

    A case that runs several times in a run measures the same name several times: each value is kept.
    """
    if not rows:
        return
    ids = list({row.run_id for row in rows})
    starts = {
        run_id: as_time(start) for run_id, start in await rows_of(reading.view, "run_id, started_at", "runs", ids)
    }
    held = {*await rows_of(reading.view, ", ".join(_KEY), "measurements", ids), *reading.fresh}
    new = [row._replace(started_at=starts[row.run_id]) for row in rows if row.run_id in starts]
    cells = clean("measurements", new)
    keys = list(zip(*(cells[name] for name in _KEY), strict=True))
    kept = [row for row, key in zip(new, keys, strict=True) if key not in held]
    await reading.store("measurements", kept, keys)
    await reading.note(len(kept), back_to)
