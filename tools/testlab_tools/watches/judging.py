"""Whether what is watched has happened, from what was read: pure functions."""

from __future__ import annotations

from typing import NamedTuple

from testlab_tools.models.campaigns import CampaignBrief
from testlab_tools.models.jobs import Job
from testlab_tools.models.nodes import Node, Reservation
from testlab_tools.models.watches import WatchFacts, WatchState, YieldFigures
from testlab_tools.watches.subjects import Subject, state_of

Reading = Job | Node | Reservation | CampaignBrief | YieldFigures | None
"""What was read of a thing; None where the service says that it is not there."""


class Verdict(NamedTuple):
    """Whether it has happened, what happened in our words, and what was seen."""

    state: WatchState
    what: str
    facts: WatchFacts


def judge(subject: Subject, read: Reading) -> Verdict:
    """Whether what a watch waits for has happened."""
    match read:
        case None:
            return _judge_missing(subject)
        case Job():
            return _judge_job(subject, read)
        case Node():
            return _judge_node(subject, read)
        case Reservation():
            return Verdict("watching", "", WatchFacts(reservation=read.model_copy(update={"yours": False})))
        case CampaignBrief():
            return _judge_campaign(subject, read)
        case YieldFigures():
            return _judge_yield(subject, read)


def _judge_missing(subject: Subject) -> Verdict:
    if subject.kind == "reservation":
        return Verdict("happened", f"Reservation {subject.handle!r} has ended", WatchFacts())
    return Verdict("gone", f"Its service no longer knows {subject.kind} {subject.handle!r}", WatchFacts())


def _judge_job(subject: Subject, job: Job) -> Verdict:
    shown = job.model_copy(update={"started_by": "", "note": "", "next": "", "waiting_for": []})
    if not job.finished:
        return Verdict("watching", "", WatchFacts(job=shown))
    counts = f"{job.done} of {job.total} tests done: {job.passed} passed, {job.failed} failed, {job.errored} with error"
    return Verdict("happened", f"Job {subject.handle!r} has ended: {counts}", WatchFacts(job=shown))


def _judge_node(subject: Subject, node: Node) -> Verdict:
    state = state_of(node)
    held = node.reservation.model_copy(update={"yours": False}) if node.reservation else None
    public = "reserved" if node.state == "reserved by you" else node.state
    shown = node.model_copy(update={"state": public, "reservation": held, "detail": {}, "waiting_for": []})
    facts = WatchFacts(node=shown)
    came = state != subject.before if subject.becomes == "different" else node.state == subject.becomes
    return (
        Verdict("happened", f"Node {subject.handle!r} is {public}", facts) if came else Verdict("watching", "", facts)
    )


def _judge_campaign(subject: Subject, campaign: CampaignBrief) -> Verdict:
    facts = WatchFacts(campaign=campaign)
    if campaign.ended_at is None:
        return Verdict("watching", "", facts)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in campaign.by_outcome.items()) or "nothing has run"
    return Verdict("happened", f"Campaign {subject.handle!r} is {campaign.state}: {counts}", facts)


def _judge_yield(subject: Subject, figures: YieldFigures) -> Verdict:
    """What is unknown never comes to pass."""
    facts = WatchFacts(figures=figures)
    if figures.unknown or figures.percent is None or figures.percent >= figures.below:
        return Verdict("watching", "", facts)
    found = f"is {figures.percent:g} % over {figures.n} units, below {figures.below:g} %"
    what = f"The first pass yield {subject.describe_runs()}, {found}"
    return Verdict("happened", what, facts)
