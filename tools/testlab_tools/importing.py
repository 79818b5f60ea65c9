"""A report that the service itself reads: written down with its content, then sent to the service's own importer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from uuid import NAMESPACE_OID, uuid5

from testlab_tools.capabilities import ReportImporter
from testlab_tools.deliveries.answers import QUEUED, refusal, waits
from testlab_tools.deliveries.parcel import ReportParcel
from testlab_tools.deliveries.share import AT_ONCE, OutboxShare
from testlab_tools.errors import BadInput, LabError, Unsupported
from testlab_tools.handles import Handle
from testlab_tools.intake import LOOK_SECONDS, Given, ImportedReport
from testlab_tools.reading import too_large
from testlab_tools.registry import Call
from testlab_tools.reports.identity import identity_of
from testlab_tools.reports.plan import PlannedRun
from testlab_tools.reports.recognition import IMPORTERS, Format
from testlab_tools.untrusted import plain

EXPLAINED = "get_failed_cases(run_id) explains those that did not pass."
THERE = "It was there already: nothing was imported."
UNASKED = (
    "It was imported before, and nothing was sent: it would be there twice. Whether it is still there cannot be asked "
    "without serial_number; give that if it was deleted."
)


def plan_import(service: ReportImporter, form: Format, data: bytes) -> ImportedReport:
    """What can be said of a report that the service itself will read."""
    importer = _importer(service, form)
    return ImportedReport(
        format=form,
        plan=PlannedRun(service=service.name, importer=importer, bytes=len(data)),
        note=f"Dry run: nothing was sent. {service.name} reads this format itself: what it makes of it is not known.",
        next="Call again with dry_run=false.",
    )


async def accept_import(
    call: Call, service: ReportImporter, form: Format, name: str, data: bytes, given: Given
) -> ImportedReport:
    """Have the service read the report, unless it is known to have.

    Raises:
        BadInput: it is larger than the service reads, or given with what cannot be changed in it; nothing is written.
        LabError: the service refused it, and the delivery is parked.
    """
    importer = _importer(service, form)
    if given.procedure_id or given.part_number or given.started_at:
        raise BadInput(
            f"{service.name} reads {importer} reports itself",
            "procedure_id, part_number and started_at cannot be changed in them",
            "Leave them out.",
        )
    if len(data) > service.most_bytes:
        raise too_large("The report", service.most_bytes)
    told = await asyncio.to_thread(identity_of, form, data)
    serial = given.serial_number or told.serial_number
    outbox = call.lab.outbox_for(service.name)
    if outbox is None:
        imported = _imported(service, form, await service.import_file(name, data, importer, serial))
        note = f"{imported.note} {AT_ONCE}" if call.lab.outbox is not None else imported.note
        return imported.model_copy(update={"note": note})
    parcel = ReportParcel(
        importer=importer,
        name=plain(name) or "report",
        size=len(data),
        serial_number=serial,
        started_at=told.started_at,
    )
    return await _sent(outbox, service, form, parcel, data)


async def _sent(
    outbox: OutboxShare, service: ReportImporter, form: Format, parcel: ReportParcel, data: bytes
) -> ImportedReport:
    delivery_id = str(uuid5(NAMESPACE_OID, f"{service.name} {parcel.importer} {sha256(data).hexdigest()}"))
    known = await outbox.known(delivery_id)
    if known is not None and known.progress.state == "delivered":
        earlier = known.progress.run_ids
        found = await _found(service, parcel, [Handle.parse(handle, [service.name]).native for handle in earlier])
        if found is None:
            return ImportedReport(format=form, run_ids=earlier, note=UNASKED, next=EXPLAINED)
        if found:
            return _imported(service, form, found, THERE)
    kept = await outbox.send(delivery_id, service.name, parcel, [data])
    if kept.progress.state == "delivered":
        natives = [Handle.parse(handle, [service.name]).native for handle in kept.progress.run_ids]
        return _imported(service, form, natives)
    if kept.progress.state == "parked":
        raise refusal(kept)
    return ImportedReport(format=form, queued=kept.delivery_id, note=waits(kept), next=QUEUED)


async def _found(service: ReportImporter, parcel: ReportParcel, earlier: Sequence[str]) -> Sequence[str] | None:
    """What is there of it now, as `find_imported`. Any trouble is met again by the delivery, which outlasts it."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await service.find_imported(earlier, parcel.serial_number, parcel.started_at)
    except (LabError, TimeoutError):
        return []


def _imported(service: ReportImporter, form: Format, natives: Sequence[str], note: str = "") -> ImportedReport:
    return ImportedReport(
        format=form,
        run_ids=[service.handle(native) for native in natives],
        note=note or f"Read by the {_importer(service, form)} importer of {service.name}.",
        next=EXPLAINED if natives else "list_runs(unit=…) shows the run.",
    )


def _importer(service: ReportImporter, form: Format) -> str:
    importer = IMPORTERS[form]
    if importer not in service.importers:
        raise Unsupported(
            f"{service.name} has no importer for this format",
            f"It has: {', '.join(sorted(service.importers))}",
            "Record the run with create_run.",
        )
    return importer
