"""Tools about runs: what ran, and why it failed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import DETAILED_FAILURES, RunArchive, RunEraser
from testlab_tools.catalog.arguments import AnyOutcome, Cursor, Limit, RunId, Service, Since, Until
from testlab_tools.errors import BadInput
from testlab_tools.merged import list_merged
from testlab_tools.models import Deleted, FailedCases, RunPage
from testlab_tools.questions import RunQuery
from testlab_tools.records import RunDetail, explained, shortened
from testlab_tools.registry import DESTROY, LOOK, Call, Question, tool
from testlab_tools.times import iso, parse_span
from testlab_tools.untrusted import quoted


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def list_runs(
    call: Call,
    service: Service = "",
    outcome: AnyOutcome = "",
    unit: Annotated[str, Field(description="Serial number")] = "",
    part: Annotated[str, Field(description="Part number")] = "",
    test: Annotated[str, Field(description="Test case, procedure or test plan")] = "",
    station: Annotated[str, Field(description="Node, station or stand")] = "",
    since: Since = "",
    until: Until = "",
    filter: Annotated[str, Field(description="In the service's own grammar; needs service")] = "",
    sort: Literal["newest", "oldest"] = "newest",
    limit: Limit = 20,
    cursor: Cursor = "",
) -> RunPage:
    """List test runs of all services or one, newest first, with outcome, test, unit, station and failure reason.

    Gives no steps or logs: explain_failure does. Says each service's total, what was cut, and any outage.
    """
    archives = call.lab.offering(RunArchive, service)
    if filter and len(archives) > 1:
        raise BadInput("filter is in one service's own grammar", "", "Give service as well.")
    begin, end = parse_span(since, until)
    query = RunQuery(
        outcome=outcome,
        unit=unit,
        part=part,
        test=test,
        station=call.lab.native(station),
        text=filter,
        since=begin,
        until=end,
        oldest_first=sort == "oldest",
    )
    question = "\n".join((service, outcome, unit, part, test, station, since, until, filter, sort))
    return await list_merged(archives, query, limit, cursor, question)


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def get_run(
    call: Call, run_id: RunId, include: list[Literal["cases", "measurements", "tags", "artifacts"]] = []
) -> RunDetail:
    """Get one run: outcome, reason, who ran it, revision, batch, category, link; steps and more with include.

    get_failed_cases is shorter on why it failed.
    """
    archive, native = call.lab.owner(run_id, RunArchive, lambda archive, run: archive.owns_run(run))
    return shortened(await archive.get_run(native), include)


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def get_failed_cases(
    call: Call,
    run_id: Annotated[str, Field(description="Run handle, or a job_uid for all its failed runs", min_length=1)],
) -> FailedCases:
    """Explain a run that did not pass: its failing steps with reason, measurements against limits, attempts, traceback.

    A retried step counts once, with its last attempt. Leaves out passing steps and logs.
    """
    archive, native = call.lab.owner(run_id, RunArchive, lambda archive, run: archive.owns_run(run))
    runs = await archive.failures(native)
    failed = [run for run in runs if run.outcome != "pass"]
    if not failed:
        return FailedCases(runs=[], note="Nothing failed: the run passed, or no run of the job has failed so far.")
    told = explained(failed, DETAILED_FAILURES)
    return told.model_copy(update={"next": "list_runs(test=…) shows whether the same fails elsewhere."})


async def _what_goes(call: Call, run_id: str, confirm: str) -> Question:
    """The run and what is in it, counted now."""
    eraser, native = call.lab.owner(run_id, RunEraser, _has_runs_like)
    held = await eraser.run_contents(native)
    run = held.run
    files = "any attachments (not counted)" if held.attachments is None else f"{held.attachments} attachments"
    return Question(
        f"Delete run {run.run_id} ({run.outcome}, {iso(run.started_at)}) with its {held.phases} phases, "
        f"{held.measurements} measurements and {files}, for good?",
        target=run.run_id,
        quoted=f"\nUnit: {quoted(run.unit)}\nTest: {quoted(run.test)}",
    )


@tool(toolset="production", access="admin", needs=RunEraser, hints=DESTROY, asks=_what_goes)
async def delete_run(
    call: Call,
    run_id: RunId,
    confirm: Annotated[str, Field(description="Only if the client cannot ask: the run_id")] = "",
) -> Deleted:
    """Delete a run with its phases, measurements and attachments, for good. A person is asked first."""
    eraser, native = call.lab.owner(run_id, RunEraser, _has_runs_like)
    await eraser.delete_run(native)
    return Deleted(deleted=eraser.handle(native))


def _has_runs_like(service: RunEraser, run_id: str) -> bool:
    return isinstance(service, RunArchive) and service.owns_run(run_id)
