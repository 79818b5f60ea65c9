"""Tools about many runs at once: reports in files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import Export, RunExport
from testlab_tools.errors import BadInput
from testlab_tools.questions import RunQuery
from testlab_tools.records import Exported
from testlab_tools.registry import LOOK, Call, tool
from testlab_tools.times import parse_span
from testlab_tools.writing import Writer


@tool(toolset="runs", access="observe", needs=RunExport, hints=LOOK)
async def export_runs(
    call: Call,
    save_to: Annotated[str, Field(min_length=1)],
    format: Literal["csv", "junit"] = "csv",
    service: str = "",
    outcome: Literal["", "pass", "fail", "error"] = "",
    test: str = "",
    station: str = "",
    since: str = "",
    until: str = "",
    filter: str = "",
) -> Exported:
    """Write all runs that match, filtered as by list_runs, to a CSV or JUnit XML file, however many there are.

    Gives the count, not the runs. Never overwrites. finished=false: call again with the same arguments.
    """
    exporter = call.lab.one(RunExport, service)
    target = call.files.to_write(save_to)
    if target is None:
        raise BadInput("save_to is empty", "", "Give a file name.")
    begin, end = parse_span(since, until)
    query = RunQuery(
        outcome=outcome,
        test=test,
        station=call.lab.native(station),
        text=filter,
        since=begin,
        until=end,
    )

    async def work(out: Writer) -> Export:
        return await exporter.export_runs(query, format, out.write)

    async def watch(size: int) -> None:
        await call.progress(size, size, f"{size} bytes written")

    key = (exporter.name, format, outcome, test, station, since, until, filter)
    state = await call.files.transfers.run(target, key, work, watch)
    if not state.finished:
        note = "It goes on."
        return Exported(
            saved_to="",
            format=format,
            finished=False,
            bytes=state.size,
            note=note,
            next="Call again with the same arguments.",
        )
    facts: Export = state.facts
    return Exported(
        saved_to=str(target),
        format=format,
        finished=True,
        runs=facts.runs,
        bytes=state.size,
        note=_note(facts, format),
    )


def _note(facts: Export, format: str) -> str:
    notes: list[str] = []
    if facts.pages > 1:
        form = "each its own testsuite below one testsuites" if format == "junit" else "one header"
        notes.append(f"Put together from {facts.pages} reports of consecutive spans of time, {form}.")
    if facts.runs != facts.listed:
        notes.append(
            f"The service lists {facts.listed} such runs: some may have ended meanwhile, or its reports differ."
        )
    return " ".join(notes)
