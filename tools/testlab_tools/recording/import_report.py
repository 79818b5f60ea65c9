"""Records the run of a report that is read here, or delivers a report to the service's own importer. A dry run says
what would become of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args
from uuid import NAMESPACE_OID, UUID, uuid5

from testlab_tools.capabilities import AttachmentSink, Foreseen, ReportImporter, RunSink
from testlab_tools.deadline import Deadline
from testlab_tools.errors import BadInput, LabError, Unsupported
from testlab_tools.fanout import ask_all
from testlab_tools.files.folders import Folders
from testlab_tools.files.io import read_file, too_large_error
from testlab_tools.models.lab import ResultModel, StoredRun
from testlab_tools.models.requests import NewRun
from testlab_tools.outbox.messages import AT_ONCE, QUEUED, build_refusal, describe_waiting
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import MAX_BYTES, MAX_FILES, ReportPayload
from testlab_tools.recording.record import read_back, record_run
from testlab_tools.registry import Call
from testlab_tools.reports.formats import IMPORTERS, Format, detect_format, read_identity
from testlab_tools.reports.read import is_allure, read_format
from testlab_tools.reports.report import Attachment, PlannedRun, Report, format_count, plan_run
from testlab_tools.untrusted import sanitize

T = TypeVar("T")

MAX_CHARS = 1_000_000
"""Of a report given as text; larger ones are given as files."""
LOOK_SHARE = 0.08
"""Of a call's time, to ask whether a run is there already. A slower service is sent it, and knows it by its ref."""
CHECK_SHARE = 0.2
"""Of a call's time, for all that a dry run asks."""
_ENCODING = re.compile(r"\A(\s*<\?xml[^>]*?)\sencoding\s*=\s*(?:\"[^\"]*\"|'[^']*')")


@dataclass(frozen=True)
class ReportOverrides:
    """What the caller says of a report, in place of what stands in it."""

    serial_number: str = ""
    procedure_id: str = ""
    part_number: str = ""
    started_at: datetime | None = None


class ImportedReport(ResultModel):
    """The runs that a report has become, as they are stored, or the delivery that is `queued`, as it will be sent; or,
    of a dry run, the run it would become.

    `missing` names arguments without which it cannot be recorded, `refused` says what the service would not take,
    `unchecked` what could not be asked, `lost` what would not be kept.
    """

    format: Format
    run_ids: list[str] = []
    runs: list[StoredRun] = []
    queued: str = ""
    plan: PlannedRun | None = None
    missing: list[str] = []
    refused: list[str] = []
    unchecked: list[str] = []
    lost: list[str] = []
    note: str = ""
    next: str = ""


class ReportSource(NamedTuple):
    """A report as it was given: its content, or of Allure results their folder."""

    form: Format
    name: str
    data: bytes
    folder: Path | None = None


async def open_report(files: Folders, path: str, content: str, form: str) -> ReportSource:
    """The report with its format, as it was named (`form`) or as the content shows it.

    Raises BadInput unless exactly one of path and content is given, or for an unknown format.
    """
    if bool(path) == bool(content):
        raise BadInput("Give either path or content", "", "path is a file, or a folder of Allure results.")
    if len(content) > MAX_CHARS:
        raise too_large_error("content", MAX_CHARS)
    if path:
        target = files.to_read(path)
        if target.is_dir() and is_allure(target):
            return ReportSource("allure", target.name, b"", target)
        name, data = target.name, await asyncio.to_thread(read_file, target)
    else:
        # What an XML declaration says of the file's encoding does not hold for text taken out of it.
        name, data = "report", _ENCODING.sub(r"\1", content, count=1).encode(errors="replace")
    named: Format | None = next((known for known in get_args(Format) if known == form), None)
    return ReportSource(named or await asyncio.to_thread(detect_format, data), name, data)


async def read_report(files: Folders, path: str, source: ReportSource, given: ReportOverrides) -> Report:
    """A report of a format that is read here, with the files beside it."""
    report = await asyncio.to_thread(_read_only, source, given.started_at)
    report = report.override(given.serial_number, given.procedure_id, given.part_number)
    return await read_files_beside(files, path, report, source.folder)


async def read_files_beside(folders: Folders, path: str, report: Report, folder: Path | None) -> Report:
    """The report at `path`, or in a folder, with the files beside it as attachments; those that cannot be read are
    dropped."""
    if not (path and report.files):
        return report
    here = folder or folders.to_read(path).parent
    found: list[Attachment] = []
    room = MAX_BYTES
    for name in report.files[:MAX_FILES]:
        with suppress(LabError):
            target = folders.to_read(str(here / name))
            found.append(Attachment(target.name, await asyncio.to_thread(read_file, target, room)))
            room -= len(found[-1].data)
    unread = format_count(len(report.files) - len(found), "attachment")
    dropped = (*report.dropped, *(f"{count} that cannot be read beside the report" for count in unread))
    return replace(report, files=(), attachments=(*report.attachments, *found), dropped=dropped)


async def plan_report(deadline: Deadline, sink: RunSink, form: Format, report: Report) -> ImportedReport:
    """What `record_report` would record, and what the service would refuse of it."""
    report = _keep_log(sink, report)
    missing = report.missing
    losses = [] if missing else sink.foresee_losses(report.run)
    found = Foreseen([], []) if missing else await _foresee(deadline, sink, report.run)
    asked = "Nothing was asked of it yet" if missing else "It was only asked"
    part = "" if report.run.part_number else " The report names no part: a unit that is new may need part_number."
    following = f"Call again with {' and '.join(missing)}." if missing else "Call again with dry_run=false."
    return ImportedReport(
        format=form,
        plan=plan_run(sink.name, report),
        missing=missing,
        refused=found.refused,
        unchecked=found.unchecked,
        lost=[*_list_dropped(sink, report), *losses, *_list_unfit(sink, report.attachments)],
        note=f"Dry run: {sink.name} recorded nothing. {asked}.{part}",
        next="Correct what would be refused, and try another dry run." if found.refused else following,
    )


async def _foresee(deadline: Deadline, sink: RunSink, run: NewRun) -> Foreseen:
    answers = await ask_all([sink], lambda sink: sink.check_run(run), deadline.share(CHECK_SHARE))
    foreseen = answers.of(sink.name)
    return Foreseen([], [f"anything: {foreseen.what}"]) if isinstance(foreseen, LabError) else foreseen


async def record_report(call: Call, sink: RunSink, form: Format, report: Report) -> ImportedReport:
    """Record the run of a report, unless it is recorded already."""
    report = _keep_log(sink, report)
    run = report.require_run()
    if not sink.keeps_reasons:
        run = replace(run, phases=tuple(replace(phase, reason="", traceback="") for phase in run.phases))
    # A delivery goes by its ref, so the same report to another service has another.
    run = replace(run, ref=str(uuid5(UUID(run.ref), sink.name)), report_ref=run.ref if sink.keeps_reports else "")
    if (known := await _ask_briefly(call.deadline, sink.find_created(run), None)) is not None:
        note = "It was there already: nothing was recorded."
        stored = await read_back(call, sink, [call.lab.native(known.run_id)])
        for kept in stored:
            kept.unit_is = "known"
        return ImportedReport(format=form, run_ids=[known.run_id], runs=stored, note=note, next=known.next)
    done = await record_run(call, sink, run, report.attachments)
    created = done.created
    return ImportedReport(
        format=form,
        run_ids=[created.run_id] if created.run_id else [],
        runs=[created.run] if created.run else [],
        queued=created.queued,
        lost=[
            *_list_dropped(sink, report),
            *(f"{left} ({done.why})" for left in format_count(len(done.left), "attachment")),
        ],
        note=created.note,
        next=created.next,
    )


def _keep_log(sink: RunSink, report: Report) -> Report:
    """The report with its log as one more file, where that is kept."""
    if not (sink.keeps_reports and report.log):
        return report
    log = Attachment("report.log", report.log.encode("utf-8", "replace"))
    dropped = tuple(entry for entry in report.dropped if not entry.endswith(" of log"))
    return replace(report, dropped=dropped, attachments=(*report.attachments, log))


def _read_only(source: ReportSource, started_at: datetime | None) -> Report:
    if source.folder is not None:
        from testlab_tools.reports.allure import read_allure

        return read_allure(source.folder)
    reports = read_format(source.form, source.data, started_at)
    if len(reports) > 1:
        raise BadInput("The report is of several runs", f"It holds {len(reports)} of them", "Give a report of one run.")
    return reports[0]


async def _ask_briefly(deadline: Deadline, question: Awaitable[T], otherwise: T) -> T:
    """What the service answers soon. Errors are ignored: recording the run meets them again."""
    with suppress(LabError):
        async with deadline.timeout(LOOK_SHARE):
            return await question
    return otherwise


def _list_dropped(sink: RunSink, report: Report) -> list[str]:
    """What a run does not keep of the report, or the service of the run."""
    tracebacks = 0 if sink.keeps_reasons else sum(bool(phase.traceback) for phase in report.run.phases)
    beside = [f"{count} beside the report" for count in format_count(len(report.files), "file")]
    return [*report.dropped, *format_count(tracebacks, "traceback"), *beside]


def _list_unfit(sink: RunSink, files: Sequence[Attachment]) -> list[str]:
    """What the service will not keep of the files in a report."""
    if not isinstance(sink, AttachmentSink):
        return list(format_count(len(files), "attachment"))
    return list(format_count(sum(len(file.data) > sink.max_bytes for file in files), "attachment too large"))


EXPLAINED = "get_failed_cases(run_id) explains those that did not pass."
THERE = "It was there already: nothing was imported."
UNASKED = (
    "It was imported before, and nothing was sent: it would be there twice. Whether it is still there cannot be asked "
    "without serial_number; give that if it was deleted."
)


def plan_import(service: ReportImporter, form: Format, data: bytes) -> ImportedReport:
    """The dry run of a report that the service itself reads."""
    importer = _importer_for(service, form)
    return ImportedReport(
        format=form,
        plan=PlannedRun(service=service.name, importer=importer, bytes=len(data)),
        unchecked=["all that is in it: the procedure, part, revision, sub-units and times"],
        note=f"Dry run: nothing was sent. {service.name} reads this format itself: what it makes of it is not known.",
        next="Call again with dry_run=false.",
    )


async def deliver_report(
    call: Call, service: ReportImporter, form: Format, name: str, data: bytes, given: ReportOverrides
) -> ImportedReport:
    """Have the service read the report, unless it is known to have, and say what it has stored.

    Raises: as `_send`.
    """
    done = await _send(call, service, form, name, data, given)
    stored = await read_back(call, service, [call.lab.native(run_id) for run_id in done.run_ids])
    return done.model_copy(update={"runs": stored})


async def _send(
    call: Call, service: ReportImporter, form: Format, name: str, data: bytes, given: ReportOverrides
) -> ImportedReport:
    """Have the service read the report, unless it is known to have.

    Raises:
        BadInput: it is larger than the service reads, or given with what cannot be changed in it; nothing is written.
        LabError: the service refused it, and the delivery is parked.
    """
    importer = _importer_for(service, form)
    if given.procedure_id or given.part_number or given.started_at:
        raise BadInput(
            f"{service.name} reads {importer} reports itself",
            "procedure_id, part_number and started_at cannot be changed in them",
            "Leave them out.",
        )
    if len(data) > service.max_bytes:
        raise too_large_error("The report", service.max_bytes)
    identity = await asyncio.to_thread(read_identity, form, data)
    serial = given.serial_number or identity.serial_number
    outbox = call.lab.outbox_for(service.name)
    if outbox is None:
        imported = _describe_imported(service, form, await service.import_file(name, data, importer, serial))
        note = f"{imported.note} {AT_ONCE}" if call.lab.outbox is not None else imported.note
        return imported.model_copy(update={"note": note})
    payload = ReportPayload(
        importer=importer,
        name=sanitize(name) or "report",
        size=len(data),
        serial_number=serial,
        started_at=identity.started_at,
    )
    return await _deliver(call, outbox, service, form, payload, data)


async def _deliver(
    call: Call, outbox: Outbox, service: ReportImporter, form: Format, payload: ReportPayload, data: bytes
) -> ImportedReport:
    delivery_id = str(uuid5(NAMESPACE_OID, f"{service.name} {payload.importer} {sha256(data).hexdigest()}"))
    known = await outbox.get(delivery_id)
    if known is not None and known.progress.state == "delivered":
        earlier = [service.native(handle) for handle in known.progress.run_ids]
        look = service.find_imported(earlier, payload.serial_number, payload.started_at)
        found = await _ask_briefly(call.deadline, look, [])
        if found is None:
            return ImportedReport(format=form, run_ids=known.progress.run_ids, note=UNASKED, next=EXPLAINED)
        if found:
            return _describe_imported(service, form, found, THERE)
    record = await outbox.send(delivery_id, service.name, payload, [data], call.deadline.spent_s)
    if record.progress.state == "delivered":
        return _describe_imported(service, form, [service.native(handle) for handle in record.progress.run_ids])
    if record.progress.state == "parked":
        raise build_refusal(record)
    return ImportedReport(format=form, queued=record.delivery_id, note=describe_waiting(record), next=QUEUED)


def _describe_imported(service: ReportImporter, form: Format, natives: Sequence[str], note: str = "") -> ImportedReport:
    return ImportedReport(
        format=form,
        run_ids=[service.handle(native) for native in natives],
        note=note or f"Read by the {_importer_for(service, form)} importer of {service.name}.",
        next=EXPLAINED if natives else "list_runs(unit=…) shows the run.",
    )


def _importer_for(service: ReportImporter, form: Format) -> str:
    importer = IMPORTERS[form]
    if importer not in service.importers:
        raise Unsupported(
            f"{service.name} has no importer for this format",
            f"It has: {', '.join(sorted(service.importers))}",
            "Record the run with create_run.",
        )
    return importer
