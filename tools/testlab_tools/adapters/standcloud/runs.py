"""StandCloud's test runs: lists, details, failed cases (one request a run), and where devices stand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from testlab_tools.adapters.standcloud.client import StandCloudApi, is_own_error
from testlab_tools.adapters.standcloud.filters import Filters, dut_info, filters_of
from testlab_tools.adapters.standcloud.models import CaseMeasurement, FailedCaseRow, TestRunRow, outcome
from testlab_tools.adapters.standcloud.paging import Body, Order, Position, start_of
from testlab_tools.capabilities import (
    Failure,
    FailureArchive,
    Failures,
    FilterKeys,
    Runs,
    UnitArchive,
)
from testlab_tools.errors import AuthError, BadInput, BadReply, ConfigError, LabError, NotFound, ServiceDown
from testlab_tools.http import Reply
from testlab_tools.http.response import decode_value
from testlab_tools.limits import Limits
from testlab_tools.models.lab import Case, FailedRun, Measurement, Outcome, Run
from testlab_tools.models.requests import FARM_FILTERS, FILTERS, RunQuery, refuse_filters, refuse_longest
from testlab_tools.models.results import KnownRun, RunDetail, labels
from testlab_tools.times import EARLIEST, iso

MAX_READ = 100
"""How many runs' failed cases are asked for in one call."""
CASES_SECONDS = 15.0
"""How long they may take together; those that have not come by then are told without."""
CALL_SECONDS = 42.0
"""How long the list and the cases may take together."""


def case_of(row: FailedCaseRow) -> Case:
    """A failed case; one that calls itself passed is failed all the same, since it is in that list."""
    said = list(row.msg.values()) if isinstance(row.msg, dict) else row.msg if isinstance(row.msg, list) else [row.msg]
    said = [text for text in said if text and text not in (row.assertion_msg or "")]
    ended: Outcome = outcome(row.status)
    return Case(
        case=row.name,
        outcome="fail" if ended == "pass" else ended,
        attempts=max(1, row.attempt),
        reason="; ".join(text for text in (row.assertion_msg, *said) if text),
        measurements=[_measurement(m) for m in row.measurements or []],
    )


def _measurement(m: CaseMeasurement) -> Measurement:
    limits = _limits(m)
    kept = m.result if m.result is not None else limits.allow(m.value)
    return Measurement(
        name=m.name,
        outcome="unset" if kept is None else "pass" if kept else "fail",
        value=m.value,
        units=m.unit or "",
        lower=limits.lower,
        upper=limits.upper,
        expected=limits.expected,
    )


_OPERATORS = {"eq": "==", "ne": "!=", "ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _limits(m: CaseMeasurement) -> Limits:
    """A measurement's limits, each said once: by an operation and what it compares with, or by a range."""
    wanted, operator = m.comparison_value, _OPERATORS.get((m.operation or "").casefold(), "")
    if wanted is not None and operator:
        return Limits.validator(operator, wanted)
    repeated = wanted is None or wanted in (m.lower_limit, m.upper_limit)
    return Limits(m.lower_limit, m.upper_limit, "" if repeated else str(wanted))


_SOURCES = ("dut_info", "test_stand_info", "test_run_artifact")


def tags_of(row: TestRunRow) -> dict[str, str]:
    """The keys of a run's `dut_info`, `test_stand_info` and `test_run_artifact`, and every field that no noun holds.

    A name that is taken is written with where it stands: `test_stand_info.revision`.
    """
    extra = {key: value for key, value in (row.model_extra or {}).items() if value is not None}
    extra.pop("stop_time", None)  # where it stands beside finish_time
    if row.start_time and row.finish_time and abs((row.finish_time - row.start_time).total_seconds() - row.seconds) > 1:
        extra["finish_time"] = iso(row.finish_time)
    if row.test_stand_name and row.test_stand_hw_id:
        extra["test_stand_hw_id"] = row.test_stand_hw_id
    tags: dict[str, Any] = {}
    for source in _SOURCES:
        told = dut_info({source: row.dut_info}) if source == "dut_info" else getattr(row, source)
        for name, value in (told or {}).items():
            tags[f"{source}.{name}" if name in tags else name] = value
    for name, value in extra.items():
        tags[f"test_run.{name}" if name in tags else name] = value
    return labels(tags)


class StandRuns(StandCloudApi, UnitArchive, FailureArchive):
    """Test runs of an organisation. Their statuses know no error: a run failed, or it did not."""

    def owns_run(self, run_id: str) -> bool:
        return len(run_id) == 36 and run_id.count("-") == 4

    async def list_runs(self, query: RunQuery, limit: int, after: str = "") -> Runs:
        refuse_filters(self.name, query, FILTERS.keys() - FARM_FILTERS, "StandCloud has no jobs")
        refuse_longest(self.name, query)
        order, filters = Order(query, limit, Position.read(after)), filters_of(query)

        def keep(body: Body, moment: datetime) -> bool:
            filters.note(body)
            return query.contains(moment) and filters.allow(self.name, body)

        at = max(0, order.mark.offset - 1) if order.mark else 0
        listing = await self.read_rows(
            filters.params,
            self.id_of,
            keep,
            order.enough,
            at,
            lambda body: order.before_mark(start_of(body)),
        )
        if not listing.rows:
            filters.check(self.name)
        rest = [row for row in order.sorted(listing.rows) if order.after_mark(row)]
        held = order.is_kept_by(listing)
        rows = [(self.decode_row(row, TestRunRow), row.offset if held else 0) for row in rest[:limit]]
        total = len(listing.rows) if listing.begun_at == 0 else None
        at_least = total is not None and not order.complete(listing)
        keys = await self._missing_keys(filters) if filters.keys and total == 0 else None
        counts = (
            None if total is None else Counter[Outcome](outcome(str(row.body.get("status"))) for row in listing.rows)
        )
        note = await self._whether_there_is(query) if query.explain_empty and query.test and total == 0 else ""
        return Runs([self._run(*row) for row in rows], len(rest) > limit, total, at_least, keys, counts, note)

    async def _whether_there_is(self, query: RunQuery) -> str:
        """Of an empty list: whether such a test plan has ever run here."""
        known = RunQuery(test=query.test, explain_empty=True)
        filters = filters_of(known)
        if query != known:
            listing = await self.read_rows(
                filters.params,
                self.id_of,
                lambda body, _: filters.allow(self.name, body),
                lambda listing: bool(listing.rows),
            )
            if listing.rows:
                return "It has runs of such a test plan, but none that matches the rest."
        return "No run here, of any time, is of such a test plan: its name must be whole."

    async def _missing_keys(self, filters: Filters) -> FilterKeys | None:
        """What of a filter no run carries, by the runs read for it, or else by the first of the whole list."""
        if not filters.read:
            await self.read_rows({}, self.id_of, lambda body, _: bool(filters.note(body)), lambda _: True)
        return filters.missing_keys()

    async def get_run(self, run_id: str) -> RunDetail:
        row = await self._row(run_id)
        run = self._run(row)
        return RunDetail(
            run=KnownRun(**run.model_dump(), batch=row.batch_number),
            tags=tags_of(row),
            cases=[] if run.outcome == "pass" else await self.failed_cases(run_id),
            note="StandCloud tells only of failed cases, and keeps no files.",
        )

    async def get_failures(self, run_id: str) -> list[FailedRun]:
        run = self._run(await self._row(run_id))
        cases = [] if run.outcome == "pass" else await self.failed_cases(run_id)
        return [FailedRun(**run.model_dump(), cases=cases)]

    async def failed_cases(self, run_id: str) -> list[Case]:
        """The failed cases of a run, by its native id."""
        reply = await self.get(f"test_run/{quote(run_id, safe='')}/failed_case")
        if reply.status == 404:
            raise BadReply(
                self.name,
                f"{self.name} has the run, and answers 404 for its failed cases",
                "What failed in it is not known",
                "Its version may not have them, or the run has been deleted meanwhile: list_runs shows whether.",
            )
        self.check(reply, "test run's failed cases")
        return [case_of(row) for row in decode_value(reply, self.read_list(reply), list[FailedCaseRow])]

    def id_of(self, body: Body) -> str:
        if isinstance(run_id := body.get("test_run_id"), str) and run_id:
            return run_id
        raise BadReply(self.name, f"{self.name} sent a run without test_run_id", "", "`testlab-mcp doctor` tests it.")

    async def _row(self, run_id: str) -> TestRunRow:
        what, then = f"{self.name} has no such test run", "list_runs shows the runs there are."
        if not self.owns_run(run_id):
            raise NotFound(what, "Its run ids are UUIDs", then).naming(run_id)
        reply = await self.get(f"test_run/{quote(run_id, safe='')}")
        if reply.status == 404 and await self._lacks(run_id, reply):
            raise NotFound(what, "", then).naming(run_id)
        self.check(reply, "test run")
        rows = decode_value(reply, self.read_list(reply), list[TestRunRow])
        found = next((row for row in rows if row.test_run_id.casefold() == run_id.casefold()), None)
        if found is None:
            raise BadReply(
                self.name,
                f"{self.name} was asked for one run and did not send it",
                "It sent others, or none: nothing is known about that run",
                f"Check [services.{self.name}] url; `testlab-mcp doctor` tests it.",
            )
        return found

    async def _lacks(self, run_id: str, reply: Reply) -> bool:
        """Whether 404 for a run means that there is none such.

        No body is documented for it, and other servers, paths and proxies answer 404 too. So it is believed where it
        is told as an error of this API, by a service that lists runs under the same path, and not this one.
        """
        if "detail" not in reply.members:
            return False
        params = {"test_run_id": run_id}
        try:
            listing = await self.read_rows(params, self.id_of, lambda body, moment: True, lambda _: True)
        except BadInput:
            return is_own_error(reply)
        return all(row.key[1].casefold() != run_id.casefold() for row in listing.rows)

    def _run(self, row: TestRunRow, offset: int = 0) -> Run:
        began = row.start_time or row.finish_time or EARLIEST
        return Run(
            run_id=self.handle(row.test_run_id),
            outcome=outcome(row.status),
            test=row.test_plan_name,
            started_at=began,
            duration_s=round(row.seconds, 1),
            station=row.test_stand_name or row.test_stand_hw_id,
            unit=row.serial_number,
            part=row.part_number,
            attempt=row.number_of_attempt or 0,
            position=str(Position(began, row.test_run_id, offset)),
        )

    async def list_failures(self, query: RunQuery, limit: int) -> Failures:
        query = replace(query, outcome=query.outcome or "fail", oldest_first=False)
        begun = time.monotonic()
        found = await self.list_runs(query, limit)
        left = CALL_SECONDS - (time.monotonic() - begun)
        asked = [self.native(run.run_id) for run in found.runs[:MAX_READ]]
        read = await self.read_cases(asked, max(1.0, min(CASES_SECONDS, left)))
        failures = [failure for run, cases in zip_longest(found.runs, read) for failure in _failures(run, cases or [])]
        unread = len(found.runs) - sum(cases is not None for cases in read)
        return Failures(failures, len(found.runs), found.more, unread)

    async def read_cases(self, run_ids: Sequence[str], seconds: float = CASES_SECONDS) -> list[list[Case] | None]:
        """The failed cases of each run, None where they could not be had. Raises when none at all could."""
        if not run_ids:
            return []
        reads = [asyncio.ensure_future(self.failed_cases(run_id)) for run_id in run_ids]
        try:
            await asyncio.wait(reads, timeout=seconds)
        finally:
            for read in reads:
                read.cancel()
        answers = await asyncio.gather(*reads, return_exceptions=True)
        cases = [self._cases_of(answer) for answer in answers]
        if all(told is None for told in cases):
            slow = ServiceDown(
                self.name,
                f"{self.name} listed failed runs, but none of their cases within {seconds:.0f} s",
                "",
                "Call again later, or get_failed_cases for one run.",
            )
            raise next((answer for answer in answers if isinstance(answer, LabError)), slow)
        return cases

    def _cases_of(self, answer: list[Case] | BaseException) -> list[Case] | None:
        """One run's failed cases that do not come are one run's trouble; a token that is refused is everyone's."""
        if not isinstance(answer, BaseException):
            return answer
        if isinstance(answer, AuthError | ConfigError) or not isinstance(answer, LabError | asyncio.CancelledError):
            raise answer
        return None


def _failures(run: Run, cases: list[Case]) -> list[Failure]:
    if not cases:
        return [Failure(run, "", "")]
    return [Failure(run, case.case, case.reason, retried=case.attempts - 1) for case in cases]
