"""Which runs a question is about, in the SQL that every store of the archive speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from testlab_tools.archive.store import HistoryView
from testlab_tools.errors import BadInput, NotFound, nearest
from testlab_tools.untrusted import shorten

Attempts = Literal["every", "first", "final"]
"""All runs; each unit's first run of a test, over all history held; each unit's last run of a test with a verdict."""

NAMED = ("test", "station", "slot", "part", "part_revision", "batch", "revision")
"""Columns whose names a question may give: exactly, in another case, or a part of one."""

MAX_NAMES = 10_000
MAX_MATCHES = 200
NEAREST = 5

PRODUCTION = "r.sample = ''"
DATED = "r.started_at > TIMESTAMP '0001-01-02 00:00:00'"
"""A run whose service tells no time of it stands at the earliest there is."""
EXECUTED = "r.ended_as <> 'skip'"
VERDICT = "r.ended_as IN ('pass', 'fail')"


@dataclass(frozen=True)
class RunFilter:
    """Runs by service, by names, by serial number, by outcome and by start; what is empty does not restrict.

    `zone` is the time zone in which hours, days and weeks are counted.
    """

    services: Sequence[str]
    names: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    unit: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None
    zone: str = "UTC"


Params = dict[str, object]
OUTCOMES = {"error": ("error", "timeout"), "stopped": ("stopped", "aborted")}
"""What an outcome in the words of list_runs is in the archive, where several things are."""


def where(runs: RunFilter, params: Params) -> str:
    """All conditions on a run `r`; their values are added to `params`."""
    return " AND ".join([*identity_conditions(runs, params), *occasion_conditions(runs, params)])


def identity_conditions(runs: RunFilter, params: Params) -> list[str]:
    """Conditions that all attempts of a unit at a test share."""
    conditions = [_one_of("r.service", runs.services, params, "service")]
    if "test" in runs.names:
        conditions.append(_one_of("r.test", runs.names["test"], params, "test"))
    if runs.unit:
        params["unit"] = runs.unit
        conditions.append("lower(r.unit) = lower($unit)")
    return conditions


def occasion_conditions(runs: RunFilter, params: Params) -> list[str]:
    """Conditions that hold for one attempt and not for another."""
    conditions = [
        _one_of(f"r.{column}", names, params, column) for column, names in runs.names.items() if column != "test"
    ]
    if runs.outcome:
        conditions.append(_one_of("r.ended_as", OUTCOMES.get(runs.outcome, (runs.outcome,)), params, "outcome"))
    for name, moment, sign in (("since", runs.since, ">="), ("until", runs.until, "<")):
        if moment is not None:
            params[name] = moment.astimezone(UTC).replace(tzinfo=None)
            conditions.append(f"r.started_at {sign} $" + name)
    return conditions or ["1 = 1"]


def chosen(runs: RunFilter, attempts: Attempts, params: Params) -> str:
    """A SELECT of the runs that match, as the body of a CTE.

    Of attempts, only production units with a serial number count; which attempt is first or last is decided over all
    history held, then the rest of the filter applies. Of two that start at once, the one that its service counts as the
    first is the first, else the one that ends first. A serial number is the same in any case. Runs without a time are
    no attempt.
    """
    if attempts == "every":
        return f"SELECT r.* FROM runs r WHERE {where(runs, params)}"
    identity = [*identity_conditions(runs, params), PRODUCTION, DATED, "r.unit <> ''"]
    identity.append(EXECUTED if attempts == "first" else VERDICT)
    order = "" if attempts == "first" else " DESC"
    return (
        f"SELECT r.* FROM (SELECT r.*, row_number() OVER (PARTITION BY r.service, r.test, lower(r.unit) "
        f"ORDER BY r.started_at{order}, r.attempt{order}, r.duration_s{order}, r.ended_as{order}) AS nth, "
        f"count(*) OVER (PARTITION BY r.service, r.test, lower(r.unit)) AS attempts "
        f"FROM runs r WHERE {' AND '.join(identity)}) r "
        f"WHERE r.nth = 1 AND {' AND '.join(occasion_conditions(runs, params))}"
    )


async def find_last_units(view: HistoryView, runs: RunFilter, count: int) -> datetime | None:
    """When the first of the last `count` units began, of those whose first attempt has a verdict; None where there are
    fewer."""
    params: Params = {}
    source = chosen(runs, "first", params)
    sql = (
        f"SELECT c.started_at FROM ({source}) c WHERE c.ended_as IN ('pass', 'fail') "
        f"ORDER BY c.started_at DESC LIMIT 1 OFFSET {count - 1}"
    )
    rows = await view.rows(sql, params)
    return rows[0][0].replace(tzinfo=UTC) if rows else None


async def resolve_names(view: HistoryView, runs: RunFilter, asked: Mapping[str, str], partial: str = "") -> RunFilter:
    """The filter with each text in `asked`, by column, replaced by the names in the archive that it means.

    `partial` says why a name may be missing though there are such runs.

    Raises:
        NotFound: no such name, with the nearest.
        BadInput: a part of more than MAX_MATCHES names.
    """
    params: Params = {}
    among = _one_of("r.service", runs.services, params, "service")
    names = dict(runs.names)
    for column in NAMED:
        if text := asked.get(column, ""):
            source = f"SELECT DISTINCT r.{column} FROM runs r WHERE {among} AND r.{column} <> ''"
            noun = column.replace("_", " ")
            names[column] = await find_names(view, source, f"r.{column}", params, text, noun, partial)
    return replace(runs, names=names)


async def find_names(
    view: HistoryView, source: str, column: str, params: Mapping[str, object], text: str, noun: str, partial: str
) -> list[str]:
    """The name itself, else the name in another case, else all names that hold the text.

    `source` selects all names there are, `column` is what it selects.

    Raises:
        NotFound: there is none, with the nearest names.
        BadInput: the text is a part of more than MAX_MATCHES names.
    """
    asked = {**params, "text": text}
    alike = (f"{column} = $text", f"lower({column}) = lower($text)", f"strpos(lower({column}), lower($text)) > 0")
    for condition in alike:
        found = [row[0] for row in await view.rows(f"{source} AND {condition} LIMIT {MAX_MATCHES + 1}", asked)]
        if len(found) > MAX_MATCHES:
            raise BadInput(f"{noun} is a part of more than {MAX_MATCHES} names", "", "Give more of the name.")
        if found:
            return [text] if text in found else sorted(found)
    held = {str(row[0]).casefold(): str(row[0]) for row in await view.rows(f"{source} LIMIT {MAX_NAMES}", params)}
    near = [held[name] for name in nearest(text.casefold(), held, NEAREST, 0.4)]
    why = "Names written alike are beside this" if near else f"Of the names there are ({len(held)}), none is like it"
    why = f"{why}. {partial}" if partial else why
    error = NotFound(f"The archive has no run with such a {noun}", why, "Correct it, or leave it out.")
    raise error.near(_numbered(near))


async def has_name(view: HistoryView, runs: RunFilter, column: str, text: str) -> bool:
    """Whether a column has a name that holds the text, in any case."""
    params: Params = {"text": text}
    among = _one_of("r.service", runs.services, params, "service")
    sql = f"SELECT 1 FROM runs r WHERE {among} AND strpos(lower(r.{column}), lower($text)) > 0 LIMIT 1"
    return bool(await view.rows(sql, params))


def match_name(text: str, names: Sequence[str]) -> str:
    """The one of the names that a text means: itself, in another case, or the only one that holds it.

    Raises:
        NotFound: none, or several; with the nearest names. Of no names at all, the text is taken as it is.
    """
    lower = text.casefold()
    for found in ([name for name in names if name.casefold() == lower], [n for n in names if lower in n.casefold()]):
        if text in found or len(found) == 1 or not names:
            return text if text in found or not found else found[0]
        if found:
            error = NotFound(
                "Several measurements have that in their name", "They are beside this", "Give one of them."
            )
            raise error.near(_numbered(found[:NEAREST]))
    folded = {name.casefold(): name for name in names}
    near = [folded[name] for name in nearest(lower, folded, NEAREST, 0.4)]
    why = "Names written alike are beside this" if near else f"It has {len(names)}, none written alike"
    raise NotFound("The test has no such measurement", why, "get_run shows what a run measured.").near(_numbered(near))


async def newest_runs(view: HistoryView, runs: RunFilter, tests: int) -> list[str]:
    """The handle of the newest run of each of some tests, of those that passed if any did."""
    params: Params = {}
    conditions = " AND ".join(identity_conditions(runs, params))
    sql = (
        "SELECT w.run_id FROM (SELECT r.run_id, r.started_at, row_number() OVER (PARTITION BY r.service, r.test "
        "ORDER BY CASE WHEN r.ended_as = 'pass' THEN 0 ELSE 1 END, r.started_at DESC) AS place "
        f"FROM runs r WHERE {conditions}) w WHERE w.place = 1 ORDER BY w.started_at DESC LIMIT {tests}"
    )
    return [row[0] for row in await view.rows(sql, params)]


async def services_with(view: HistoryView, runs: RunFilter) -> list[str]:
    """The services that have such runs."""
    params: Params = {}
    sql = f"SELECT DISTINCT r.service FROM runs r WHERE {where(runs, params)}"
    return [row[0] for row in await view.rows(sql, params)]


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {str(number): shorten(name, 120) for number, name in enumerate(names, 1)}


def _one_of(column: str, values: Sequence[str], params: Params, name: str) -> str:
    for number, value in enumerate(values):
        params[f"{name}_{number}"] = value
    return f"{column} IN ({', '.join(f'${name}_{number}' for number in range(len(values)))})"
