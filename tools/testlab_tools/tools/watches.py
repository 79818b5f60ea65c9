"""The tool that watches something and tells when it has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from testlab_tools.capabilities import HistoryFeed, JobRunner, NodeInventory, Service
from testlab_tools.durable.standstill import say_standstill
from testlab_tools.errors import BadInput, NotFound, Refused, Unsupported
from testlab_tools.late_module import LateModule
from testlab_tools.registry import LOOK, Call, tool
from testlab_tools.tools.arguments import Wait
from testlab_tools.tools.campaigns import find_campaign, sees_all
from testlab_tools.tools.line import refuse_ticket

if TYPE_CHECKING:
    from testlab_tools.campaigns import answer as campaign_answer
    from testlab_tools.models import watches as models
    from testlab_tools.watches import answer, judging, subjects
    from testlab_tools.watches import watches as watching
else:
    campaign_answer = LateModule("testlab_tools.campaigns.answer")
    models = LateModule("testlab_tools.models.watches")
    answer = LateModule("testlab_tools.watches.answer")
    judging = LateModule("testlab_tools.watches.judging")
    subjects = LateModule("testlab_tools.watches.subjects")
    watching = LateModule("testlab_tools.watches.watches")

MAX_HOURS = 168
_ONE = "watch_id reads a watch; job_uid, node_id, reservation_id, campaign_id or yield_below begins one."


@tool(
    toolset="campaigns",
    access="observe",
    needs=(JobRunner, NodeInventory, HistoryFeed),
    hints=LOOK,
    title="Watch one thing",
)
async def watch(
    call: Call,
    job_uid: str = "",
    node_id: str = "",
    node_becomes: subjects.Becomes = "free",
    reservation_id: str = "",
    campaign_id: str = "",
    yield_below: Annotated[float, Field(ge=0, le=100, description="Percent")] = 0,
    over_units: Annotated[int, Field(ge=5)] = 50,
    part: str = "",
    test: str = "",
    station: str = "",
    service: str = "",
    max_hours: Annotated[float, Field(ge=0.001, le=MAX_HOURS)] = 24,
    watch_id: Annotated[str, Field(description="Reads it")] = "",
    end: Annotated[bool, Field(description="Ends watch_id, if yours")] = False,
    wait_seconds: Wait = 0,
) -> models.Watched:
    """Watch one thing until it happens, also after this call: a node, a yield, a job's, reservation's or campaign's
    end.

    Returns watch_id; the same call is the same watch. [notify] sends its end.
    """
    given = [bool(text) for text in (job_uid, node_id, reservation_id, campaign_id, yield_below, watch_id)]
    if sum(given) != 1:
        raise BadInput("Nothing to watch is given" if not sum(given) else "Several things are given", "", _ONE)
    if 0 < yield_below < 1:
        meant = f"{yield_below:g} as a fraction is {yield_below * 100:g}; below 1 % no yield is watched."
        raise BadInput("yield_below is in percent", "", meant)
    if end and not watch_id:
        raise BadInput("It is not said which watch is to end", "", "Give watch_id with end.")
    watches = watches_of(call)
    if watch_id:
        found = await find_watch(call, watches, watch_id)
        if end:
            found = await _end(call, watches, found)
    else:
        if yield_below:
            subject, facts = await _find_yield(
                call,
                service,
                subjects.Condition(
                    below=yield_below,
                    over_units=over_units,
                    part=part,
                    test=test,
                    station=call.lab.native(station),
                ),
            )
        elif campaign_id:
            subject, facts = await _find_campaign(call, campaign_id)
        else:
            subject, facts = await _find_subject(call, job_uid, node_id, node_becomes, reservation_id)
        found = await watches.begin(subject, call.caller, max_hours, facts)

    async def tell(now: subjects.Watch) -> None:
        nonlocal told
        told += 1
        job = now.facts.job
        await call.progress(told, told + 1, f"{job.done} of {job.total} tests done" if job else "something was seen")

    told = 0
    found = await watches.follow(found, max(0.0, wait_seconds - call.deadline.spent_s), tell)
    standstill = await say_standstill(watches.engine) if found.state == "watching" else ""
    return answer.describe_watch(found, await watches.list_notices(found), standstill)


def watches_of(call: Call) -> watching.Watches:
    """The watches of this server. Raises Unsupported where there are none."""
    if call.lab.work is None:
        why, mend = (
            "Watches are kept in the database of [durable], which is off",
            "[durable] enabled = true turns it on.",
        )
        raise Unsupported("Nothing can be watched here", why, mend)
    return call.lab.work.watches


async def find_watch(call: Call, watches: watching.Watches, watch_id: str) -> subjects.Watch:
    """A watch that the caller may see. Raises NotFound."""
    found = await watches.read(watch_id)
    others = found is not None and found.caller != call.caller and not sees_all(call)
    if found is None or others or found.subject.service not in call.lab.services:
        raise NotFound("You have no such watch", "It ended weeks ago, never was, or is another caller's", _ONE).naming(
            watch_id
        )
    return found


async def _end(call: Call, watches: watching.Watches, found: subjects.Watch) -> subjects.Watch:
    """End a watch of the caller's own, which takes no more access than to begin it. Raises Refused."""
    if found.caller != call.caller:
        raise Refused("This watch is another caller's", "end ends your own only", "cancel_campaign ends others.")
    return await watches.end(found)


async def list_watches(call: Call, limit: int) -> list[subjects.Watch]:
    """The newest watches that the caller may see, newest first."""
    newest = await watches_of(call).list_newest(None if sees_all(call) else call.caller, limit)
    return [watch for watch in newest if watch.subject.service in call.lab.services]


async def _find_subject(
    call: Call, job_uid: str, node_id: str, becomes: subjects.Becomes, reservation_id: str
) -> tuple[subjects.Subject, models.WatchFacts]:
    """What the arguments name, and how it stands. Raises NotFound where there is nothing to watch."""
    if job_uid:
        runner, native = call.lab.owner(job_uid, JobRunner, lambda farm, job: farm.owns_job(job))
        _check_durable(call, runner)
        subject = subjects.Subject(kind="job", service=runner.name, native=native)
        return subject, judging.judge(subject, await runner.get_job(native)).facts
    if node_id:
        farm, native = await call.lab.node_owner(node_id, NodeInventory)
        _check_durable(call, farm)
        node = await farm.get_node(native)
        before = subjects.state_of(node)
        subject = subjects.Subject(kind="node", service=farm.name, native=native, becomes=becomes, before=before)
        return subject, judging.judge(subject, node).facts
    refuse_ticket(reservation_id)
    holder, native = await call.lab.reservation_owner(reservation_id)
    _check_durable(call, holder)
    subject = subjects.Subject(kind="reservation", service=holder.name, native=native)
    return subject, judging.judge(subject, await holder.get_reservation(native)).facts


async def _find_campaign(call: Call, campaign_id: str) -> tuple[subjects.Subject, models.WatchFacts]:
    assert call.lab.work is not None, "watches are part of it"
    found = await find_campaign(call, campaign_id)
    subject = subjects.Subject(kind="campaign", service=found.order.service, native=campaign_id)
    return subject, models.WatchFacts(campaign=campaign_answer.describe_brief(found, found.order.caller))


async def _find_yield(
    call: Call, service: str, condition: subjects.Condition
) -> tuple[subjects.Subject, models.WatchFacts]:
    """A condition that can be evaluated, and the yield as it is. Raises LabError for one that never can be."""
    if call.lab.archive is None:
        raise Refused("A yield cannot be watched", "[archive] enabled is false in the config", "It turns history on.")
    feed = call.lab.one(HistoryFeed, service)
    _check_durable(call, feed)
    whole = feed.unscoped
    if whole is not feed and isinstance(whole, HistoryFeed) and await whole.identify() != await feed.identify():
        raise Unsupported("A yield is watched over all nodes", "You may use some only", "summarize_runs has yours.")
    if not feed.has_units:
        raise Unsupported(
            f"{feed.name} tells no units, and a first pass yield is of units",
            "",
            "Name a service whose runs have serial numbers; summarize_runs(metric='runs') counts these.",
        )
    from testlab_tools.watches.condition import read_yield

    figures = await read_yield(call, feed.name, condition)
    return subjects.Subject(kind="yield", service=feed.name, condition=condition), models.WatchFacts(figures=figures)


def _check_durable(call: Call, service: Service) -> None:
    if call.lab.outbox is not None and not call.lab.outbox.accepts(service.name):
        why = "It takes callers' own tokens, which are kept nowhere"
        raise Unsupported(f"Nothing of {service.name} can be watched", why, "get_job and list_nodes show it.")
