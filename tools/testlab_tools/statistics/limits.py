"""The limits that values of a measurement were judged by: in force, earlier, or of another part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.measurement_answer import LimitPeriod
from testlab_tools.times import iso, utc

MAX_LIMITS = 5
MAX_READ = 200

Pair = tuple[float | None, float | None]


class FoundLimits(NamedTuple):
    """Limits by period, the latest first; those in force, none where parts have different ones; what is to be said."""

    periods: list[LimitPeriod]
    in_force: Pair
    said: str


async def read_limits(view: HistoryView) -> FoundLimits:
    """The limits of the values in table `v`."""
    select = (
        "SELECT v.of_part, v.low, v.high, count(*), min(v.started_at), max(v.started_at) FROM v "
        "WHERE v.value IS NOT NULL AND (v.low IS NOT NULL OR v.high IS NOT NULL) "
        f"GROUP BY v.of_part, v.low, v.high ORDER BY max(v.started_at) DESC, v.of_part LIMIT {MAX_READ}"
    )
    of_parts = [
        LimitPeriod(part=part, lower=low, upper=high, n=int(n), since=utc(since), until=utc(until))
        for part, low, high, n, since, until in await view.rows(select)
    ]
    latest: dict[str, Pair] = {}
    for period in of_parts:
        latest.setdefault(period.part, _pair(period))
    if len(set(latest.values())) > 1:
        first = [next(one for one in of_parts if one.part == part) for part in latest]
        periods = first + [one for one in of_parts if one not in first]
        return FoundLimits(periods[:MAX_LIMITS], (None, None), _say_mixed(periods))
    periods = _merge(of_parts)
    in_force = _pair(periods[0]) if periods else (None, None)
    return FoundLimits(periods[:MAX_LIMITS], in_force, _say(periods))


def _merge(of_parts: Sequence[LimitPeriod]) -> list[LimitPeriod]:
    """Limits whatever the part."""
    merged: dict[Pair, LimitPeriod] = {}
    for one in of_parts:
        known = merged.setdefault(_pair(one), one.model_copy(update={"part": "", "n": 0}))
        known.n += one.n
        known.since, known.until = min(known.since, one.since), max(known.until, one.until)
    return list(merged.values())


def _pair(period: LimitPeriod) -> Pair:
    return period.lower, period.upper


def _say_mixed(periods: Sequence[LimitPeriod]) -> str:
    parts = len({one.part for one in periods})
    said = (
        f"{parts} parts with different limits are mixed (limits names each): no capability, marginal passes or reached "
        "limit; mean and spread are of all. Give part."
    )
    return f"{said} {MAX_LIMITS} of {len(periods)} limits are shown." if len(periods) > MAX_LIMITS else said


def _say(periods: Sequence[LimitPeriod]) -> str:
    if not periods:
        return "It has no limits that are numbers: no capability and no marginal passes."
    said = "It has a limit on one side only: cpk and ppk are of that side. " if None in _pair(periods[0]) else ""
    if len(periods) > 1:
        at_once = any(periods[0].since < other.until for other in periods[1:])
        different = f"{len(periods)} different ones{', some in use at the same time' if at_once else ''}"
        said += (
            f"Its limits changed ({different}): passed and failed are by those of their time, "
            f"capability and marginal by the latest, seen since {iso(periods[0].since)[:10]}."
        )
    return said.strip()
