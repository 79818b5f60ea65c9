"""The one way a finished run goes to a service with its files, whichever tool was given it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from testlab_tools.attachments import ATTACH_SECONDS, attach_now
from testlab_tools.capabilities import AttachmentSink, RunSink
from testlab_tools.deliveries.answers import BOUNDS, QUEUED, files_told, refusal, waits
from testlab_tools.deliveries.parcel import MOST_BYTES, MOST_FILES, FileFacts, RunParcel, runs
from testlab_tools.deliveries.progress import Kept
from testlab_tools.deliveries.share import AT_ONCE, OutboxShare
from testlab_tools.http.trace import sent_ref
from testlab_tools.models import CreatedRun
from testlab_tools.questions import NewRun
from testlab_tools.registry import Call
from testlab_tools.reports.report import Attachment
from testlab_tools.untrusted import plain

CALL_SECONDS = 37.0
"""What a call may take from here on, whatever it asked before."""


@dataclass(frozen=True)
class Recorded:
    """A run that is there or on its way; `left` are names of files that nobody goes on sending, and `why`."""

    created: CreatedRun
    left: Sequence[str] = ()
    why: str = ""


async def record(call: Call, sink: RunSink, run: NewRun, files: Sequence[Attachment] = ()) -> Recorded:
    """Have the service take the run: written down first, unless the config has switched deliveries off.

    Files are written down with it as far as the bounds of a delivery go; others are sent now, if the run is there.
    """
    outbox, clock = call.lab.outbox_for(sink.name), asyncio.get_running_loop().time
    begun = clock()
    sent_ref(run.ref)
    kept, others = _bounded(sink, files) if outbox is not None else ((), files)
    if outbox is None:
        created = await sink.create_run(run)
        if call.lab.outbox is not None:
            created = created.model_copy(update={"note": f"{created.note} {AT_ONCE}".strip()})
    else:
        created = _created(await _delivered(outbox, sink, run, kept, len(others)))
    if not others:
        return Recorded(created)
    if not created.run_id:
        why = (
            f"the run is not there yet, and {BOUNDS}" if isinstance(sink, AttachmentSink) else "its service keeps none"
        )
        return Recorded(created, [file.name for file in others], why)
    seconds = min(ATTACH_SECONDS, CALL_SECONDS - (clock() - begun))
    left, why = await attach_now(sink, call.lab.native(created.run_id), others, seconds)
    return Recorded(created, left, why)


async def _delivered(outbox: OutboxShare, sink: RunSink, run: NewRun, files: Sequence[Attachment], unkept: int) -> Kept:
    facts = [FileFacts(name=plain(file.name) or "file", size=len(file.data)) for file in files]
    parcel = RunParcel(run=runs().dump_python(run, mode="json"), files=facts, unkept=unkept)
    return await outbox.send(run.ref, sink.name, parcel, [file.data for file in files])


def _created(kept: Kept) -> CreatedRun:
    """The run, or the delivery that will bring it. Raises the error it was refused with."""
    progress = kept.progress
    if progress.created is not None:
        note = f"{progress.created.note} {files_told(kept)}".strip()
        return progress.created.model_copy(update={"note": note})
    if progress.state == "parked":
        raise refusal(kept)
    assert isinstance(kept.parcel, RunParcel)
    procedure = str(kept.parcel.run["procedure_id"])
    return CreatedRun(procedure=procedure, queued=kept.delivery_id, note=waits(kept), next=QUEUED)


def _bounded(sink: RunSink, files: Sequence[Attachment]) -> tuple[Sequence[Attachment], Sequence[Attachment]]:
    """Those to write down with the run, and the others."""
    kept: list[Attachment] = []
    others: list[Attachment] = []
    room = MOST_BYTES
    for file in files:
        size = len(file.data)
        fits = isinstance(sink, AttachmentSink) and size <= min(room, sink.most_bytes) and len(kept) < MOST_FILES
        (kept if fits else others).append(file)
        room -= size if fits else 0
    return kept, others
