"""What is told of schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from testlab_tools.models.campaigns import CampaignOrdered, ScheduledCampaign
from testlab_tools.schedules.timetable import parse_timetable
from testlab_tools.times import iso

if TYPE_CHECKING:
    from testlab_tools.schedules.store import Schedule


def describe_schedule(schedule: Schedule, caller: str) -> ScheduledCampaign:
    """A schedule as a row of a list."""
    return ScheduledCampaign(
        schedule_id=schedule.schedule_id,
        service=schedule.service,
        test_pack_revision=schedule.order.test_pack_revision,
        tests=len(schedule.names) or None,
        node_ids=[f"{schedule.service}:{node}" for node in schedule.order.node_ids],
        device_type=schedule.order.device_type,
        daily_at=schedule.timetable,
        zone=schedule.zone,
        next_at=_next(schedule),
        message=schedule.order.message,
        caller="" if schedule.caller == caller else schedule.caller,
        last=schedule.note,
    )


def describe_new_schedule(schedule: Schedule, runs: int, again: bool) -> CampaignOrdered:
    """A schedule that was just given, or `again`, for campaigns of so many runs as of now."""
    own = f"campaign_id={schedule.schedule_id!r}"
    return CampaignOrdered(
        campaign_id=schedule.schedule_id,
        state="scheduled",
        runs=runs,
        note=("The same call before made this schedule, and it goes on. " if again else "")
        + f"The {'next' if again else 'first'} start is at {iso(_next(schedule))}, by the clocks of {schedule.zone}."
        + ("" if runs else " How many runs a soak takes is not known beforehand."),
        next=f"list_campaigns shows what became of each start; cancel_campaign({own}) ends it.",
    )


def describe_ended_schedule(schedule: Schedule) -> CampaignOrdered:
    """A schedule that was just ended."""
    note = "It starts nothing any more. What it has started goes on."
    return CampaignOrdered(campaign_id=schedule.schedule_id, state="cancelled", runs=0, note=note)


def _next(schedule: Schedule) -> datetime:
    return parse_timetable(schedule.timetable, schedule.zone).next_after(datetime.now(UTC))
