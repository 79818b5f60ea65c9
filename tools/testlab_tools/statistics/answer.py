"""What summarize_runs returns: a row for all runs and one for each group, each with its n and interval."""

from __future__ import annotations

import re
from typing import Literal

from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.intervals import Interval, wilson
from testlab_tools.times import Minute, Moment
from testlab_tools.untrusted import Untrusted

MeasurementChart = Literal["", "histogram", "control_chart"]
Metric = Literal[
    "runs", "first_pass_yield", "final_yield", "rolled_yield", "retest_rate", "failures", "throughput", "duration"
]


OF_UNITS: tuple[Metric, ...] = ("first_pass_yield", "final_yield", "rolled_yield", "retest_rate")
"""Metrics that go by a unit's attempts: they need all history, and serial numbers."""


class Drawn(ResultModel):
    """An answer that a chart may stand beside; `saved_to` is the file that has it."""

    saved_to: str = ""


class Row(ResultModel):
    """A group's figures.

    `rate` is of `n`, with its 95 % `interval`; of a duration, the interval is the mean's. Outcomes count all `runs`,
    `samples` (golden, failing, ignored units) included, which are not in n. `run_ids` are the runs where few
    failed. `differs` is given where the group is shown to differ from the rest of its test; without it no difference is
    shown, which does not mean that there is none. `fails_at` are cases that it is shown to fail more than the rest.
    """

    test: Untrusted = ""
    group: Untrusted = ""
    runs: int | None = None
    units: int = 0
    samples: int = 0
    passed: int = 0
    failed: int = 0
    error: int = 0
    timeout: int = 0
    aborted: int = 0
    stopped: int = 0
    skipped: int = 0
    n: int = 0
    rate: float | None = None
    interval: list[float] = []
    cumulative: float | None = None
    tests: int = 0
    mean_s: float | None = None
    median_s: float | None = None
    p95_s: float | None = None
    per_day: float | None = None
    run_ids: list[str] = []
    differs: str = ""
    fails_at: list[Untrusted] = []


class HistoryShare(ResultModel):
    """What the archive holds of a service: `runs` runs since `held_since`, their measurements `measured_since`, as they
    were at `fresh_at`.

    `partial`: not all of the span asked for is held. `error` says why nothing new was read, `cannot` what the service
    never says.
    """

    service: str
    runs: int = 0
    held_since: Minute | None = None
    measured_since: Minute | None = None
    fresh_at: Minute | None = None
    partial: bool = False
    cannot: str = ""
    error: str = ""
    note: str = ""


class RunSummary(Drawn):
    """A figure of all runs in `total`, and of `groups` groups, of which `rows` shows some: the worst figure first,
    those without one last; times in their order."""

    metric: Metric
    since: Moment | None = None
    until: Moment | None = None
    total: Row
    rows: list[Row] = []
    groups: int = 0
    services: list[HistoryShare] = []
    note: str = ""
    next: str = ""


def rate_of(hits: int, n: int) -> tuple[float | None, list[float]]:
    """A proportion and its Wilson interval, rounded for reading; None and nothing of none."""
    return (round(hits / n, 4) if n else None), round_interval(wilson(hits, n))


def round_interval(interval: Interval | None, digits: int = 4) -> list[float]:
    """Both ends, or nothing."""
    return [round(end, digits) for end in interval] if interval else []


def short_revision(revision: str) -> str:
    """The beginning of a git SHA, which names it as well; any other name as it is."""
    return revision[:10] if re.fullmatch("[0-9a-f]{40}", revision) else revision


def p_text(p: float) -> str:
    """`p < 0.0001`, or `p = 0.0032`."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
