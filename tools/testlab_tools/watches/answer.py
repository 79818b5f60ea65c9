"""What is told of a watch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from testlab_tools.models.campaigns import CampaignOrdered
from testlab_tools.models.watches import SentNotice, Watched
from testlab_tools.watches.subjects import Watch

UNKNOWN_YIELD = "What is not known never ends the watch."


def describe_watch(watch: Watch, notices: Sequence[SentNotice] = (), standstill: str = "") -> Watched:
    """The watch as tools return it, with the tool that comes next; `standstill` is why nobody may look."""
    ends = watch.state == "watching"
    figures = watch.facts.figures
    unknown = UNKNOWN_YIELD if ends and figures is not None and figures.unknown else ""
    return Watched(
        watch_id=watch.watch_id,
        state=watch.state,
        waits_for=watch.subject.describe(),
        what=watch.what,
        at=_moment(watch.ended_at),
        ends_by=_moment(watch.deadline) if ends else None,
        seen_at=_moment(watch.seen_at) if ends or watch.state == "not in time" else None,
        trouble=watch.trouble,
        notices=list(notices),
        note=" ".join(filter(None, (standstill, unknown))),
        next=suggest_next(watch),
        seen=watch.facts if watch.facts.model_dump(exclude_defaults=True) else None,
    )


def describe_ended_watch(watch: Watch) -> CampaignOrdered:
    """A watch that was ended by hand, or had ended before."""
    note = f"It watches no longer. {watch.what}." if watch.state == "cancelled" else f"It had ended. {watch.what}."
    return CampaignOrdered(campaign_id=watch.watch_id, state=watch.state, runs=0, note=note)


def suggest_next(watch: Watch) -> str:
    """Which tool goes on from there."""
    subject = watch.subject
    if watch.state == "watching":
        return f"It goes on without you: watch(watch_id={watch.watch_id!r}, wait_seconds=45) tells its end."
    if watch.state == "gone":
        return "list_nodes and list_runs show what there is."
    job = watch.facts.job
    if job is not None and job.finished:
        failed = f"get_failed_cases(run_id={subject.handle!r}) explains what failed."
        return failed if job.failed or job.errored else f"get_job(job_uid={subject.handle!r}) has its counts."
    if subject.kind == "campaign":
        return f"get_campaign(campaign_id={subject.native!r}) has its failures."
    if subject.kind == "node" and watch.state == "happened" and subject.becomes == "free":
        return "reserve_nodes takes it, if nobody was quicker."
    if subject.kind == "yield" and watch.state == "happened":
        return "summarize_runs(metric='failures') shows what fails; list_runs the runs."
    if watch.state == "cancelled":
        return ""
    return "list_nodes shows who has which." if watch.state == "happened" else "The call that began it watches on."


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
