"""Tools about deliveries: what waits to reach a service, and what it refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from testlab_tools.capabilities import RunSink
from testlab_tools.deliveries.answers import BOUNDS
from testlab_tools.deliveries.parcel import Parcel, ReportParcel
from testlab_tools.deliveries.progress import Kept, State
from testlab_tools.deliveries.share import OutboxShare
from testlab_tools.errors import Unsupported
from testlab_tools.models import Noun
from testlab_tools.registry import ADD, LOOK, Call, tool
from testlab_tools.times import Moment
from testlab_tools.untrusted import Untrusted


class Delivery(Noun):
    """A run or a report on its way to a service. `reason` says why it is not there yet, or why it is parked.

    A run may be there (`run_id`) before its files are: `files_sent` of `files`.
    """

    delivery_id: str
    kind: Literal["run", "report"]
    service: str
    state: State
    unit: Untrusted = ""
    procedure: Untrusted = ""
    file: Untrusted = ""
    written_at: Moment
    attempts: int = 0
    reason: str = ""
    next_try_at: Moment | None = None
    run_id: str = ""
    run_ids: list[str] = []
    files: int = 0
    files_sent: int = 0
    note: str = ""


class Deliveries(Noun):
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
    outbox = _outbox(call)
    waiting, all_waiting = await outbox.list("waiting", limit)
    parked, all_parked = await outbox.list("parked", limit)
    delivered, all_delivered = await outbox.list("delivered", limit)
    listed = {"waiting": waiting, "parked": parked, "delivered": delivered}
    shown = [kept for which, every in listed.items() if state in ("", which) for kept in every]
    cut = max((all_waiting, all_parked, all_delivered)) > limit
    return Deliveries(
        deliveries=[_delivery(kept) for kept in shown],
        waiting=all_waiting,
        parked=all_parked,
        delivered=all_delivered,
        note=f"At most {limit} of each state are listed; give limit." if cut else "",
        next="release_delivery(delivery_id, …) corrects a parked one and sends it again." if parked else "",
    )


@tool(toolset="deliveries", access="operate", needs=RunSink, hints=ADD)
async def release_delivery(
    call: Call,
    delivery_id: Annotated[str, Field(min_length=1, description="From list_deliveries")],
    procedure_id: Annotated[str, Field(description="Empty fields stay as they are")] = "",
    serial_number: str = "",
    part_number: str = "",
    revision: str = "",
    batch_number: str = "",
    service: str = "",
) -> Delivery:
    """Send a parked delivery again, with corrected fields if given.

    Cannot change phases or measurements, a report's content, nor a delivery that still waits.
    """
    changes = {
        "procedure_id": procedure_id,
        "serial_number": serial_number,
        "part_number": part_number,
        "revision": revision,
        "batch_number": batch_number,
    }
    to = call.lab.one(RunSink, service).name if service else ""
    return _delivery(
        await _outbox(call).release(delivery_id, to, {key: value for key, value in changes.items() if value})
    )


def _outbox(call: Call) -> OutboxShare:
    if call.lab.outbox is None:
        raise Unsupported("There are no deliveries", "[durable] enabled is false in the config", "")
    return call.lab.outbox


def _delivery(kept: Kept) -> Delivery:
    progress = kept.progress
    return Delivery(
        delivery_id=kept.delivery_id,
        kind=kept.parcel.kind,
        service=kept.service,
        state=progress.state,
        written_at=kept.written_at,
        attempts=progress.attempts,
        reason=str(progress.failure) if progress.failure and progress.state != "delivered" else "",
        next_try_at=progress.next_try_at,
        run_id=progress.created.run_id if progress.created else "",
        run_ids=progress.run_ids,
        files_sent=len(progress.sent),
        **_brought(kept.parcel),
    )


def _brought(parcel: Parcel) -> dict[str, Any]:
    if isinstance(parcel, ReportParcel):
        return {"unit": parcel.serial_number, "file": parcel.name}
    return {
        "unit": str(parcel.run.get("serial_number", "")),
        "procedure": str(parcel.run.get("procedure_id", "")),
        "files": len(parcel.files),
        "note": f"{parcel.unkept} more attachments were given: {BOUNDS}." if parcel.unkept else "",
    }
