"""Failure Pareto: what fails most, by test, case, measurement or reason, with its share and the sum of shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import Row, rate_of
from testlab_tools.statistics.grouping import By
from testlab_tools.statistics.selection import EXECUTED, Attempts, Params, RunFilter, chosen
from testlab_tools.triage.causes import normalise

MAX_ROWS = 200
FEW = 3
"""A row of at most so many runs names them, where there are not more than MAX_NAMED in all."""

MAX_NAMED = 30

_SOURCES = {
    "case": ("failures", "f.case_name", ""),
    "measurement": ("measurements", "f.name", " AND f.outcome = 'fail'"),
    "reason": ("failures", "f.reason", ""),
}


class _Ranked(NamedTuple):
    """Runs with a failure of a group, `fresh` of which have none of a group before it; `few` are their handles."""

    test: str
    group: str
    runs: int
    fresh: int
    few: Sequence[str]


async def rank_failures(view: HistoryView, runs: RunFilter, by: By, attempts: Attempts) -> tuple[Row, list[Row], int]:
    """Runs that did not pass, and the groups that most of them have, as shares of all runs that did not pass.

    A run counts once in each group that it has a failure of, so shares may add to more than 1; `cumulative` counts
    each run once. Those without a case, measurement or reason are a group of their own; reasons that differ only in
    their readings are one, named by the newest. Runs of samples, and those that somebody stopped or skipped, are left
    out.
    """
    params: Params = {}
    bad_runs = (
        f"WITH chosen AS ({chosen(runs, attempts, params)}), bad AS (SELECT c.* FROM chosen c "
        "WHERE c.sample = '' AND c.ended_as NOT IN ('pass', 'stopped', 'skip'))"
    )
    counts = (
        f"{bad_runs} SELECT (SELECT count(*) FROM bad), "
        f"(SELECT count(*) FROM chosen c WHERE c.sample = '' AND {EXECUTED.replace('r.', 'c.')})"
    )
    ((bad, executed),) = await view.rows(counts, params)
    rank = _rank_reasons if by == "reason" else _rank_groups
    ranked, size = await rank(view, f"{bad_runs}, pairs AS ({_pairs(by)})", params)
    rows: list[Row] = []
    seen = 0
    for test, group, n, fresh, few in ranked:
        seen += fresh
        rate, interval = rate_of(n, bad)
        name = group or (f"(no {by})" if by in _SOURCES else "")
        row = Row(test=test, group=name, runs=n, n=bad, rate=rate, interval=interval)
        row.cumulative, row.run_ids = round(seen / bad, 4), list(few) if bad <= MAX_NAMED else []
        rows.append(row)
    rate, interval = rate_of(bad, executed)
    return Row(runs=bad, n=executed, rate=rate, interval=interval), rows, size


def _pairs(by: By) -> str:
    """Each run that did not pass with each group that it has a failure of, '' for none."""
    if by not in _SOURCES:
        return f"SELECT b.run_id AS run_id, b.started_at AS at, '' AS test, b.{by or 'test'} AS grp FROM bad b"
    table, key, only = _SOURCES[by]
    return (
        f"SELECT DISTINCT b.run_id AS run_id, b.started_at AS at, b.test AS test, COALESCE({key}, '') AS grp "
        f"FROM bad b LEFT JOIN {table} f ON f.service = b.service AND f.run_id = b.run_id{only}"
    )


async def _rank_groups(view: HistoryView, pairs: str, params: Params) -> tuple[list[_Ranked], int]:
    sql = (
        f"{pairs}, counted AS (SELECT p.test, p.grp, count(*) AS n, CASE WHEN count(*) <= {FEW} "
        f"THEN string_agg(p.run_id, chr(10) ORDER BY p.at DESC, p.run_id) END AS few FROM pairs p "
        f"GROUP BY p.test, p.grp), "
        f"ranked AS (SELECT t.*, row_number() OVER (ORDER BY t.n DESC, t.test, t.grp) AS place, "
        f"count(*) OVER () AS size FROM counted t), "
        f"seen AS (SELECT p.run_id, min(r.place) AS place FROM pairs p "
        f"JOIN ranked r ON r.test = p.test AND r.grp = p.grp GROUP BY p.run_id), "
        f"fresh AS (SELECT s.place, count(*) AS n FROM seen s GROUP BY s.place) "
        f"SELECT r.test, r.grp, r.n, COALESCE(f.n, 0), r.few, r.size FROM ranked r "
        f"LEFT JOIN fresh f ON f.place = r.place WHERE r.place <= {MAX_ROWS} ORDER BY r.place"
    )
    found = await view.rows(sql, params)
    ranked = [
        _Ranked(test, group, int(n), int(fresh), few.split("\n") if few else ())
        for test, group, n, fresh, few, _ in found
    ]
    return ranked, int(found[0][5]) if found else 0


async def _rank_reasons(view: HistoryView, pairs: str, params: Params) -> tuple[list[_Ranked], int]:
    """By test and reason without its readings."""
    sql = f"{pairs} SELECT p.test, p.grp, p.run_id FROM pairs p ORDER BY p.at DESC, p.run_id, p.grp"
    examples: dict[tuple[str, str], str] = {}
    having: dict[tuple[str, str], dict[str, None]] = {}
    for test, reason, run_id in await view.rows(sql, params):
        key = (test, normalise(reason))
        examples.setdefault(key, reason)
        having.setdefault(key, {})[run_id] = None
    seen: set[str] = set()
    ranked: list[_Ranked] = []
    for key in sorted(having, key=lambda key: (-len(having[key]), key)):
        of_group = list(having[key])
        fresh = len(having[key].keys() - seen)
        seen.update(of_group)
        ranked.append(_Ranked(key[0], examples[key], len(of_group), fresh, of_group if len(of_group) <= FEW else ()))
    return ranked[:MAX_ROWS], len(ranked)
