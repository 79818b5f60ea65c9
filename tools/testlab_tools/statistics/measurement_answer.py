"""What measurement_stats returns."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from testlab_tools.models.lab import ResultModel
from testlab_tools.statistics.answer import Drawn, HistoryShare
from testlab_tools.statistics.capability import Capability
from testlab_tools.statistics.drift import Drift
from testlab_tools.times import Minute, Moment
from testlab_tools.untrusted import Untrusted

DIGITS = 6
"""Significant digits of what is measured."""


class LimitPeriod(ResultModel):
    """Limits, and the `n` values judged by them; None where there was none on that side. `part` where parts differ."""

    part: Untrusted = ""
    lower: float | None = None
    upper: float | None = None
    n: int
    since: Minute
    until: Minute


class WhatIf(ResultModel):
    """The yield of this measurement alone under other limits (inclusive), how many verdicts would change, and the
    capability against them. The answer's `capability` and `drift` go by the limits in force."""

    lower: float | None = None
    upper: float | None = None
    n: int
    passed: int
    rate: float
    interval: list[float]
    newly_failed: int = 0
    newly_passed: int = 0
    cpk: list[float] = []
    ppk: list[float] = []


class DifferentGroup(ResultModel):
    """A group in whose values, or verdicts, a measurement is shown to differ from the rest."""

    group: Untrusted
    n: int
    mean: float | None = None
    failed: int = 0
    differs: str


class MeasuredRow(ResultModel):
    """Values of a group; `differs` is given where its mean is shown to differ from the rest.

    In a ranking, those of a `measurement`: `failed` of `judged` values, limits in force (none where parts have
    different ones), `cpk` and `ppk` with their intervals, `marginal` passes, and the `groups` that differ.
    """

    group: Untrusted = ""
    measurement: Untrusted = ""
    case: Untrusted = ""
    units: Untrusted = ""
    n: int
    mean: float | None = None
    interval: list[float] = []
    sd: float | None = None
    judged: int = 0
    failed: int = 0
    lower: float | None = None
    upper: float | None = None
    cpk: list[float] = []
    ppk: list[float] = []
    marginal: int | None = None
    differs: str = ""
    groups: list[DifferentGroup] = []
    moving_range: float = Field(default=0.0, exclude=True)


class TextCount(ResultModel):
    """How often a measurement that is no number had a value, and how often that failed."""

    value: Untrusted
    n: int
    failed: int = 0


class MeasurementStats(Drawn):
    """Numbers of one measurement; `rate` is the share of judged values that passed, `marginal` counts passes in the
    last tenth of the way from the median to a limit. `rows` are groups, or in a ranking measurements."""

    test: list[Untrusted]
    measurement: Untrusted
    units: Untrusted = ""
    since: Moment | None = None
    until: Moment | None = None
    n: int
    mean: float | None = None
    mean_interval: list[float] = []
    sd: float | None = None
    quantiles: dict[str, float] = {}
    passed: int = 0
    failed: int = 0
    rate: float | None = None
    interval: list[float] = []
    marginal: int | None = None
    limits: list[LimitPeriod] = []
    capability: Capability | None = None
    what_if: WhatIf | None = None
    drift: Drift | None = None
    groups: int = 0
    rows: list[MeasuredRow] = []
    texts: list[TextCount] = []
    services: list[HistoryShare] = []
    note: str = ""
    next: str = ""


def round_numbers(made: MeasurementStats) -> MeasurementStats:
    """With numbers of DIGITS significant digits."""
    return MeasurementStats.model_validate(_short(made.model_dump()))


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_short(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
