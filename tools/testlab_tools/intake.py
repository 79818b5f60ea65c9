"""A report that is read here becomes a run; or it is only said what it would become."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import get_args
from uuid import UUID, uuid5

from testlab_tools.capabilities import AttachmentSink, RunSink
from testlab_tools.errors import BadInput, LabError
from testlab_tools.files import Folders
from testlab_tools.models import CreatedRun, Noun
from testlab_tools.questions import NewRun
from testlab_tools.reading import read_file, too_large
from testlab_tools.recording import record
from testlab_tools.registry import Call
from testlab_tools.reports.plan import PlannedRun, planned
from testlab_tools.reports.recognition import Format, recognised
from testlab_tools.reports.report import Attachment, Report, counted

MOST_CHARS = 1_000_000
"""Of a report given as text; larger ones are given as files."""
LOOK_SECONDS = 5.0
"""For the question whether a run is there already. A service that takes longer is sent it, and knows it by its ref."""
_ENCODING = re.compile(r"\A(\s*<\?xml[^>]*?)\sencoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class Given:
    """What the caller says of a report, in place of what stands in it."""

    serial_number: str = ""
    procedure_id: str = ""
    part_number: str = ""
    started_at: datetime | None = None


class ImportedReport(Noun):
    """The runs that a report has become, or the delivery that is `queued`; or, of a dry run, the run it would become.

    `missing` names arguments without which it cannot be recorded, `lost` what would not be kept.
    """

    format: Format
    run_ids: list[str] = []
    queued: str = ""
    plan: PlannedRun | None = None
    missing: list[str] = []
    lost: list[str] = []
    note: str = ""
    next: str = ""


async def fetched(files: Folders, path: str, content: str) -> tuple[str, bytes]:
    """Name and content of the report. Raises BadInput unless exactly one is given."""
    if bool(path) == bool(content):
        raise BadInput("Give either path or content", "", "path is a file, content its text.")
    if len(content) > MOST_CHARS:
        raise too_large("content", MOST_CHARS)
    if path:
        target = files.to_read(path)
        return target.name, await asyncio.to_thread(read_file, target)
    # What an XML declaration says of the file's encoding does not hold for text taken out of it.
    return "report", _ENCODING.sub(r"\1", content, count=1).encode(errors="replace")


async def recognise(form: str, data: bytes) -> Format:
    """The format as it was named, or as the content shows it. Raises BadInput for an unknown one."""
    named: Format | None = next((known for known in get_args(Format) if known == form), None)
    return named or await asyncio.to_thread(recognised, data)


async def read(form: Format, data: bytes, given: Given) -> Report:
    """A report of a format that is read here."""
    report = await asyncio.to_thread(_read, form, data, given.started_at)
    return report.about(given.serial_number, given.procedure_id, given.part_number)


def plan(sink: RunSink, form: Format, report: Report) -> ImportedReport:
    """What `accept` would record. Nothing is asked of the service."""
    missing = report.missing
    lost = [*report.dropped, *([] if missing else sink.foresee(report.run)), *_unfit(sink, report.attachments)]
    asked = f"Dry run: {sink.name} was not asked anything, so whether it knows the procedure is not known."
    part = "" if report.run.part_number else " The report names no part: a unit that is new may need part_number."
    return ImportedReport(
        format=form,
        plan=planned(sink.name, report),
        missing=missing,
        lost=lost,
        note=asked + part,
        next=f"Call again with {' and '.join(missing)}." if missing else "Call again with dry_run=false.",
    )


async def accept(call: Call, sink: RunSink, form: Format, report: Report) -> ImportedReport:
    """Record the run of a report, unless it is there already."""
    run = report.whole()
    # A delivery goes by its ref, so the same report to another service has another.
    run = replace(run, ref=str(uuid5(UUID(run.ref), sink.name)))
    if (known := await _known(sink, run)) is not None:
        note = "It was there already: nothing was recorded."
        return ImportedReport(format=form, run_ids=[known.run_id], note=note, next=known.next)
    done = await record(call, sink, run, report.attachments)
    created = done.created
    return ImportedReport(
        format=form,
        run_ids=[created.run_id] if created.run_id else [],
        queued=created.queued,
        lost=[*report.dropped, *(f"{left} ({done.why})" for left in counted(len(done.left), "attachment"))],
        note=created.note,
        next=created.next,
    )


def _read(form: Format, data: bytes, started_at: datetime | None) -> Report:
    match form:
        case "junit":
            from testlab_tools.reports.junit import junit_report

            return junit_report(data, started_at)
        case _ if started_at is not None:
            raise BadInput("started_at cannot be changed", "The report says when its run began", "Leave it out.")
        case "openhtf":
            from testlab_tools.reports.openhtf import openhtf_report

            return openhtf_report(data)
        case "hardpy":
            from testlab_tools.reports.hardpy import hardpy_report

            return hardpy_report(data)
        case _:
            raise AssertionError(f"{form} is read by services")


async def _known(sink: RunSink, run: NewRun) -> CreatedRun | None:
    """The run if the service has it. Any trouble is met again by whoever records it, who tells of it or outlasts it."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await sink.find_created(run)
    except (LabError, TimeoutError):
        return None


def _unfit(sink: RunSink, files: Sequence[Attachment]) -> list[str]:
    """What the service will not keep of the files in a report."""
    if not isinstance(sink, AttachmentSink):
        return list(counted(len(files), "attachment"))
    return list(counted(sum(len(file.data) > sink.most_bytes for file in files), "attachment too large"))
