"""What an explanation asks of the services: all parts at once. One that cannot be had does not spoil the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, NamedTuple, TypeVar

from testlab_tools.capabilities import Failure, FailureArchive, Failures, LogKeeper, RunArchive, RunScreenshots
from testlab_tools.deadline import Deadline
from testlab_tools.errors import LabError, ServiceDown
from testlab_tools.fanout import gather_all
from testlab_tools.files.logs import ReasonLines, read_log, search_texts
from testlab_tools.files.pictures import prepare_picture
from testlab_tools.models.lab import Case, FailedRun, ResultModel, Run, RunPage
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import KnownRun, RunDetail
from testlab_tools.paging import list_merged
from testlab_tools.registry import Picture
from testlab_tools.triage.breaks import Break, find_break

T = TypeVar("T")

PART_SHARE = 0.45
"""Of a call's time, for one part."""

LOG_SHARE = 0.18
"""Of a call's time, for waiting until a log comes, and again for reading it."""

MAX_HISTORY_RUNS = 50
AROUND = timedelta(days=14)
MAX_FAILED_RUNS = 200
MAX_READ_RUNS = 12
"""How many runs are read one by one, where a service lists them without saying what failed."""


Part = Literal["cases", "log", "history", "elsewhere", "broke", "screenshot"]


class Missing(ResultModel):
    """A part that could not be had, and why, in our words."""

    part: Part
    why: str


class CollectedLog(NamedTuple):
    """The lines of a log around the reason; `whole` is false when it was only read for `seconds`."""

    excerpt: ReasonLines
    lines: int
    whole: bool
    seconds: float


@dataclass
class Evidence:
    """All that was had of a failed run. `contradicts`: the run is said not to have passed, but no case of it failed.

    `history` lists runs of its unit or station, `similar` failures of its test; `broke` is when the test did; `missing`
    names parts not had.
    """

    run: KnownRun
    cases: list[Case] = field(default_factory=list[Case])
    artifacts: list[str] = field(default_factory=list[str])
    contradicts: bool = False
    log: CollectedLog | None = None
    history: RunPage | None = None
    similar: Failures | None = None
    broke: Break | None = None
    screen: Picture | None = None
    missing: list[Missing] = field(default_factory=list[Missing])


async def collect(
    archive: RunArchive,
    native: str,
    detail: RunDetail,
    unit_archives: Sequence[RunArchive],
    known: RunArchive,
    deadline: Deadline,
) -> Evidence:
    """Ask for all parts at once; the log is searched once the failed cases are known."""
    evidence = Evidence(detail.run, artifacts=[file.name for file in detail.artifacts])
    parts = _Parts(deadline, evidence.missing)

    async def cases_and_log() -> None:
        failed = await parts.get("cases", archive.get_failures(native))
        _add_cases(evidence, failed[0] if failed else None, detail)
        if isinstance(archive, LogKeeper):
            evidence.log = await parts.get("log", collect_log(archive, native, evidence.cases, deadline))

    async def history() -> None:
        evidence.history = await parts.get("history", collect_history(archive, unit_archives, detail.run))

    async def similar() -> None:
        evidence.similar = await parts.get("elsewhere", collect_similar(known, detail.run))

    async def broke() -> None:
        evidence.broke = await parts.get("broke", collect_break(known, detail.run))

    async def screen() -> None:
        if isinstance(archive, RunScreenshots):
            evidence.screen = await parts.get("screenshot", collect_screen(archive, native))

    await gather_all(cases_and_log(), history(), similar(), broke(), screen())
    shares = evidence.history.services if evidence.history else []
    evidence.missing += [Missing(part="history", why=share.error) for share in shares if share.error]
    evidence.missing.sort(key=lambda missing: missing.part)
    return evidence


class _Parts(NamedTuple):
    deadline: Deadline
    missing: list[Missing]

    async def get(self, part: Part, question: Awaitable[T]) -> T | None:
        """The answer; where it cannot be had in time, None, and why in `missing`."""
        seconds = self.deadline.share(PART_SHARE)
        try:
            async with self.deadline.timeout(PART_SHARE):
                return await question
            why = f"It did not come within {seconds:.0f} s."
        except LabError as error:
            why = str(error)
        self.missing.append(Missing(part=part, why=why))
        return None


def _add_cases(evidence: Evidence, failed: FailedRun | None, detail: RunDetail) -> None:
    """The cases that failed, from the failures of the run where these were had, else from its details."""
    if failed is None:
        evidence.cases = [case for case in detail.cases if case.outcome not in ("pass", "skip")]
        return
    evidence.contradicts = not failed.cases
    evidence.cases = failed.cases
    if not failed.cases and failed.reason:
        evidence.cases = [Case(case=failed.test, outcome=failed.outcome, reason=failed.reason)]
    evidence.artifacts = evidence.artifacts or list(failed.artifacts)


async def collect_log(keeper: LogKeeper, native: str, cases: Sequence[Case], deadline: Deadline) -> CollectedLog:
    """The lines of the log around what failed.

    Raises:
        ServiceDown: the log did not begin to come in time.
    """
    reasons = [case.reason for case in cases] + [case.traceback.rstrip().rpartition("\n")[2] for case in cases]
    excerpt = ReasonLines(search_texts(reasons, [case.case for case in cases]))
    seconds = deadline.share(LOG_SHARE)
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(seconds):
                log = await stack.enter_async_context(keeper.open_log(native, "UTC"))
        except TimeoutError:
            what = f"The log did not begin to come within {seconds:.0f} s"
            raise ServiceDown(keeper.name, what, "", "read_log waits longer.") from None
        reading = await read_log(log.chunks, excerpt, seconds)
    return CollectedLog(excerpt, reading.lines, reading.whole, seconds)


async def collect_history(archive: RunArchive, unit_archives: Sequence[RunArchive], run: Run) -> RunPage:
    """The newest runs of the run's unit over all services; of a device that has no serial number, of the same test on
    its node."""
    if run.unit:
        return await list_merged(unit_archives, RunQuery(unit=run.unit), MAX_HISTORY_RUNS, "", "")
    return await list_merged([archive], RunQuery(test=run.test, station=run.station), MAX_HISTORY_RUNS, "", "")


async def collect_similar(archive: RunArchive, run: Run) -> Failures:
    """Failures of the same test around the same time; of runs listed without saying what failed, the newest are read.

    Raises:
        Unsupported: the archive cannot list runs by test.
    """
    query = RunQuery(test=run.test, since=run.started_at - AROUND, until=run.started_at + AROUND)
    listed = await _list_failures(archive, query)
    mute = [failure.run for failure in listed.failures if not failure.case and not failure.reason]
    mute.sort(key=lambda run: run.started_at, reverse=True)
    read = await gather_all(*(_read_failures(archive, run) for run in mute[:MAX_READ_RUNS]))
    found = {run.run_id: failures for run, failures in zip(mute, read, strict=False)}
    failures = [failure for listed_one in listed.failures for failure in found.get(listed_one.run.run_id, [listed_one])]
    return listed._replace(failures=[f for f in failures if f.run.test.casefold() == run.test.casefold()])


async def collect_break(archive: RunArchive, run: Run) -> Break:
    """When the run's test broke; at its station, where the test passed elsewhere just before the run.

    Raises:
        Unsupported: the archive cannot list runs by test.
    """
    query = RunQuery(test=run.test)
    anywhere = await find_break(archive, query, run.started_at)
    if not run.station or anywhere.first_failure is None or anywhere.first_failure.run_id != run.run_id:
        return anywhere
    there = await find_break(archive, replace(query, station=run.station), run.started_at)
    if there.first_failure is None or there.first_failure.run_id == run.run_id:
        return anywhere
    return there.model_copy(update={"note": f"{there.note} At its station; others pass.".strip()})


async def _list_failures(archive: RunArchive, query: RunQuery) -> Failures:
    if isinstance(archive, FailureArchive):
        return await archive.list_failures(query, MAX_FAILED_RUNS)
    queries = [replace(query, outcome=outcome) for outcome in ("fail", "error")]
    pages = await gather_all(*(archive.list_runs(one, MAX_FAILED_RUNS // 2) for one in queries))
    runs = [run for page in pages for run in page.runs]
    return Failures([Failure(run, "", run.reason) for run in runs], len(runs), any(page.more for page in pages))


async def _read_failures(archive: RunArchive, run: Run) -> list[Failure]:
    failed = await archive.get_failures(archive.native(run.run_id))
    return [Failure(run, case.case, case.reason) for one in failed for case in one.cases] or [Failure(run, "", "")]


async def collect_screen(archive: RunScreenshots, native: str) -> Picture:
    """The screen at the run's end, in the size that a model reads."""
    image = await archive.get_run_screenshot(native)
    return await asyncio.to_thread(prepare_picture, image, "The image, the screen at its end", "model")
