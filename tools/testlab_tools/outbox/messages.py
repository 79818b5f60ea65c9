"""What a tool says of a delivery that it has waited for."""

from __future__ import annotations

from testlab_tools.errors import LabError
from testlab_tools.outbox.payload import MAX_BYTES, MAX_FILES, DeliveryRecord, RunPayload

QUEUED = (
    "Do not give it again. list_deliveries shows when it has arrived. list_runs(unit=…) shows its run once it is there."
)
AT_ONCE = "Sent at once, and not written down before: its service takes callers' own tokens, which are not kept."
BOUNDS = f"more than {MAX_FILES} files or {MAX_BYTES // 2**20} MiB are not kept with a run that waits"


def describe_waiting(record: DeliveryRecord) -> str:
    """That a delivery is written down, and why it waits."""
    failure = record.progress.failure
    why = failure.describe_waiting() if failure else "The service has not answered yet."
    files = len(record.payload.files) if isinstance(record.payload, RunPayload) else 0
    kept = "1 attachment is" if files == 1 else f"{files} attachments are"
    more = f" {kept} kept and sent with it." if files else ""
    return f"Written down, and sent until {record.service} has it once.{more} {why}"


def describe_unsent_files(record: DeliveryRecord) -> str:
    """How many files of a recorded run have not arrived, why, and what becomes of them; empty when all have."""
    progress = record.progress
    if not isinstance(record.payload, RunPayload) or progress.state == "delivered":
        return ""
    of = len(record.payload.files)
    why = f" ({progress.failure.what})" if progress.failure else ""
    left = f"{of - len(progress.sent)} of {of} attachments {{}} sent{why}"
    if progress.state == "parked":
        return f"{left.format('were not')}: delivery {record.delivery_id} is parked. release_delivery sends them again."
    return f"{left.format('are still to be')}: delivery {record.delivery_id} goes on with them."


def build_refusal(record: DeliveryRecord) -> LabError:
    """The error for a parked delivery of which nothing has arrived: why, and how to go on."""
    failure = record.progress.failure
    assert failure is not None
    error = failure.to_error(record.service)
    if is_correctable(record):
        return error
    run = isinstance(record.payload, RunPayload)
    mended = "with what is to be corrected" if run else "once it is mended"
    anew = "Or record the run anew" if run else "Or import a mended report"
    error.next_step = (
        f"{error.next_step} It is parked as delivery {record.delivery_id}. release_delivery sends it again, {mended}. "
        f"{anew}, and leave it parked; not both."
    ).strip()
    error.args = (str(LabError(error.what, error.why, error.next_step)),)
    return error


def is_correctable(record: DeliveryRecord) -> bool:
    """Whether a parked run was refused for something that the error names: the caller corrects it and calls again, and
    nothing of the run has to be kept. A 400 or 422 that names nothing is left for a person to look at."""
    progress = record.progress
    if not isinstance(record.payload, RunPayload) or record.payload.earlier or progress.created or progress.unsure:
        return False
    failure = progress.failure
    if failure is None or progress.state != "parked":
        return False
    named = bool(failure.why) or "HTTP" not in failure.what
    return failure.kind == "NotFound" or (failure.kind == "BadInput" and named)
