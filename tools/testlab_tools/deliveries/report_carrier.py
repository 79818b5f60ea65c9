"""Brings a report to its service, which reads it."""

from __future__ import annotations

from testlab_tools.capabilities import ReportImporter, Service
from testlab_tools.deliveries.parcel import ReportParcel
from testlab_tools.deliveries.progress import UNSURE, Contents, Progress, Tell
from testlab_tools.errors import Conflict, Unsupported
from testlab_tools.handles import Handle


async def carry_report(service: Service, parcel: ReportParcel, contents: Contents, now: Progress, tell: Tell) -> None:
    """One try, noting in `now` how far it came: that it may have been imported only once it has been uploaded.

    Raises:
        LabError: it was not imported, or whether it was is not known.
    """
    if not isinstance(service, ReportImporter):
        raise Unsupported(f"Service {service.name} reads no reports", "", "")
    if now.unsure and await _found(service, parcel, now):
        return
    now.attempts += 1
    begun = False

    async def importing() -> None:
        nonlocal begun
        begun = True
        await tell(now.model_copy(update={"state": "sending", "next_try_at": None}))

    data = await contents(0)
    try:
        ids = await service.import_file(parcel.name, data, parcel.importer, parcel.serial_number, importing)
    except UNSURE:
        now.unsure = now.unsure or begun
        raise
    now.run_ids = [service.handle(native) for native in ids]


async def _found(service: ReportImporter, parcel: ReportParcel, now: Progress) -> bool:
    """Whether it has arrived after all. Raises Conflict when that can neither be told nor was looked up by anybody."""
    earlier = [Handle.parse(handle, [service.name]).native for handle in parcel.earlier]
    found = await service.find_imported(earlier, parcel.serial_number, parcel.started_at)
    if found is None and not (parcel.checked and now.attempts == 0):
        raise Conflict(
            f"Whether {service.name} has imported the report is not known: the answer was lost",
            "It would import it twice, and the report does not tell us whose run it is, and when it began",
            "See in list_runs(unit=…) whether its run is there. If it is not, release the delivery; if it is, leave "
            "it parked.",
        )
    now.run_ids = [service.handle(native) for native in found or ()]
    now.unsure = False
    return bool(found)
