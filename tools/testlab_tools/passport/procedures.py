"""From a unit's runs to its procedures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from testlab_tools.models import Run
from testlab_tools.passport.doubles import service_of
from testlab_tools.passport.nouns import Procedure


class Key(NamedTuple):
    """A procedure: the service that keeps it, and its name in lower case."""

    service: str
    test: str


def by_procedure(runs: Iterable[Run]) -> dict[Key, list[Run]]:
    """A unit's runs, oldest first, per procedure in the order they began."""
    found: dict[Key, list[Run]] = {}
    for run in runs:
        found.setdefault(Key(service_of(run), run.test.casefold()), []).append(run)
    return found


def summary(runs: list[Run], unit: str) -> Procedure:
    """One procedure's runs of a unit, oldest first, in a row."""
    first, last = runs[0], runs[-1]
    return Procedure(
        service=service_of(last),
        test=last.test,
        unit=unit,
        first=first.outcome,
        last=last.outcome,
        attempts=len(runs),
        first_at=first.started_at,
        last_at=last.started_at,
        last_run=last.run_id,
    )
