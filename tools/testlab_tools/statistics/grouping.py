"""Runs by group in one pass of the store: each group's figures, those of its stratum and of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args
from zoneinfo import ZoneInfo

TimeGroup = Literal["hour", "day", "week"]
GroupBy = Literal[
    "", "service", "test", "station", "slot", "part", "part_revision", "batch", "revision", "hour", "day", "week"
]
FailureGroup = Literal["case", "measurement", "reason"]
By = Literal[
    "",
    "service",
    "test",
    "station",
    "slot",
    "part",
    "part_revision",
    "batch",
    "revision",
    "hour",
    "day",
    "week",
    "case",
    "measurement",
    "reason",
]
"""GroupBy or FailureGroup, as one list for the schema of a tool."""

MAX_GROUPS = 200
"""Groups that are compared and can be shown: those of most runs, or the latest. The others are in the rest."""

TIMES = get_args(TimeGroup)


class Grouped(NamedTuple):
    """One group's figures; `total` is of all runs together, `strata` of each test's where groups are within a test.

    `groups` counts all groups there are; `figures` are in the order asked for.
    """

    total: Sequence[Any]
    strata: Mapping[str, Sequence[Any]]
    rows: Mapping[tuple[str, str], Sequence[Any]]
    groups: int


def local_start(zone: str) -> str:
    """When a run `c` started, by the clocks of a time zone."""
    return "c.started_at" if zone == "UTC" else f"(c.started_at AT TIME ZONE 'UTC' AT TIME ZONE '{zone}')"


def group_sql(chosen: str, group_by: GroupBy, figures: str, within_test: bool, zone: str = "UTC") -> str:
    """The query that `read_groups` reads: `figures` are aggregates over runs `c`, the first of which counts runs."""
    key = _time_sql(group_by, zone) if group_by in TIMES else f"c.{group_by}" if group_by else "''"
    stratum = "c.test" if within_test else "''"
    first = "g.grp DESC" if group_by in TIMES else "g.n DESC"
    return (
        f"WITH chosen AS ({chosen}), keyed AS (SELECT c.*, CAST({stratum} AS VARCHAR) AS stratum, "
        f"CAST({key} AS VARCHAR) AS grp FROM chosen c), "
        f"grouped AS (SELECT GROUPING(c.stratum, c.grp) AS lvl, c.stratum AS stratum, c.grp AS grp, {figures} "
        f"FROM keyed c GROUP BY GROUPING SETS ((c.stratum, c.grp), (c.stratum), ())), "
        f"ranked AS (SELECT g.*, count(*) OVER (PARTITION BY g.lvl) AS size, "
        f"row_number() OVER (PARTITION BY g.lvl ORDER BY {first}, g.stratum, g.grp) AS place FROM grouped g) "
        f"SELECT * FROM ranked r WHERE r.place <= {MAX_GROUPS} ORDER BY r.lvl DESC, r.place"
    )


def _time_sql(group_by: GroupBy, zone: str) -> str:
    """The day or week by the clocks of a zone; of an hour, its begin in UTC: some hours by the clocks come twice."""
    local = local_start(zone)
    begin = f"date_trunc('{group_by}', {local})"
    return f"{begin} - ({local} - c.started_at)" if group_by == "hour" and zone != "UTC" else begin


def read_groups(rows: Sequence[Sequence[Any]], group_by: GroupBy, zone: str = "UTC") -> Grouped:
    """The rows of `group_sql`, apart; times are the latest first."""
    total: Sequence[Any] = ()
    strata: dict[str, Sequence[Any]] = {}
    found: dict[tuple[str, str], Sequence[Any]] = {}
    groups = 0
    for level, stratum, group, *figures, size, _ in rows:
        if level == 3:
            total = figures
        elif level == 1:
            strata[stratum] = figures
        else:
            found[stratum, _name(group, group_by, zone)] = figures
            groups = int(size)
    return Grouped(total, strata, found, groups)


def _name(group: str, group_by: GroupBy, zone: str) -> str:
    if group_by not in TIMES:
        return group
    return name_hour(group, zone) if group_by == "hour" else group[:10]


def name_hour(begin: str, zone: str) -> str:
    """An hour that begins at a time in UTC, by the clocks of a zone; with its offset where the clocks show it twice."""
    if zone == "UTC":
        return begin[:16].replace(" ", "T")
    local = datetime.fromisoformat(begin[:19]).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return local.isoformat(timespec="minutes")[: None if twice else 16]
