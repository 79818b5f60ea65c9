"""The end of a campaign, as receivers are told of it: its counts and its first failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from testlab_tools.campaigns.conclusions import (
    conclude_bisection,
    conclude_soak,
    describe_bisection,
    describe_rate,
    summarize_conclusion,
)
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import Campaign
from testlab_tools.notify.event import Event

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import Tally, Told

ANNOUNCED_FAILURES = 5
ANNOUNCED_TESTS = 3


def describe_event(campaign: Campaign, failures: Sequence[Told], tallies: Sequence[Tally] = ()) -> Event:
    """What has ended, and how; `tallies` are a soak's or bisection's."""
    order = campaign.order
    counts = f"{campaign.passed} passed, {campaign.failed} failed, {campaign.errored} with error"
    facts = {
        "runs": f"{campaign.counted}" if order.is_open else f"{campaign.counted} of {campaign.items}",
        "retried": f"{campaign.retried}" if campaign.retried else "",
        "flaky": f"{campaign.unconfirmed}" if campaign.unconfirmed else "",
        "why": campaign.why,
    }
    untrusted = {"revision": order.test_pack_revision, "message": order.message}
    if order.bisected and tallies:
        found = conclude_bisection(order, tallies)
        facts["conclusion"] = describe_bisection(found)
        untrusted |= {"bisected": order.bisected, "first bad": found.first_bad, "last good": found.last_good}
    elif tallies:
        facts |= _tell_rates(order, tallies)
        tests = enumerate(tallies[:ANNOUNCED_TESTS], 1)
        untrusted |= {f"test {number}": tally.test for number, tally in tests}
    for number, told in enumerate(failures[:ANNOUNCED_FAILURES], 1):
        where = f"{order.bisected} at {told.test}" if order.bisected else told.test
        untrusted[f"{told.outcome} {number}"] = f"{where}: {told.reason}"
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


def _tell_rates(order: CampaignOrder, tallies: Sequence[Tally]) -> dict[str, str]:
    """The conclusion of a soak, and of its first tests each by number, as their names are not ours."""
    if len(tallies) == 1:
        return {"conclusion": summarize_conclusion(order, tallies)}
    rates = enumerate(conclude_soak(order, tallies[:ANNOUNCED_TESTS]), 1)
    of_each = {f"test {number}": describe_rate(order, rate) for number, rate in rates}
    return {"conclusion": summarize_conclusion(order, tallies), **of_each}
