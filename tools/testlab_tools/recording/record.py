"""Records a finished run at a service with its files, whichever tool it was given to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from testlab_tools.capabilities import AttachmentSink, RunSink, Service
from testlab_tools.errors import AnswerLost, BadReply, LabError, Unsupported
from testlab_tools.files.folders import Folders
from testlab_tools.files.io import read_file
from testlab_tools.http.trace import record_ref
from testlab_tools.models.lab import CreatedRun, StoredRun
from testlab_tools.models.requests import NewRun
from testlab_tools.outbox.messages import (
    AT_ONCE,
    BOUNDS,
    QUEUED,
    build_refusal,
    describe_unsent_files,
    describe_waiting,
    is_correctable,
)
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import MAX_BYTES, MAX_FILES, DeliveryRecord, FileFacts, RunPayload, run_adapter
from testlab_tools.registry import Call, drop_mentions
from testlab_tools.reports.report import Attachment
from testlab_tools.untrusted import sanitize

ATTACH_SHARE = 0.45
"""Of a call's time, for sending files: the run is recorded by then."""
READ_BACK_S = 1.5
READ_BACK_SHARE = 0.1
"""Of a call's time, for reading back what was stored: some clients give up after 5 s."""
MAX_READ_BACK = 5
NOT_READ_BACK = "What was stored could not be read back now."
DOUBT = "; whether the first of them is with the run is not known"


def read_attachments(folders: Folders, paths: Sequence[str], sink: RunSink) -> list[Attachment]:
    """The files at these paths, each small enough for the service.

    Raises:
        Unsupported: the service takes no files.
        LabError: as `Folders.to_read` and `read_file`, of the first that cannot be sent.
    """
    if not paths:
        return []
    if not isinstance(sink, AttachmentSink):
        raise Unsupported(f"Service {sink.name} keeps no files with runs", "", "Leave attachments out.")
    files = [folders.to_read(path) for path in paths]
    return [Attachment(file.name, read_file(file, sink.max_bytes)) for file in files]


async def attach_now(
    sink: RunSink, run_id: str, files: Sequence[Attachment], seconds: float
) -> tuple[Sequence[str], str]:
    """Send files to a recorded run within so many seconds; returns the names of those that were not kept, and why."""
    if not isinstance(sink, AttachmentSink):
        return [file.name for file in files], "its service keeps none"
    left = [file.name for file in files]
    why = ""
    doubted = False

    async def keeping() -> None:
        nonlocal doubted
        doubted = True

    try:
        async with asyncio.timeout(max(0.0, seconds)):
            for file in files:
                await sink.attach(run_id, file.name, file.data, keeping)
                left.pop(0)
                doubted = False
    except TimeoutError:
        why = f"there was no time for more within {seconds:.0f} s"
    except LabError as error:
        why = error.what
        doubted = doubted and isinstance(error, AnswerLost | BadReply)
    return left, f"{why}{DOUBT if doubted else ''}"


SAME = (
    "This is the delivery of your earlier identical call, whose answer may not have reached you: nothing was recorded "
    "twice. For another run give its started_at."
)


@dataclass(frozen=True)
class RecordedRun:
    """A run that is recorded or on its way; `left` are the names of files that will not be sent, and `why`."""

    created: CreatedRun
    left: Sequence[str] = ()
    why: str = ""


async def record_run(
    call: Call, sink: RunSink, run: NewRun, files: Sequence[Attachment] = (), digest: str = ""
) -> RecordedRun:
    """Record a run, which is written down first unless the config has switched deliveries off.

    With a `digest` of the call, a call like an earlier one whose answer was lost means the run of that call. Files are
    written down with the run within the bounds of a delivery; others are sent now, if the run is recorded by then.
    """
    outbox = call.lab.outbox_for(sink.name)
    kept, others = _split_files(sink, files) if outbox is not None else ((), files)
    if outbox is None:
        record_ref(run.ref)
        created = await sink.create_run(run)
        if call.lab.outbox is not None:
            created = created.model_copy(update={"note": f"{created.note} {AT_ONCE}".strip()})
    else:
        created = await _deliver(call, outbox, sink, run, kept, len(others), digest)
    created = await _with_stored(call, sink, run, created)
    if not others:
        return RecordedRun(created)
    if not created.run_id:
        why = (
            f"the run is not there yet, and {BOUNDS}" if isinstance(sink, AttachmentSink) else "its service keeps none"
        )
        return RecordedRun(created, [file.name for file in others], why)
    left, why = await attach_now(sink, call.lab.native(created.run_id), others, call.deadline.share(ATTACH_SHARE))
    return RecordedRun(created, left, why)


async def read_back(call: Call, service: Service, natives: Sequence[str]) -> list[StoredRun]:
    """What the service has of its first runs of these, as far as it says so soon."""
    stored: list[StoredRun] = []
    if isinstance(service, RunSink):
        with suppress(LabError, TimeoutError):
            async with asyncio.timeout(min(READ_BACK_S, max(0.0, call.deadline.share(READ_BACK_SHARE)))):
                for native in natives[:MAX_READ_BACK]:
                    stored += filter(None, [await service.read_stored(native)])
    return stored


async def _with_stored(call: Call, sink: RunSink, run: NewRun, created: CreatedRun) -> CreatedRun:
    """The same with the run as it was stored, or as it will be sent."""
    if not created.run_id:
        return created.model_copy(update={"run": _describe(run)})
    stored = await read_back(call, sink, [call.lab.native(created.run_id)])
    note = f"{created.note} {NOT_READ_BACK}".strip() if not stored else created.note
    for kept in stored:
        if kept.part_revision and not run.revision and kept.unit_is != "known":
            kept.part_revision_is = "the service's choice"
    return created.model_copy(update={"run": stored[0] if stored else None, "note": note})


def _describe(run: NewRun) -> StoredRun:
    return StoredRun(
        unit=run.serial_number,
        part=run.part_number,
        part_revision=run.revision,
        outcome=run.outcome,
        started_at=run.started_at,
        duration_s=round((run.ended_at - run.started_at).total_seconds(), 1),
    )


async def _deliver(
    call: Call, outbox: Outbox, sink: RunSink, run: NewRun, files: Sequence[Attachment], unkept: int, digest: str
) -> CreatedRun:
    """Deliver a run; returns the recorded run or its delivery. After a lost answer, it may be an earlier call's."""
    meant = await outbox.delivery_for(digest, run.ref) if digest else run.ref
    record_ref(meant)
    known = await outbox.get(meant) if meant != run.ref else None
    if known is not None:
        record = await outbox.follow(meant, call.deadline.spent_s)
    else:
        facts = [FileFacts(name=sanitize(file.name) or "file", size=len(file.data)) for file in files]
        written = run_adapter().dump_python(replace(run, ref=meant), mode="json")
        payload = RunPayload(run=written, files=facts, unkept=unkept)
        contents = [file.data for file in files]
        record = await outbox.send(meant, sink.name, payload, contents, call.deadline.spent_s)
    try:
        created = _to_created_run(call, record)
    except LabError:
        if is_correctable(record):
            await outbox.discard(record)
        raise
    finally:
        if digest:
            await outbox.note_answer(digest, meant, call.deadline.spent_s)
    return created if known is None else created.model_copy(update={"note": f"{SAME} {created.note}".strip()})


def _to_created_run(call: Call, record: DeliveryRecord) -> CreatedRun:
    """The recorded run, or its delivery. Raises the error that the run was refused with."""
    progress = record.progress
    if progress.created is not None:
        note = f"{progress.created.note} {drop_mentions(describe_unsent_files(record), call.unavailable)}".strip()
        return progress.created.model_copy(update={"note": note})
    if progress.state == "parked":
        raise build_refusal(record)
    assert isinstance(record.payload, RunPayload)
    procedure = str(record.payload.run["procedure_id"])
    return CreatedRun(procedure=procedure, queued=record.delivery_id, note=describe_waiting(record), next=QUEUED)


def _split_files(sink: RunSink, files: Sequence[Attachment]) -> tuple[Sequence[Attachment], Sequence[Attachment]]:
    """The files to write down with the run, and the others."""
    kept: list[Attachment] = []
    others: list[Attachment] = []
    room = MAX_BYTES
    for file in files:
        size = len(file.data)
        fits = isinstance(sink, AttachmentSink) and size <= min(room, sink.max_bytes) and len(kept) < MAX_FILES
        (kept if fits else others).append(file)
        room -= size if fits else 0
    return kept, others
