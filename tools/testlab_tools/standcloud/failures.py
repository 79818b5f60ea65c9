"""The failed cases of many test runs: one request for each of the newest, several at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from testlab_tools.capabilities import Failure, FailureArchive, Failures
from testlab_tools.errors import AuthError, ConfigError, LabError, ServiceDown
from testlab_tools.models import Case, Run
from testlab_tools.questions import RunQuery
from testlab_tools.standcloud.runs import StandRuns

MOST_READ = 100
"""How many runs' failed cases are asked for in one call."""
CASES_SECONDS = 15.0
"""How long they may take together; those that have not come by then are told without."""
CALL_SECONDS = 42.0
"""How long the list and the cases may take together."""


class StandFailures(StandRuns, FailureArchive):
    """Failed cases of a test stand's runs. Its statuses know no error: a run failed, or it did not."""

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        query = replace(query, outcome=query.outcome or "fail", oldest_first=False)
        begun = time.monotonic()
        found = await self.list_runs(query, limit)
        left = CALL_SECONDS - (time.monotonic() - begun)
        read = await self._read(found.runs[:MOST_READ], max(1.0, min(CASES_SECONDS, left)))
        failures = [
            failure
            for run, cases in zip(found.runs, [*read, *[None] * len(found.runs[MOST_READ:])], strict=True)
            for failure in _failures(run, cases or [])
        ]
        unread = len(found.runs) - sum(cases is not None for cases in read)
        return Failures(failures, len(found.runs), found.more, unread)

    async def _read(self, runs: list[Run], seconds: float) -> list[list[Case] | None]:
        """The failed cases of each run, None where they could not be had. Raises when none at all could."""
        if not runs:
            return []
        reads = [asyncio.ensure_future(self.failed_cases(run.run_id.partition(":")[2])) for run in runs]
        try:
            await asyncio.wait(reads, timeout=seconds)
        finally:
            for read in reads:
                read.cancel()
        answers = await asyncio.gather(*reads, return_exceptions=True)
        cases = [self._judged(answer) for answer in answers]
        if all(told is None for told in cases):
            raise next((answer for answer in answers if isinstance(answer, LabError)), self._slow(seconds))
        return cases

    def _judged(self, answer: list[Case] | BaseException) -> list[Case] | None:
        """One run's failed cases that do not come are one run's trouble; a token that is refused is everyone's."""
        if not isinstance(answer, BaseException):
            return answer
        if isinstance(answer, AuthError | ConfigError) or not isinstance(answer, LabError | asyncio.CancelledError):
            raise answer
        return None

    def _slow(self, seconds: float) -> ServiceDown:
        return ServiceDown(
            self.name,
            f"{self.name} listed failed runs, but none of their cases within {seconds:.0f} s",
            "",
            "Call again later, or get_failed_cases for one run.",
        )


def _failures(run: Run, cases: list[Case]) -> list[Failure]:
    if not cases:
        return [Failure(run, "", "")]
    return [Failure(run, case.case, case.reason, retried=case.attempts - 1) for case in cases]
