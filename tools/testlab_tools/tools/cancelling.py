"""The tool that ends what goes on by itself: a campaign, a schedule or a watch; another's with admin access."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from testlab_tools.campaigns.answer import describe_ordered
from testlab_tools.campaigns.records import Campaign
from testlab_tools.capabilities import HistoryFeed, JobRunner, NodeInventory
from testlab_tools.durable.standstill import say_standstill
from testlab_tools.errors import Refused
from testlab_tools.models.campaigns import CampaignOrdered
from testlab_tools.registry import DESTROY, Call, Question, tool
from testlab_tools.schedules.answer import describe_ended_schedule
from testlab_tools.schedules.schedules import PREFIX
from testlab_tools.tools.campaigns import CampaignId, campaigns_of, find_campaign, find_schedule, schedules_of
from testlab_tools.tools.watches import find_watch, watches_of
from testlab_tools.untrusted import quote
from testlab_tools.watches.answer import describe_ended_watch
from testlab_tools.watches.watches import WATCH_PREFIX


async def _ask_before_cancelling(call: Call, campaign_id: str, confirm: str) -> Question | None:
    """Whose it is; nothing is asked about one's own, nor where another's is refused anyway."""
    if campaign_id.startswith(WATCH_PREFIX):
        watch = await find_watch(call, watches_of(call), campaign_id)
        kind, caller, ended, said = "watch", watch.caller, watch.state != "watching", ""
    elif campaign_id.startswith(PREFIX):
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
) -> CampaignOrdered:
    """Cancel a campaign of yours: stops its jobs, gives its nodes back, keeps its results. Or ends a schedule or watch.

    With admin access anybody's, once a person agrees.
    """
    if campaign_id.startswith(WATCH_PREFIX):
        watch = await find_watch(call, watches_of(call), campaign_id)
        _check_owner(call, "watch", watch.caller)
        return describe_ended_watch(await watches_of(call).end(watch))
    if campaign_id.startswith(PREFIX):
        schedule = await find_schedule(call, campaign_id)
        _check_owner(call, "schedule", schedule.caller)
        await schedules_of(call).end(schedule)
        return describe_ended_schedule(schedule)
    campaign = await find_campaign(call, campaign_id)
    _check_owner(call, "campaign", campaign.order.caller)
    campaigns = campaigns_of(call)
    if not campaign.ended:
        campaign = await campaigns.cancel(campaign)
        campaign = await campaigns.follow(campaign, call.deadline.share(0.5), _ignore)
    return describe_ordered(campaign, await say_standstill(campaigns.engine, campaign.released_at is None))


def _check_owner(call: Call, kind: str, owner: str) -> None:
    """Raises Refused for another caller's, below admin access."""
    if owner != call.caller and call.access != "admin":
        raise Refused(
            f"This {kind} is another caller's",
            "Below admin access only your own are cancelled",
            f"With {call.admin_setting} anybody's are.",
        )


async def _ignore(campaign: Campaign) -> None:
    return
