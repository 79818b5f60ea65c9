"""The next round of a delivery: given again, or corrected and released."""

from __future__ import annotations

from collections.abc import Mapping

from testlab_tools.deliveries.parcel import Parcel, ReportParcel, RunParcel
from testlab_tools.deliveries.progress import Kept
from testlab_tools.errors import BadInput, Conflict


def given_again(kept: Kept, parcel: Parcel) -> Parcel:
    """What was given once more, of a delivery that has arrived or is parked, knowing what came of it before.

    Raises:
        Conflict: it is a report that may be there, and that nobody has looked for.
    """
    progress = kept.progress
    if isinstance(parcel, RunParcel):
        earlier = progress.created or (kept.parcel.earlier if isinstance(kept.parcel, RunParcel) else None)
        sent = [n for n in progress.sent if n < len(parcel.files)]
        return parcel.model_copy(update={"earlier": earlier, "sent": sent})
    if progress.state == "parked" and progress.unsure and progress.failure and progress.failure.kind == "Conflict":
        raise Conflict(
            f"The same report is parked as delivery {kept.delivery_id}, since it may be there already",
            progress.failure.why,
            f"{progress.failure.next_step} Give release_delivery (toolset deliveries) this delivery_id.",
        )
    refused = progress.state == "parked" and not progress.unsure
    return parcel.model_copy(update={"earlier": progress.run_ids, "checked": refused})


def corrected(kept: Kept, service: str, changes: Mapping[str, str]) -> Parcel:
    """What was parked, to be sent to `service` with such fields changed.

    Raises:
        Conflict: it is not parked; or its run is there, and only its files are not.
        BadInput: a report has no such fields.
    """
    progress = kept.progress
    if progress.state != "parked":
        raise Conflict(
            f"The delivery is {progress.state}, not parked", "", "Only what is parked can be changed and released."
        )
    if isinstance(kept.parcel, ReportParcel):
        return _report(kept.parcel, changes).model_copy(
            update={"earlier": kept.parcel.earlier if service == kept.service else []}
        )
    other = bool(changes) or service != kept.service
    if progress.created is None:
        earlier = None if other else kept.parcel.earlier
        return kept.parcel.model_copy(update={"run": {**kept.parcel.run, **changes}, "earlier": earlier})
    if other:
        raise Conflict(
            "The run is there already: only files of it were refused",
            "",
            "Release the delivery without any change, and they are sent again.",
        )
    return kept.parcel.model_copy(update={"earlier": progress.created, "sent": progress.sent})


def _report(parcel: ReportParcel, changes: Mapping[str, str]) -> ReportParcel:
    if changes.keys() - {"serial_number"}:
        raise BadInput(
            "A report is sent as it is: none of its fields can be changed",
            "",
            "Leave them out; serial_number and service can be given.",
        )
    return parcel.model_copy(update={"checked": True, **changes})
