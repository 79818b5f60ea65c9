"""Before and after: the tests that both revisions ran, which of them pass more or less often, or take longer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import p_text, rate_of, short_revision
from testlab_tools.statistics.comparison import ALPHA, Counted, Means, two_means, two_proportions
from testlab_tools.statistics.intervals import holm, runs_to_tell_apart
from testlab_tools.statistics.selection import PRODUCTION, Attempts, Params, RunFilter, chosen, where
from testlab_tools.times import Minute, utc
from testlab_tools.untrusted import Untrusted

MAX_TESTS = 2_000
FIRST = "Each unit's first run of a test counts; a rate is pass / (pass + fail)."
EVERY = "Every run counts; errors and time-outs are not passes."


Figures = tuple[Counted, Means]
"""Passes, and the durations of runs that passed, in seconds."""

Side = Mapping[str, Figures]


class RevisionSide(ResultModel):
    """Runs of one revision."""

    revision: Untrusted
    runs: int
    tests: int
    since: Minute | None = None
    until: Minute | None = None


class TestDifference(ResultModel):
    """A test before (a) and after (b): pass rates of n runs with their intervals, mean durations.

    `differs` is given where a difference is shown. Where it is not, `more_runs` of each would show one of this size.
    """

    __test__ = False

    test: Untrusted
    n_a: int
    n_b: int
    rate_a: float | None = None
    rate_b: float | None = None
    interval_a: list[float] = []
    interval_b: list[float] = []
    seconds_a: float | None = None
    seconds_b: float | None = None
    differs: str = ""
    more_runs: int | None = None


class RevisionsCompared(NamedTuple):
    """Both sides, the tests that both ran, those that differ first, and what is to be said."""

    sides: list[RevisionSide]
    tests: list[TestDifference]
    note: str


async def compare_revisions(view: HistoryView, a: RunFilter, b: RunFilter) -> RevisionsCompared:
    """Each test's pass rate and duration under two revisions: of units' first runs where runs have units, else of
    all runs."""
    sides = [await _side(view, runs) for runs in (a, b)]
    attempts: Attempts = "first" if all(units for _, units in sides) else "every"
    before, after = [await _figures(view, runs, attempts) for runs in (a, b)]
    both = [test for test in before if test in after]
    tests = compare_sides(before, after)
    differing = sum(bool(test.differs) for test in tests)
    notes = [
        f"Tests that ran under both: {len(both)}, of which differ, p < {ALPHA} after Holm's correction: {differing}."
        if differing
        else f"Tests that ran under both: {len(both)}. No difference between the revisions is shown.",
        FIRST if attempts == "first" else EVERY,
        "What else changed with time is in a difference, too.",
    ]
    for revision, figures in (("a", before), ("b", after)):
        if alone := len(figures) - len(both):
            notes.append(f"Under {revision} alone: {alone}.")
    return RevisionsCompared([side for side, _ in sides], tests, " ".join(notes))


async def _side(view: HistoryView, runs: RunFilter) -> tuple[RevisionSide, int]:
    params: Params = {}
    sql = (
        "SELECT count(*), count(DISTINCT r.test), min(r.started_at), max(r.started_at), "
        f"count(*) FILTER (WHERE r.unit <> '') FROM runs r WHERE {where(runs, params)} AND {PRODUCTION}"
    )
    ((n, tests, since, until, units),) = await view.rows(sql, params)
    names = ", ".join(map(short_revision, runs.names.get("revision", ())))
    side = RevisionSide(revision=names, runs=int(n), tests=int(tests))
    if n:
        side.since, side.until = utc(since), utc(until)
    return side, int(units)


async def _figures(view: HistoryView, runs: RunFilter, attempts: Attempts) -> dict[str, Figures]:
    params: Params = {}
    ends = "'pass', 'fail'" if attempts == "first" else "'pass', 'fail', 'error', 'timeout'"
    sql = (
        f"WITH chosen AS ({chosen(runs, attempts, params)}) SELECT c.test, "
        "count(*) FILTER (WHERE c.ended_as = 'pass'), "
        f"count(*) FILTER (WHERE c.ended_as IN ({ends})), "
        "avg(c.duration_s) FILTER (WHERE c.ended_as = 'pass'), "
        "stddev_samp(c.duration_s) FILTER (WHERE c.ended_as = 'pass'), "
        "count(c.duration_s) FILTER (WHERE c.ended_as = 'pass') "
        f"FROM chosen c WHERE c.sample = '' GROUP BY c.test ORDER BY count(*) DESC, c.test LIMIT {MAX_TESTS}"
    )
    return {
        test: (Counted(int(passed), int(n)), Means(float(mean or 0.0), float(sd or 0.0), int(timed)))
        for test, passed, n, mean, sd, timed in await view.rows(sql, params)
        if n
    }


def compare_sides(before: Side, after: Side) -> list[TestDifference]:
    """The tests that both sides have, those that differ first."""
    both = [test for test in before if test in after]
    raw: dict[Hashable, float] = {}
    for test in both:
        raw[test, "rate"] = two_proportions(before[test][0], after[test][0])
        raw[test, "duration"] = two_means(before[test][1], after[test][1])
    adjusted = dict(zip(raw, holm(list(raw.values())), strict=True))
    tests = [_row(test, before[test], after[test], adjusted) for test in both]
    return sorted(tests, key=lambda test: (not test.differs, raw[test.test, "rate"], test.test))


def _row(test: str, a: Figures, b: Figures, p: Mapping[Hashable, float]) -> TestDifference:
    (rate_a, interval_a), (rate_b, interval_b) = rate_of(*a[0]), rate_of(*b[0])
    made = TestDifference(
        test=test,
        n_a=a[0].n,
        n_b=b[0].n,
        rate_a=rate_a,
        rate_b=rate_b,
        interval_a=interval_a,
        interval_b=interval_b,
    )
    if a[1].n and b[1].n:
        made.seconds_a, made.seconds_b = round(a[1].mean, 2), round(b[1].mean, 2)
    said: list[str] = []
    if p[test, "rate"] < ALPHA:
        said.append(f"b {'better' if (rate_b or 0) > (rate_a or 0) else 'worse'} ({p_text(p[test, 'rate'])})")
    elif rate_a is not None and rate_b is not None:
        made.more_runs = runs_to_tell_apart(rate_a, rate_b)
    if p[test, "duration"] < ALPHA:
        said.append(f"b takes {'longer' if b[1].mean > a[1].mean else 'less time'} ({p_text(p[test, 'duration'])})")
    made.differs = "; ".join(said)
    return made


def of_revision(runs: RunFilter, revisions: Sequence[str]) -> RunFilter:
    """The filter for these revisions alone."""
    return replace(runs, names={**runs.names, "revision": revisions})
