"""Tools about reports: what test frameworks wrote, recorded as runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testlab_tools.capabilities import ReportImporter, RunSink
from testlab_tools.importing import accept_import, plan_import
from testlab_tools.intake import Given, ImportedReport, accept, fetched, plan, read, recognise
from testlab_tools.registry import ADD, Call, tool
from testlab_tools.reports.recognition import IMPORTERS, Format
from testlab_tools.times import parse_time


@tool(toolset="production", access="operate", needs=RunSink, hints=ADD)
async def import_report(
    call: Call,
    path: Annotated[str, Field(description="Below [files] read_from")] = "",
    content: str = "",
    format: Literal["auto", Format] = "auto",
    dry_run: bool = False,
    serial_number: Annotated[str, Field(description="Fill or replace the report's")] = "",
    procedure_id: str = "",
    part_number: str = "",
    started_at: str = "",
    service: str = "",
) -> ImportedReport:
    """Record the run that a test report tells of; the same report twice is one run.

    dry_run shows it, what is missing and what is lost, and asks the service nothing.
    """
    name, data = await fetched(call.files, path, content)
    form = await recognise(format, data)
    given = Given(serial_number, call.lab.native(procedure_id), part_number, parse_time(started_at, "started_at"))
    if form in IMPORTERS:
        importer = call.lab.one(ReportImporter, service)
        if dry_run:
            return plan_import(importer, form, data)
        return await accept_import(call, importer, form, name, data, given)
    sink = call.lab.one(RunSink, service)
    report = await read(form, data, given)
    return plan(sink, form, report) if dry_run else await accept(call, sink, form, report)
