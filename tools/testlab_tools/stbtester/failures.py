"""Stb-tester's results that did not pass, many at once: rows of "Get list of test results" say all that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from testlab_tools.capabilities import Failure, FailureArchive, Failures
from testlab_tools.questions import RunQuery
from testlab_tools.stbtester.models import ResultRow
from testlab_tools.stbtester.runs import Results, Stretch
from testlab_tools.together import together
from testlab_tools.untrusted import capped

_OUTCOMES = ("fail", "error")
_EVER_BEFORE = datetime.min.replace(tzinfo=UTC)


class FailedResults(Results, FailureArchive):
    """One failure per result: a result is one test case, run once."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        """Each outcome is asked for by itself: the search grammar is not documented to join terms with "or"."""
        outcomes = [query.outcome] if query.outcome else _OUTCOMES
        asked = [replace(query, outcome=outcome, oldest_first=False) for outcome in outcomes]
        stretches = await together(*(self.stretch(one, limit) for one in asked))
        rows = _newest_first(stretches)
        more = len(rows) > limit or any(stretch.cut for stretch in stretches)
        failures = [self._failure(row) for row in rows[:limit]]
        return Failures(failures, len(failures), more)

    def _failure(self, row: ResultRow) -> Failure:
        return Failure(
            self.run_of(row), capped(row.test_case), capped(row.failure_reason or ""), capped(row.test_pack_sha)
        )


def _newest_first(stretches: Sequence[Stretch]) -> list[ResultRow]:
    """The rows of several lists, back to where the first of them was cut: beyond it, rows of that one are missing."""
    since = max((s.rows[-1].start_time for s in stretches if s.cut and s.rows), default=_EVER_BEFORE)
    rows = [row for stretch in stretches for row in stretch.rows if row.start_time >= since]
    return sorted(rows, key=lambda row: (row.start_time, row.result_id), reverse=True)
