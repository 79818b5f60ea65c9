"""Failure Pareto: what fails most, by test, case, measurement or reason, with its share and the sum of shares."""

from __future__ import annotations

from testlab_tools.archive.store import HistoryView
from testlab_tools.statistics.answer import Row, rate_of
from testlab_tools.statistics.grouping import By
from testlab_tools.statistics.selection import EXECUTED, Attempts, Params, RunFilter, chosen

MAX_ROWS = 200

_SOURCES = {
    "case": ("failures", "f.case_name", ""),
    "measurement": ("measurements", "f.name", " AND f.outcome = 'fail'"),
    "reason": ("failures", "f.reason", ""),
}


async def rank_failures(view: HistoryView, runs: RunFilter, by: By, attempts: Attempts) -> tuple[Row, list[Row], int]:
    """Runs that did not pass, and the groups that most of them have, as shares of all runs that did not pass.

    A run counts once in each group that it has a failure of, so shares may add to more than 1; `cumulative` counts
    each run once. Runs of samples, and those that somebody stopped or skipped, are left out.
    """
    params: Params = {}
    source = chosen(runs, attempts, params)
    failed = "SELECT c.* FROM chosen c WHERE c.sample = '' AND c.ended_as NOT IN ('pass', 'stopped', 'skip')"
    if by in _SOURCES:
        table, key, only = _SOURCES[by]
        pairs = (
            f"SELECT DISTINCT b.run_id AS run_id, b.test AS test, {key} AS grp FROM bad b "
            f"JOIN {table} f ON f.service = b.service AND f.run_id = b.run_id{only}"
        )
    else:
        pairs = f"SELECT b.run_id AS run_id, '' AS test, b.{by or 'test'} AS grp FROM bad b"
    sql = (
        f"WITH chosen AS ({source}), bad AS ({failed}), pairs AS ({pairs}), "
        f"counted AS (SELECT p.test, p.grp, count(*) AS n FROM pairs p GROUP BY p.test, p.grp), "
        f"ranked AS (SELECT t.*, row_number() OVER (ORDER BY t.n DESC, t.test, t.grp) AS place, "
        f"count(*) OVER () AS size FROM counted t), "
        f"seen AS (SELECT p.run_id, min(r.place) AS place FROM pairs p "
        f"JOIN ranked r ON r.test = p.test AND r.grp = p.grp GROUP BY p.run_id), "
        f"fresh AS (SELECT s.place, count(*) AS n FROM seen s GROUP BY s.place) "
        f"SELECT r.test, r.grp, r.n, r.size, COALESCE(f.n, 0), (SELECT count(*) FROM bad), "
        f"(SELECT count(*) FROM chosen c WHERE c.sample = '' AND {EXECUTED.replace('r.', 'c.')}) "
        f"FROM ranked r LEFT JOIN fresh f ON f.place = r.place WHERE r.place <= {MAX_ROWS} ORDER BY r.place"
    )
    found = await view.rows(sql, params)
    if not found:
        count = (
            f"WITH chosen AS ({source}), bad AS ({failed}) SELECT (SELECT count(*) FROM bad), count(*) FROM chosen c"
        )
        (bad, executed), *_ = await view.rows(f"{count} WHERE c.sample = ''", params)
        return _total(int(bad), int(executed)), [], 0
    bad, executed = int(found[0][5]), int(found[0][6])
    rows: list[Row] = []
    seen = 0
    for test, group, n, _, fresh, *_ in found:
        seen += int(fresh)
        rate, interval = rate_of(int(n), bad)
        row = Row(test=test, group=group, runs=int(n), n=bad, rate=rate, interval=interval)
        rows.append(row.model_copy(update={"cumulative": round(seen / bad, 4)}))
    return _total(bad, executed), rows, int(found[0][3])


def _total(bad: int, executed: int) -> Row:
    rate, interval = rate_of(bad, executed)
    return Row(runs=bad, n=executed, rate=rate, interval=interval)
