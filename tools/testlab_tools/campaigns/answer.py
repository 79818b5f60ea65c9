"""A campaign as tools report it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testlab_tools.campaigns.conclusions import conclude_bisection, conclude_soak
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import Campaign
from testlab_tools.models.campaigns import (
    CampaignBrief,
    CampaignFailure,
    CampaignNode,
    CampaignOrdered,
    CampaignStatus,
    CampaignWait,
)

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import Details, NodeShare, Told
    from testlab_tools.node_queue.queue import Ticket

SHOWN_FAILURES = 20
RERUN_WORDS = {"confirmed": "confirmed", "unconfirmed": "flaky", "unknown": "unknown"}
REPEATED = "The same call before started it, and nothing was started now. For another, give another message."
SWAPPED = "The last revision is the better one: to find the first bad one, give them in the other order."
_STATE = {"held": "working", "dropped": "dropped", "released": "given back"}


def describe_brief(campaign: Campaign, caller: str, conclusion: str = "") -> CampaignBrief:
    """A campaign as a row of a list."""
    return CampaignBrief.model_validate({**_fields(campaign, caller), "conclusion": conclusion})


def describe_ordered(campaign: Campaign, standstill: str = "", again: bool = False) -> CampaignOrdered:
    """A campaign that was just started or cancelled; `standstill` is why nobody may run it, `again` that an earlier
    call like this one started it."""
    return CampaignOrdered(
        campaign_id=campaign.campaign_id,
        state=campaign.state,
        **_counts(campaign),
        note=" ".join(filter(None, (REPEATED if again else "", standstill, _note(campaign)))),
        next=_next(campaign),
    )


def describe_status(details: Details, ticket: Ticket | None, caller: str, standstill: str = "") -> CampaignStatus:
    """A campaign with its failures and nodes, and how to go on; `standstill` is why nobody may run it."""
    campaign, tallies = details.campaign, details.tallies
    order = campaign.order
    service = order.service
    low, high = details.remaining_s or (None, None)
    bisection = conclude_bisection(order, tallies) if tallies and order.bisected else None
    swapped = SWAPPED if bisection is not None and bisection.conclusion == "fails less at the end" else ""
    return CampaignStatus.model_validate(
        {
            **_fields(campaign, caller),
            "reruns": _describe_reruns(campaign),
            "soak": conclude_soak(order, tallies) if tallies and not order.bisected else [],
            "bisection": bisection,
            "remaining_minutes": [] if low is None or high is None else [round(low / 60, 1), round(high / 60, 1)],
            "waits": _describe_wait(ticket, service) if ticket is not None else None,
            "nodes": [_describe_node(share, service) for share in details.nodes],
            "failures": [describe_failure(told, order) for told in details.failures],
            "note": " ".join(filter(None, (standstill, _note(campaign), swapped, _note_nodes(campaign, details)))),
            "next": _next(campaign),
        }
    )


def describe_failure(told: Told, order: CampaignOrder) -> CampaignFailure:
    """A failure, with what its rerun came to."""
    return CampaignFailure.model_validate(
        {
            "run_id": told.run_id,
            "test": order.bisected or told.test,
            "revision": told.test if order.bisected else "",
            "outcome": told.outcome,
            "node_id": f"{order.service}:{told.node}",
            "reason": told.reason,
            "rerun": RERUN_WORDS.get(told.rerun, ""),
            "rerun_id": told.rerun_id,
            "retries": told.retries,
        }
    )


def _describe_wait(ticket: Ticket, service: str) -> CampaignWait:
    low, high = ticket.expected_wait or (None, None)
    return CampaignWait(
        place=ticket.place,
        expected_minutes=[] if low is None or high is None else [round(low / 60, 1), round(high / 60, 1)],
        passed_over={f"{service}:{node}": why for node, why in {**ticket.passed_over, **ticket.doubts}.items()},
        note=ticket.reason,
    )


def _describe_reruns(campaign: Campaign) -> dict[str, int] | None:
    counts = {"retried": campaign.retried, "confirmed": campaign.confirmed, "flaky": campaign.unconfirmed}
    return counts if any(counts.values()) else None


def _fields(campaign: Campaign, caller: str) -> dict[str, Any]:
    order = campaign.order
    return {
        "campaign_id": campaign.campaign_id,
        "state": campaign.state,
        "service": order.service,
        "test_pack_revision": order.test_pack_revision,
        "message": order.message,
        "caller": "" if order.caller == caller else order.caller,
        "created_at": _moment(campaign.created_at),
        "ended_at": _moment(campaign.ended_at),
        "tests": 1 if order.bisected else campaign.tests,
        **_counts(campaign),
    }


def _counts(campaign: Campaign) -> dict[str, Any]:
    is_open = campaign.order.is_open
    return {
        "runs": campaign.counted if is_open else campaign.items,
        "by_outcome": {name: count for name, count in campaign.by_outcome.items() if count},
        "not_run": 0 if is_open else campaign.items - campaign.counted,
    }


def _describe_node(share: NodeShare, service: str) -> CampaignNode:
    return CampaignNode.model_validate(
        {
            "node_id": f"{service}:{share.node.node}",
            "state": _STATE[share.node.state],
            "by_outcome": share.outcomes,
            "job_uid": f"{service}:{share.job_uid}" if share.job_uid else "",
            "why": share.node.why,
        }
    )


def _note(campaign: Campaign) -> str:
    notes = [campaign.why]
    if campaign.ended and campaign.released_at is None:
        notes.append("Its nodes are still being given back.")
    if not campaign.ended and campaign.cancel_at is not None:
        notes.append("It is being cancelled: its jobs are stopped, and what has finished is kept.")
    if campaign.pinned and campaign.pinned != campaign.order.test_pack_revision:
        notes.append(f"Its jobs run commit {campaign.pinned}, as its first did.")
    if campaign.trouble:
        notes.append(f"It waits, and goes on by itself: {campaign.trouble}")
    return " ".join(note for note in notes if note)


def _note_nodes(campaign: Campaign, details: Details) -> str:
    works = any(share.node.state == "held" for share in details.nodes)
    return "" if works or campaign.state != "running" else "It has no node just now, and waits for one."


def _next(campaign: Campaign) -> str:
    own = f"campaign_id={campaign.campaign_id!r}"
    if not campaign.ended:
        return f"It goes on by itself, whoever goes away. get_campaign({own}, wait_seconds=45) follows it."
    explain = "explain_failure(run_id=…) says why one failed. " if campaign.failed + campaign.errored else ""
    left = campaign.failed + campaign.errored and not campaign.order.bisected
    again = f"start_campaign(failed_of={campaign.campaign_id!r}, …) runs what failed again. " if left else ""
    return f"{explain}{again}get_campaign({own}, report='html', save_to='report.html') writes a page."


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
