"""The same execution, kept by several services, counts once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

from testlab_tools.models import Run

APART = timedelta(seconds=1)
"""Services keep start times to the second, the millisecond or the microsecond."""


def service_of(run: Run) -> str:
    """The service in a run's handle."""
    return run.run_id.partition(":")[0]


def once(runs: Iterable[Run], services: Sequence[str]) -> list[Run]:
    """The runs, oldest first, without those that a service earlier in `services` has too.

    The same are runs of one unit that began together and ended alike, with the same test, or as long.
    """
    by_service: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_service[service_of(run)].append(run)
    kept: dict[str, list[Run]] = defaultdict(list)
    for service in services:
        before = {unit: list(found) for unit, found in kept.items()}
        for run in by_service[service]:
            unit = run.unit.casefold()
            known = before.get(unit, [])
            twin = next((other for other in known if _same(run, other)), None)
            if twin is None:
                kept[unit].append(run)
            else:
                known.remove(twin)
    return sorted((run for found in kept.values() for run in found), key=lambda run: (run.started_at, run.run_id))


def _same(run: Run, other: Run) -> bool:
    if run.outcome != other.outcome or abs(run.started_at - other.started_at) > APART:
        return False
    names = {name for name in (run.test.casefold(), other.test.casefold()) if name}
    return len(names) < 2 or (run.duration_s > 0 and abs(run.duration_s - other.duration_s) <= APART.total_seconds())
