"""Tools about runs: list them, explain and delete one, export many to a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.archive.archive import forget_runs
from testlab_tools.capabilities import DETAILED_FAILURES, Export, RunArchive, RunEraser, RunExport
from testlab_tools.errors import BadInput
from testlab_tools.export import export_listed
from testlab_tools.fanout import ask_each
from testlab_tools.files.io import Writer
from testlab_tools.files.transfers import TransferResult
from testlab_tools.models.lab import Deleted, FailedCases, FailedRun, RunPage, UnreadRun
from testlab_tools.models.requests import RunQuery
from testlab_tools.models.results import Exported, RunDetail, shorten_run, summarise_failures
from testlab_tools.paging import count_runs, list_merged
from testlab_tools.registry import DESTROY, LOOK, Call, Question, tool
from testlab_tools.times import iso, parse_span
from testlab_tools.tools.arguments import AnyOutcome, RunId, Service, Since, Until
from testlab_tools.untrusted import quote

MAX_ASKED = 20
"""Runs of which get_failed_cases tells at once."""


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def list_runs(
    call: Call,
    service: Service = "",
    outcome: AnyOutcome = "",
    unit: Annotated[str, Field(description="Serial number")] = "",
    part: str = "",
    test: Annotated[str, Field(description="Test case, procedure or test plan")] = "",
    station: Annotated[str, Field(description="Node, station or stand")] = "",
    since: Since = "",
    until: Until = "",
    filter: Annotated[str, Field(description="In the service's own grammar; needs service")] = "",
    sort: Literal["newest", "oldest", "longest"] = "newest",
    limit: Annotated[int, Field(ge=0, le=200, description="0: only counts by outcome")] = 20,
    cursor: str = "",
) -> RunPage:
    """List or count test runs of all services or one: outcome, test, unit, station, revision and failure reason.

    No steps or logs: explain_failure has them. Says each service's total by outcome, and any outage.
    """
    archives = call.lab.offering(RunArchive, service)
    if limit == 0 and cursor:
        raise BadInput("limit=0 counts all runs, not a page of them", "", "Leave cursor out.")
    if filter and len(archives) > 1:
        raise BadInput("filter is in one service's own grammar", "", "Give service as well.")
    wanted = _build_query(call, outcome, unit, part, test, station, filter, since, until)
    query = replace(wanted, oldest_first=sort == "oldest", longest_first=sort == "longest", explain_empty=True)
    if limit == 0:
        return await count_runs(archives, query, call.deadline)
    question = "\n".join((call.caller, service, outcome, unit, part, test, station, since, until, filter, sort))
    return await list_merged(archives, query, limit, cursor, question)


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def get_run(
    call: Call, run_id: RunId, include: list[Literal["cases", "measurements", "tags", "artifacts"]] = []
) -> RunDetail:
    """Get what is recorded of one run: outcome, reason, who ran it, revision, batch, category, link; more with include.

    Why it failed: get_failed_cases.
    """
    archive, native = call.lab.run_owner(run_id, RunArchive)
    return shorten_run(await archive.get_run(native), include)


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def get_failed_cases(
    call: Call,
    run_id: Annotated[str, Field(description="Run handle, or a job_uid for all its failed runs")] = "",
    run_ids: Annotated[list[str], Field(max_length=MAX_ASKED)] = [],
) -> FailedCases:
    """Get the failing steps of runs or a job: reason, measurements against limits, attempts, traceback.

    A retried step counts once, with its last attempt. Leaves out passing steps, logs and history: explain_failure.
    """
    asked = list(dict.fromkeys(name for name in (run_id, *run_ids) if name))
    if not asked:
        raise BadInput("No run is asked for", "", "Give run_id or run_ids: list_runs shows runs.")

    async def read(handle: str) -> list[FailedRun]:
        archive, native = call.lab.run_owner(handle, RunArchive)
        return await archive.get_failures(native)

    answers = await ask_each(asked, read)
    answers.require_any()
    unread = [UnreadRun(run_id=handle, error=str(error)) for handle, error in answers.failed.items()]
    runs = [run for found in answers.given.values() for run in found]
    failed = [run for run in runs if run.outcome != "pass"]
    if not failed:
        note = "Nothing failed: the run passed, or no run of the job has failed so far."
        if unread:
            note = "Of the runs that could be read, none failed."
        return FailedCases(runs=[], unread=unread, note=note)
    summary = summarise_failures(failed, DETAILED_FAILURES)
    after = "list_runs(test=…) shows whether the same fails elsewhere."
    return summary.model_copy(update={"unread": unread, "next": after})


async def _ask_before_deleting(call: Call, run_id: str, confirm: str) -> Question:
    """The run and what is in it, counted now."""
    eraser, native = call.lab.run_owner(run_id, RunEraser)
    held = await eraser.get_run_contents(native)
    run = held.run
    files = "any attachments (not counted)" if held.attachments is None else f"{held.attachments} attachments"
    return Question(
        f"Delete run {run.run_id!r} ({run.outcome}, {iso(run.started_at)}) with its {held.phases} phases, "
        f"{held.measurements} measurements and {files}, for good?",
        target=run.run_id,
        quoted=f"\nUnit: {quote(run.unit)}\nTest: {quote(run.test)}",
    )


@tool(toolset="production", access="admin", needs=RunEraser, hints=DESTROY, asks=_ask_before_deleting)
async def delete_run(
    call: Call,
    run_id: RunId,
    confirm: Annotated[str, Field(description="If the client cannot ask: the run_id")] = "",
) -> Deleted:
    """Delete a run with its phases, measurements and attachments, for good. A person is asked first."""
    eraser, native = call.lab.run_owner(run_id, RunEraser)
    await eraser.delete_run(native)
    await forget_runs(call, eraser, [eraser.handle(native)])
    return Deleted(deleted=eraser.handle(native))


@tool(toolset="runs", access="observe", needs=RunArchive, hints=LOOK)
async def export_runs(
    call: Call,
    save_to: Annotated[str, Field(min_length=1, description="A name alone: below [files] save_to")],
    format: Literal["csv", "junit"] = "csv",
    service: str = "",
    outcome: AnyOutcome = "",
    unit: str = "",
    part: str = "",
    test: str = "",
    station: str = "",
    since: str = "",
    until: str = "",
    filter: str = "",
) -> Exported:
    """Write a service's runs that match, filtered as by list_runs, to a CSV or JUnit XML file.

    Returns count and columns, not the runs. Never overwrites. finished=false: repeat the call.
    """
    archive = call.lab.one(RunArchive, service)
    target = call.files.to_write(save_to)
    if target is None:
        raise BadInput("save_to is empty", "", "Give a file name.")
    query = _build_query(call, outcome, unit, part, test, station, filter, since, until)

    async def work(out: Writer) -> Export:
        if isinstance(archive, RunExport):
            return await archive.export_runs(query, format, out.write)
        return await export_listed(archive, query, format, out.write)

    async def watch(size: int) -> None:
        await call.progress(size, size, f"{size} bytes written")

    key = (archive.name, format, outcome, unit, part, test, station, since, until, filter)
    state = await call.files.transfers.run(target, key, work, watch, call.deadline.long_step())
    return _report_export(state, str(target), format)


def _build_query(
    call: Call, outcome: str, unit: str, part: str, test: str, station: str, text: str, since: str, until: str
) -> RunQuery:
    begin, end = parse_span(since, until)
    native = call.lab.native(station)
    return RunQuery(outcome, unit, part, test, native, text=text, since=begin, until=end)


MAX_COLUMNS = 50


def _report_export(state: TransferResult, path: str, format: Literal["csv", "junit"]) -> Exported:
    if not state.finished:
        again = "Call again with the same arguments."
        return Exported(saved_to="", format=format, finished=False, bytes=state.size, note="It goes on.", next=again)
    facts: Export = state.facts
    return Exported(
        saved_to=path,
        format=format,
        finished=True,
        runs=facts.runs,
        columns=list(facts.columns[:MAX_COLUMNS]),
        bytes=state.size,
        note=_note_about_pages(facts, format),
    )


def _note_about_pages(facts: Export, format: str) -> str:
    notes: list[str] = []
    if facts.pages > 1:
        form = "each its own testsuite below one testsuites" if format == "junit" else "one header"
        notes.append(f"Put together from {facts.pages} reports of consecutive spans of time, {form}.")
    if facts.runs != facts.listed:
        notes.append(
            f"The service lists {facts.listed} such runs: some may have ended meanwhile, or its reports differ."
        )
    return " ".join(notes)
