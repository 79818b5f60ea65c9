"""The end of a campaign, as receivers are told of it: its counts and its first failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testlab_tools.campaigns.records import Campaign
from testlab_tools.notify.event import Event

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import Told

ANNOUNCED_FAILURES = 5


def describe_event(campaign: Campaign, failures: Sequence[Told]) -> Event:
    """What has ended, and how."""
    order = campaign.order
    counts = f"{campaign.passed} passed, {campaign.failed} failed, {campaign.errored} with error"
    facts = {
        "runs": f"{campaign.counted} of {campaign.items}",
        "retried": f"{campaign.retried}" if campaign.retried else "",
        "flaky": f"{campaign.unconfirmed}" if campaign.unconfirmed else "",
        "why": campaign.why,
    }
    untrusted = {"revision": order.test_pack_revision, "message": order.message}
    for number, told in enumerate(failures[:ANNOUNCED_FAILURES], 1):
        untrusted[f"{told.outcome} {number}"] = f"{told.test}: {told.reason}"
    return Event(
        event_id=campaign.campaign_id,
        type="campaign.ended",
        title=f"Campaign {campaign.campaign_id!r} on {order.service} is {campaign.state}: {counts}",
        state=campaign.state,
        at=campaign.ended_at or campaign.created_at,
        facts=facts,
        untrusted=untrusted,
        next=f"get_campaign(campaign_id={campaign.campaign_id!r}) has its failures.",
    )
