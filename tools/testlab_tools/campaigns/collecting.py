"""Which run of a job is which item of its batch, and what became of the items that have no run."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from testlab_tools.models.lab import Outcome, Run

COUNTED: frozenset[Outcome] = frozenset({"pass", "fail", "error", "skip"})
"""Outcomes of a run that has finished by itself."""


class Collected(NamedTuple):
    """The runs of a job by the place of their work in the batch; the places that have none, in order."""

    runs: dict[int, Run]
    open: list[int]


def match_runs(names: Sequence[str], runs: Iterable[Run]) -> Collected:
    """Give each work of a batch its run: the n-th run of a test case, by start, is of the n-th work of that name.

    Runs that have not finished, and runs of names that are not in the batch, are left out.
    """
    places: defaultdict[str, deque[int]] = defaultdict(deque)
    for place, name in enumerate(names):
        places[name].append(place)
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.run_id)):
        if run.outcome in COUNTED and (left := places.get(run.test)):
            found[left.popleft()] = run
    return Collected(found, [place for place in range(len(names)) if place not in found])


def split_open(collected: Collected, done: int) -> tuple[list[int], list[int]]:
    """Of the places without a run, those whose tests the job says have finished, `done` in all, and those that never
    began. A job runs its tests in order: the first that lack a result are those that ran."""
    missing = max(0, done - len(collected.runs))
    return collected.open[:missing], collected.open[missing:]
