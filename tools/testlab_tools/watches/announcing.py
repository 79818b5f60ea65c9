"""The end of a watch, as receivers are told of it."""

from __future__ import annotations

from testlab_tools.notify.event import Event
from testlab_tools.watches.answer import suggest_next
from testlab_tools.watches.subjects import Watch


def describe_event(watch: Watch) -> Event:
    """What has happened, with what was seen of it last."""
    facts = {"watch_id": watch.watch_id, "waited for": watch.subject.describe(), "trouble": watch.trouble}
    untrusted: dict[str, str] = {}
    seen = watch.facts
    if seen.job is not None:
        facts["tests"] = (
            f"{seen.job.done} of {seen.job.total} done, {seen.job.failed} failed, {seen.job.errored} errors"
        )
    if seen.node is not None:
        facts["state"] = seen.node.state
        untrusted |= {"name": seen.node.name, "device type": seen.node.device_type, "why": seen.node.why}
    held = seen.reservation or (seen.node and seen.node.reservation)
    if held:
        untrusted |= {"holder": held.holder, "message": held.message}
    if seen.campaign is not None:
        facts["runs"] = f"{seen.campaign.runs}, of which {seen.campaign.not_run} have not run"
        untrusted |= {"revision": seen.campaign.test_pack_revision, "message": seen.campaign.message}
    if seen.figures is not None:
        figures = seen.figures
        facts["yield"] = "unknown" if figures.percent is None else f"{figures.percent:g} % of {figures.n} units"
        facts["not known"] = figures.unknown
        untrusted |= {"part": figures.part, "test": figures.test, "station": figures.station}
    return Event(
        event_id=watch.watch_id,
        type="watch.ended",
        title=watch.what if watch.state in ("happened", "gone") else f"{watch.what}: {watch.subject.describe()}",
        state=watch.state,
        at=watch.ended_at or watch.begun_at,
        facts=facts,
        untrusted=untrusted,
        next=suggest_next(watch),
    )
