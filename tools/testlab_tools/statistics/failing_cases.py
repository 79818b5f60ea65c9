"""At what a group that differs fails more than the rest of its test, and whether that alone explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.comparison import ALPHA, Counted, two_proportions
from testlab_tools.statistics.grouping import GroupBy
from testlab_tools.statistics.intervals import holm
from testlab_tools.statistics.selection import Attempts, Params, RunFilter, chosen
from testlab_tools.triage.causes import normalise

COLUMNS: tuple[GroupBy, ...] = ("station", "slot", "part", "part_revision", "batch", "revision")
MAX_SHOWN = 3
EXPLAINED = "without the runs that fail there (fails_at), no difference is shown"

Key = tuple[str, str]
"""Test ('' where there is only one) and group."""


class Ran(NamedTuple):
    """Runs that ended with a verdict or an error, and those of them that did not pass."""

    runs: int
    bad: int


class FailsAt(NamedTuple):
    """Cases in which a group fails more, the surest first, each with its reason; `explains`: there is one,
    without whose runs no difference is shown."""

    cases: Sequence[str]
    explains: bool


class _Failing(NamedTuple):
    """Runs of a group, and of the whole test, that failed in a case for one reason."""

    case: str
    reason: str
    mine: int
    every: int


async def find_failing_cases(
    view: HistoryView,
    runs: RunFilter,
    attempts: Attempts,
    by: GroupBy,
    groups: Mapping[Key, Ran],
    tests: Mapping[str, Ran],
) -> dict[Key, FailsAt]:
    """By group: where one fails more often than the rest of its test, Holm-corrected over all cases and groups."""
    failing = await _read(view, runs, attempts, by, groups, within_test=any(test for test, _ in groups))
    pairs = [(key, one) for key, found in failing.items() for one in found]
    raw = [_compare(groups[key], tests[key[0]], one) for key, one in pairs]
    surest: dict[Key, list[tuple[float, _Failing]]] = {}
    for (key, one), p in zip(pairs, holm(raw), strict=True):
        if p < ALPHA:
            surest.setdefault(key, []).append((p, one))
    answers: dict[Key, FailsAt] = {}
    for key, found in surest.items():
        ordered = [one for _, one in sorted(found, key=lambda item: item[0])]
        explains = _explains(groups[key], tests[key[0]], ordered[0])
        shown = ordered[: 1 if explains else MAX_SHOWN]
        answers[key] = FailsAt([": ".join(filter(None, (one.case, one.reason))) for one in shown], explains)
    return answers


def _compare(group: Ran, test: Ran, failing: _Failing) -> float:
    """The p-value of the case failing alike in the group and in the rest; 1.0 where it fails less."""
    mine, rest = Counted(failing.mine, group.runs), Counted(failing.every - failing.mine, test.runs - group.runs)
    if mine.hits * rest.n <= rest.hits * mine.n:
        return 1.0
    return two_proportions(mine, rest)


def _explains(group: Ran, test: Ran, failing: _Failing) -> bool:
    """Whether the group fails no more than the rest by the runs that did not fail in the case."""
    others = failing.every - failing.mine
    mine = Counted(group.bad - failing.mine, group.runs - failing.mine)
    rest = Counted(test.bad - group.bad - others, test.runs - group.runs - others)
    return two_proportions(mine, rest) >= ALPHA


async def _read(
    view: HistoryView, runs: RunFilter, attempts: Attempts, by: GroupBy, groups: Mapping[Key, Ran], within_test: bool
) -> dict[Key, list[_Failing]]:
    """What each group fails at, by case and reason without its readings; the newest reason stands for those alike."""
    params: Params = {}
    names = list(dict.fromkeys(group for _, group in groups))
    source = chosen(runs, attempts, params)
    params |= {f"group_{number}": name for number, name in enumerate(names)}
    among = ", ".join(f"$group_{number}" for number in range(len(names)))
    stratum = "c.test" if within_test else "''"
    sql = (
        f"WITH chosen AS ({source}) SELECT {stratum} AS test, "
        f"CASE WHEN c.{by} IN ({among}) THEN c.{by} END AS grp, f.case_name, f.reason, count(*) "
        "FROM chosen c JOIN failures f ON f.service = c.service AND f.run_id = c.run_id WHERE c.sample = '' "
        "AND c.ended_as NOT IN ('pass', 'stopped', 'skip') AND (f.case_name <> '' OR f.reason <> '') "
        "GROUP BY 1, 2, 3, 4 ORDER BY max(c.started_at) DESC, 3, 4"
    )
    mine: dict[tuple[Key, str, str], int] = {}
    every: dict[tuple[str, str, str], int] = {}
    examples: dict[tuple[Key, str, str], str] = {}
    for test, group, case, reason, count in await view.rows(sql, params):
        alike = normalise(reason)
        every[test, case, alike] = every.get((test, case, alike), 0) + int(count)
        if (test, group) in groups:
            place = ((test, group), case, alike)
            mine[place] = mine.get(place, 0) + int(count)
            examples.setdefault(place, reason)
    found: dict[Key, list[_Failing]] = {}
    for (key, case, alike), count in mine.items():
        reason = examples[key, case, alike]
        found.setdefault(key, []).append(_Failing(case, reason, count, every[key[0], case, alike]))
    return found
