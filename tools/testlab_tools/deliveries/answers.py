"""What a tool says of a delivery that it has waited for."""

from __future__ import annotations

from testlab_tools.deliveries.parcel import MOST_BYTES, MOST_FILES, RunParcel
from testlab_tools.deliveries.progress import Kept
from testlab_tools.errors import LabError

QUEUED = "Do not give it again. list_deliveries (toolset deliveries) shows when it has arrived."
BOUNDS = f"more than {MOST_FILES} files or {MOST_BYTES // 2**20} MiB are not kept with a run that waits"


def waits(kept: Kept) -> str:
    """Of one that has not arrived: that it is written down, and why it waits."""
    why = str(kept.progress.failure) if kept.progress.failure else "The service has not answered yet."
    files = len(kept.parcel.files) if isinstance(kept.parcel, RunParcel) else 0
    more = f" {_files(files)} with it." if files else ""
    return f"Written down, and sent until {kept.service} has it once.{more} {why}"


def files_told(kept: Kept) -> str:
    """Of a run that is there: which of its files are not yet, why, and what becomes of them; empty when all are."""
    progress = kept.progress
    if not isinstance(kept.parcel, RunParcel) or progress.state == "delivered":
        return ""
    of = len(kept.parcel.files)
    why = f" ({progress.failure.what})" if progress.failure else ""
    left = f"{of - len(progress.sent)} of {of} attachments {{}} sent{why}"
    if progress.state == "parked":
        return f"{left.format('were not')}: release_delivery of {kept.delivery_id} sends them again."
    return f"{left.format('are still to be')}: delivery {kept.delivery_id} goes on with them."


def refusal(kept: Kept) -> LabError:
    """Of a parked one of which nothing has arrived: why, and how to go on."""
    failure = kept.progress.failure
    assert failure is not None
    error = failure.error(kept.service)
    mended = "correct and release that" if isinstance(kept.parcel, RunParcel) else "release that once it is mended"
    anew = "create the run anew" if isinstance(kept.parcel, RunParcel) else "import a mended report"
    error.next_step = (
        f"{error.next_step} It is parked as delivery {kept.delivery_id}: {mended} "
        f"(release_delivery, toolset deliveries), or {anew} and leave it parked; not both."
    ).strip()
    error.args = (str(LabError(error.what, error.why, error.next_step)),)
    return error


def _files(number: int) -> str:
    return "1 attachment is kept and sent" if number == 1 else f"{number} attachments are kept and sent"
