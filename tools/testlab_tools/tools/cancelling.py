"""The tool that ends what goes on by itself: a campaign, a schedule or a watch; another's with admin access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from testlab_tools.capabilities import HistoryFeed, JobRunner, NodeInventory
from testlab_tools.durable.standstill import say_standstill
from testlab_tools.errors import Refused
from testlab_tools.late_module import LateModule
from testlab_tools.registry import DESTROY, Call, Question, tool
from testlab_tools.tools.campaigns import CampaignId, campaigns_of, find_campaign, find_schedule, schedules_of
from testlab_tools.tools.watches import find_watch, watches_of
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.campaigns import answer, records
    from testlab_tools.models import campaigns as models
    from testlab_tools.schedules import answer as schedule_answer
    from testlab_tools.schedules import schedules as scheduling
    from testlab_tools.watches import answer as watch_answer
    from testlab_tools.watches import watches as watching
else:
    answer = LateModule("testlab_tools.campaigns.answer")
    records = LateModule("testlab_tools.campaigns.records")
    models = LateModule("testlab_tools.models.campaigns")
    schedule_answer = LateModule("testlab_tools.schedules.answer")
    scheduling = LateModule("testlab_tools.schedules.schedules")
    watch_answer = LateModule("testlab_tools.watches.answer")
    watching = LateModule("testlab_tools.watches.watches")


async def _ask_before_cancelling(call: Call, campaign_id: str, confirm: str) -> Question | None:
    """Whose it is; nothing is asked about one's own, nor where another's is refused anyway."""
    if campaign_id.startswith(watching.WATCH_PREFIX):
        watch = await find_watch(call, watches_of(call), campaign_id)
        kind, caller, ended, said = "watch", watch.caller, watch.state != "watching", ""
    elif campaign_id.startswith(scheduling.PREFIX):
        schedule = await find_schedule(call, campaign_id)
        kind, caller, ended, said = "schedule", schedule.caller, schedule.ended, schedule.order.message
    else:
        campaign = await find_campaign(call, campaign_id)
        kind, caller, ended, said = "campaign", campaign.order.caller, campaign.ended, campaign.order.message
    if ended or caller == call.caller or call.access != "admin":
        return None
    stops = ", and stop its jobs" if kind == "campaign" else ""
    return Question(
        f"Cancel {kind} {campaign_id!r} of caller {caller!r}{stops}?",
        target=campaign_id,
        quoted=f"\nIts message: {quote(said)}" if said else "",
    )


@tool(
    toolset="campaigns",
    access="operate",
    needs=(JobRunner, NodeInventory, HistoryFeed),
    hints=DESTROY,
    asks=_ask_before_cancelling,
)
async def cancel_campaign(
    call: Call,
    campaign_id: CampaignId,
    confirm: Annotated[str, Field(description="If the client cannot ask: its campaign_id")] = "",
) -> models.CampaignOrdered:
    """Cancel a campaign of yours: stops its jobs, gives its nodes back, keeps its results. Or ends a schedule or watch.

    With admin access anybody's, once a person agrees.
    """
    if campaign_id.startswith(watching.WATCH_PREFIX):
        watch = await find_watch(call, watches_of(call), campaign_id)
        _check_owner(call, "watch", watch.caller)
        return watch_answer.describe_ended_watch(await watches_of(call).end(watch))
    if campaign_id.startswith(scheduling.PREFIX):
        schedule = await find_schedule(call, campaign_id)
        _check_owner(call, "schedule", schedule.caller)
        await schedules_of(call).end(schedule)
        return schedule_answer.describe_ended_schedule(schedule)
    campaign = await find_campaign(call, campaign_id)
    _check_owner(call, "campaign", campaign.order.caller)
    campaigns = campaigns_of(call)
    if not campaign.ended:
        campaign = await campaigns.cancel(campaign)
        campaign = await campaigns.follow(campaign, call.deadline.share(0.5), _ignore)
    return answer.describe_ordered(campaign, await say_standstill(campaigns.engine, campaign.released_at is None))


def _check_owner(call: Call, kind: str, owner: str) -> None:
    """Raises Refused for another caller's, below admin access."""
    if owner != call.caller and call.access != "admin":
        raise Refused(
            f"This {kind} is another caller's",
            "Below admin access only your own are cancelled",
            f"With {call.admin_setting} anybody's are.",
        )


async def _ignore(campaign: records.Campaign) -> None:
    return
