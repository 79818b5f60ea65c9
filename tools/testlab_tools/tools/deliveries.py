"""Tools about deliveries: list runs and reports on their way to a service, and release those it refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from testlab_tools.capabilities import RunSink
from testlab_tools.errors import BadInput, Conflict, Unsupported
from testlab_tools.models.lab import ResultModel
from testlab_tools.outbox.messages import BOUNDS
from testlab_tools.outbox.outbox import Outbox
from testlab_tools.outbox.payload import DeliveryRecord, Payload, Progress, ReportPayload, State
from testlab_tools.registry import LOOK, Call, Hints, Question, tool
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted, quote

RELEASE = Hints(read_only=False, destructive=True, idempotent=False)


class Delivery(ResultModel):
    """A run or a report on its way to a service. `reason` says why it is not there yet, or why it is parked;
    `service_says` is the service's own reason.

    A run may be there (`run_id`) before its files are: `files_sent` of `files`.
    """

    delivery_id: str
    kind: Literal["run", "report"]
    service: str
    state: State | Literal["discarded"]
    unit: Untrusted = ""
    procedure: Untrusted = ""
    file: Untrusted = ""
    written_at: Moment
    attempts: int = 0
    reason: str = ""
    service_says: Untrusted = ""
    next_try_at: Moment | None = None
    run_id: str = ""
    run_ids: list[str] = []
    files: int = 0
    files_sent: int = 0
    note: str = ""


class Deliveries(ResultModel):
    """Deliveries, those that wait first, then those parked, then those delivered lately; and how many there are."""

    deliveries: list[Delivery]
    waiting: int
    parked: int
    delivered: int
    note: str = ""
    next: str = ""


@tool(toolset="deliveries", access="observe", needs=RunSink, hints=LOOK)
async def list_deliveries(
    call: Call,
    state: Literal["", "waiting", "parked", "delivered"] = "",
    limit: Annotated[int, Field(ge=1, le=200, description="Of each state")] = 20,
) -> Deliveries:
    """List runs and reports on their way to a service, newest first: waiting and since when, parked and why, delivered
    lately.

    Waiting ones go on by themselves. release_delivery sends a parked one again.
    """
    listed = await _outbox(call).list(limit)
    shown = [record for which, of in listed.items() if state in ("", which) for record in of.deliveries]
    cut = any(of.total > limit for of in listed.values())
    return Deliveries(
        deliveries=[_delivery(record) for record in shown],
        waiting=listed["waiting"].total,
        parked=listed["parked"].total,
        delivered=listed["delivered"].total,
        note=f"At most {limit} of each state are listed; give limit." if cut else "",
        next="release_delivery(delivery_id, …) corrects a parked one and sends it again, or discards it."
        if listed["parked"].total
        else "",
    )


async def _ask_before_discarding(call: Call, delivery_id: str, discard: bool, **_: Any) -> Question | None:
    """What is in a delivery that is to be discarded, as it is now."""
    if not discard:
        return None
    record = await _outbox(call).find(delivery_id)
    if record.progress.state != "parked":
        raise Conflict(
            f"The delivery is {record.progress.state}, not parked", "", "Only what is parked can be discarded."
        )
    shown = _delivery(record)
    there = f" Its run is there as {shown.run_id}, and stays." if shown.run_id else " It is nowhere else."
    if record.progress.unsure and not shown.run_id:
        there = f" It may have reached {record.service} nevertheless."
    files = f" with {shown.files} files" if shown.files else ""
    return Question(
        f"Discard the parked {shown.kind}{files} for {record.service}, for good?{there}",
        target=delivery_id,
        quoted=f"\nUnit: {quote(shown.unit)}\nTest: {quote(shown.procedure)}\nFile: {quote(shown.file)}",
    )


@tool(toolset="deliveries", access="operate", needs=RunSink, hints=RELEASE, asks=_ask_before_discarding)
async def release_delivery(
    call: Call,
    delivery_id: Annotated[str, Field(min_length=1)],
    procedure_id: Annotated[str, Field(description="Empty fields stay as they are")] = "",
    serial_number: str = "",
    part_number: str = "",
    revision: str = "",
    batch_number: str = "",
    service: str = "",
    discard: bool = False,
    confirm: Annotated[str, Field(description="If the client cannot ask: the delivery_id")] = "",
) -> Delivery:
    """Send a parked delivery again, with corrected fields if given; or discard it, after a person was asked.

    Cannot change phases or measurements, a report's content, nor a delivery that still waits.
    """
    changes = {
        "procedure_id": procedure_id,
        "serial_number": serial_number,
        "part_number": part_number,
        "revision": revision,
        "batch_number": batch_number,
    }
    if discard:
        if any(changes.values()) or service:
            raise BadInput("A delivery is discarded as it is", "", "Leave the other fields out.")
        record = await _outbox(call).find(delivery_id)
        await _outbox(call).discard(record)
        return _delivery(record).model_copy(update={"state": "discarded", "next_try_at": None})
    to = call.lab.one(RunSink, service).name if service else ""
    return _delivery(
        await _outbox(call).release(delivery_id, to, {key: value for key, value in changes.items() if value})
    )


def _outbox(call: Call) -> Outbox:
    if call.lab.outbox is None:
        raise Unsupported("There are no deliveries", "[durable] enabled is false in the config", "")
    return call.lab.outbox


def _delivery(record: DeliveryRecord) -> Delivery:
    progress = record.progress
    return Delivery(
        delivery_id=record.delivery_id,
        kind=record.payload.kind,
        service=record.service,
        state=progress.state,
        written_at=record.written_at,
        attempts=progress.attempts,
        reason=_describe_reason(progress),
        service_says=progress.failure.service_says if progress.failure else "",
        next_try_at=progress.next_try_at,
        run_id=progress.created.run_id if progress.created else "",
        run_ids=progress.run_ids,
        files_sent=len(progress.sent),
        **_describe_payload(record.payload),
    )


def _describe_reason(progress: Progress) -> str:
    """Why a delivery is not there, and of one that waits what becomes of it."""
    failure = progress.failure
    match progress.state:
        case "delivered":
            return ""
        case "parked":
            return str(failure) if failure else ""
        case "sending":
            now = "It is being sent now"
        case "queued" if progress.next_try_at and progress.next_try_at > datetime.now(UTC):
            now = "It is tried again at next_try_at"
        case "queued":
            now = "It is due, and sent as soon as its turn comes"
    return f"{failure.describe_waiting() if failure else ''} {now}: do not record it anew.".strip()


def _describe_payload(payload: Payload) -> dict[str, Any]:
    if isinstance(payload, ReportPayload):
        return {"unit": payload.serial_number, "file": payload.name}
    return {
        "unit": str(payload.run.get("serial_number", "")),
        "procedure": str(payload.run.get("procedure_id", "")),
        "files": len(payload.files),
        "note": f"{payload.unkept} more attachments were given: {BOUNDS}." if payload.unkept else "",
    }
