"""Tools about campaigns: many tests on several nodes, that go on whoever goes away."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from testlab_tools.capabilities import JobFarm, RunArchive, TestPack
from testlab_tools.cursors import cursor_error, decode_cursor, encode_cursor
from testlab_tools.durable.standstill import say_standstill
from testlab_tools.errors import BadInput, NotFound, Unsupported
from testlab_tools.fanout import gather_all
from testlab_tools.files.io import Writer
from testlab_tools.late_module import LateModule
from testlab_tools.models.nodes import Node
from testlab_tools.registry import ADD, LOOK, Call, tool
from testlab_tools.tools.arguments import Limit, Wait
from testlab_tools.tools.jobs import check_names
from testlab_tools.untrusted import quote

if TYPE_CHECKING:
    from testlab_tools.campaigns import answer, orders, records
    from testlab_tools.campaigns import campaigns as running
    from testlab_tools.models import campaigns as models
    from testlab_tools.schedules import answer as schedule_answer
    from testlab_tools.schedules import schedules as scheduling
    from testlab_tools.schedules.store import Schedule
else:
    answer = LateModule("testlab_tools.campaigns.answer")
    running = LateModule("testlab_tools.campaigns.campaigns")
    orders = LateModule("testlab_tools.campaigns.orders")
    records = LateModule("testlab_tools.campaigns.records")
    models = LateModule("testlab_tools.models.campaigns")
    schedule_answer = LateModule("testlab_tools.schedules.answer")
    scheduling = LateModule("testlab_tools.schedules.schedules")

CampaignId = Annotated[str, Field(min_length=1, max_length=40, description="From start_campaign")]


@tool(toolset="campaigns", access="operate", needs=JobFarm, hints=ADD)
async def start_campaign(
    call: Call,
    test_pack_revision: Annotated[str, Field(description="Empty: that of failed_of")] = "",
    test_cases: Annotated[list[str], Field(description="From list_test_cases")] = [],
    all_tests: Annotated[bool, Field(description="Or: all there are")] = False,
    failed_of: Annotated[str, Field(description="Or: what failed in this run, job, campaign")] = "",
    node_ids: Annotated[list[str], Field(description="All")] = [],
    device_type: Annotated[str, Field(description="Or: node_count of it")] = "",
    node_count: Annotated[int, Field(ge=0, description="0: all free")] = 0,
    repeat: Annotated[int, Field(ge=0, description="0: soak, for max_hours")] = 1,
    until_below: Annotated[float, Field(description="Soak until shown to fail less often than this, or more")] = 0,
    until_within: Annotated[float, Field(description="Soak until the failure rate is known ± this")] = 0,
    retries: Annotated[int, Field(ge=0, le=5, description="After outcome error")] = 1,
    confirm_failures: Annotated[bool, Field(description="Rerun each once")] = False,
    max_hours: Annotated[float, Field(ge=0.01, le=336)] = 12,
    remote_control: str = "",
    category: str = "",
    tags: dict[str, str] = {},
    message: Annotated[str, Field(max_length=1000, description="Why")] = "",
    service: str = "",
    daily_at: Annotated[str, Field(max_length=80, description="Later: 02:00, or 02:00 mon-fri")] = "",
) -> models.CampaignOrdered:
    """Start a campaign: tests shared out over several nodes, for hours, also without you.

    Waits in line for the nodes, moves tests when one fails, gives all back. get_campaign follows it; for one node and
    some minutes, run_tests.
    """
    campaigns = campaigns_of(call)
    runner, failed, revision = await _find_failed(call, failed_of, service, campaigns)
    if sum((bool(test_cases), all_tests, bool(failed_of))) != 1:
        raise BadInput("Give one of test_cases, all_tests and failed_of", "", "list_test_cases has names.")
    revision = test_pack_revision or revision
    if not revision:
        raise BadInput("test_pack_revision is empty", "", "Give a branch, tag or commit SHA of the test pack.")
    names = await _choose_tests(runner, revision, test_cases or failed, all_tests)
    repeat = 0 if until_below or until_within else repeat
    orders.check_size(len(names), repeat or 1)
    if not repeat:
        orders.check_soak(len(names), until_below, until_within)
    orders.check_tags(list(tags))
    order = orders.CampaignOrder(
        service=runner.name,
        test_pack_revision=revision,
        **await _choose_nodes(call, runner, node_ids, device_type, node_count),
        repeat=repeat,
        until_below=until_below,
        until_within=until_within,
        retries=retries,
        confirm_failures=confirm_failures,
        remote_control=remote_control,
        category=category,
        tags=tuple(tags.items()),
        message=message or "Campaign of testlab-mcp",
        max_hours=max_hours,
        caller=call.caller,
    )
    if daily_at:
        zone = call.lab.archive.timezone if call.lab.archive else "UTC"
        schedule = await schedules_of(call).begin(order, [] if all_tests else names, daily_at.strip(), zone)
        return schedule_answer.describe_new_schedule(schedule.value, len(names) * repeat, schedule.again)
    return await _start(call, order, names)


@tool(toolset="campaigns", access="operate", needs=JobFarm, hints=ADD, title="Bisect revisions")
async def bisect(
    call: Call,
    test_case: Annotated[str, Field(min_length=1)],
    revisions: Annotated[list[str], Field(description="Oldest first: a good one … a bad one")],
    node_ids: list[str] = [],
    device_type: Annotated[str, Field(description="Or: node_count of it")] = "",
    node_count: Annotated[int, Field(ge=0, description="0: all free")] = 1,
    max_hours: Annotated[float, Field(ge=0.01, le=336)] = 12,
    remote_control: str = "",
    message: Annotated[str, Field(max_length=1000, description="Why")] = "",
    service: str = "",
) -> models.CampaignOrdered:
    """Find the first revision at which a test is bad, also a flaky one: a campaign that reruns until one is left.

    get_campaign has it, right in 19 of 20 cases. Does not list revisions: git log does.
    """
    campaigns_of(call)
    runner = call.lab.one(JobFarm, service)
    orders.check_revisions(revisions)
    nodes = await _choose_nodes(call, runner, node_ids, device_type, node_count)
    if isinstance(runner, TestPack):
        listed = await gather_all(*(runner.list_test_cases(revision) for revision in revisions))
        for revision, names in zip(revisions, listed, strict=True):
            if test_case not in names and any(test_case in others for others in listed):
                what = f"The test is not there at revision {quote(revision, 80)}"
                raise NotFound(what, "Nothing was started", "Give revisions that have it.").naming(test_case)
            check_names([test_case], names)
    order = orders.CampaignOrder(
        service=runner.name,
        test_pack_revision=revisions[-1],
        **nodes,
        repeat=0,
        bisected=test_case,
        remote_control=remote_control,
        message=message or "Bisection by testlab-mcp",
        max_hours=max_hours,
        caller=call.caller,
    )
    return await _start(call, order, revisions)


@tool(toolset="campaigns", access="observe", needs=JobFarm, hints=LOOK)
async def get_campaign(
    call: Call,
    campaign_id: CampaignId,
    wait_seconds: Wait = 0,
    report: Annotated[Literal["", "junit", "html"], Field(description="Written to save_to")] = "",
    save_to: str = "",
) -> models.CampaignStatus:
    """Get a campaign's state, counts, failures with reasons, each node's share, and how long the rest takes.

    Has 20 failures; a report has all results.
    """
    campaign = await find_campaign(call, campaign_id)
    if bool(report) != bool(save_to):
        raise BadInput("report and save_to belong together", "", "As report='html', save_to='night.html'.")
    if wait_seconds:

        async def tell(now: records.Campaign) -> None:
            await call.progress(now.counted, now.items, f"{now.counted} of {now.items} done, {now.failed} failed")

        seconds = max(0.0, wait_seconds - call.deadline.spent_s)
        campaign = await campaigns_of(call).follow(campaign, seconds, tell)
    saved = await _save_report(call, campaign, report, save_to) if report else {}
    return (await _describe(call, campaign)).model_copy(update=saved)


@tool(toolset="campaigns", access="observe", needs=JobFarm, hints=LOOK)
async def list_campaigns(call: Call, limit: Limit = 20, cursor: str = "") -> models.CampaignList:
    """List campaigns, newest first, with their counts. get_campaign has the failures of one."""
    made_for = f"list_campaigns {call.caller}"
    after = _position(decode_cursor(cursor, made_for)) if cursor else None
    page, concluded = await campaigns_of(call).list(call.caller, sees_all(call), call.lab.services, limit, after)
    schedules = [] if cursor else await schedules_of(call).list(call.caller, sees_all(call), call.lab.services)
    return models.CampaignList(
        scheduled=[schedule_answer.describe_schedule(schedule, call.caller) for schedule in schedules],
        campaigns=[
            answer.describe_brief(one, call.caller, concluded.get(one.campaign_id, "")) for one in page.campaigns
        ],
        cursor=encode_cursor(made_for, list(page.after)) if page.after else "",
        note=await say_standstill(
            campaigns_of(call).engine, bool(schedules) or any(not one.ended for one in page.campaigns)
        ),
    )


async def _save_report(
    call: Call, campaign: records.Campaign, report: Literal["junit", "html"], save_to: str
) -> dict[str, str]:
    """Where the report was saved, or that it is still being written."""
    target = call.files.to_write(save_to)
    assert target is not None, "save_to is not empty here"

    async def work(out: Writer) -> int:
        return await campaigns_of(call).write_report(campaign, report, out.write)

    async def watch(size: int) -> None:
        await call.progress(size, size, f"{size} bytes written")

    key = (campaign.campaign_id, report, campaign.counted)
    state = await call.files.transfers.run(target, key, work, watch, call.deadline.long_step())
    if not state.finished:
        return {"note": "The report is still being written.", "next": "Call again with the same arguments."}
    return {"saved_to": str(target)}


def campaigns_of(call: Call) -> running.Campaigns:
    """The campaigns of this server. Raises Unsupported where there are none."""
    if call.lab.work is None:
        raise Unsupported("There are no campaigns", "[durable] enabled is false in the config", "")
    return call.lab.work.campaigns


def schedules_of(call: Call) -> scheduling.Schedules:
    """The schedules of this server. Raises Unsupported where there are none."""
    campaigns_of(call)
    assert call.lab.work is not None, "there are campaigns"
    return call.lab.work.schedules


def _check_durable(call: Call, service: str) -> None:
    if call.lab.outbox is None or not call.lab.outbox.accepts(service):
        raise Unsupported(
            f"Campaigns cannot run on {service}", "It takes callers' own tokens, which are not kept", "Use run_tests."
        )


def sees_all(call: Call) -> bool:
    """Whether the caller sees the campaigns of others."""
    return call.caller == "local" or call.access == "admin"


async def _start(call: Call, order: orders.CampaignOrder, names: list[str]) -> models.CampaignOrdered:
    campaigns = campaigns_of(call)
    started = await campaigns.start(order, names, call.digest, call.deadline.spent_s)
    return answer.describe_ordered(started.value, await say_standstill(campaigns.engine), started.again)


async def find_campaign(call: Call, campaign_id: str) -> records.Campaign:
    """A campaign that the caller sees. Raises NotFound."""
    if campaign_id.startswith(scheduling.PREFIX):
        why = f"What begins with {scheduling.PREFIX} is the id of a schedule"
        next_step = "list_campaigns shows those, and what each start became; cancel_campaign ends one."
        raise NotFound("There is no such campaign", why, next_step).naming(campaign_id)
    return await campaigns_of(call).get(campaign_id, call.caller, sees_all(call), call.lab.services)


async def find_schedule(call: Call, schedule_id: str) -> Schedule:
    """A schedule that the caller sees. Raises NotFound."""
    return await schedules_of(call).find(schedule_id, call.caller, sees_all(call), call.lab.services)


async def _describe(call: Call, campaign: records.Campaign) -> models.CampaignStatus:
    campaigns = campaigns_of(call)
    details = await campaigns.details(campaign, answer.SHOWN_FAILURES)
    ticket = await campaigns.ticket(details.campaign)
    standstill = await say_standstill(campaigns.engine, details.campaign.released_at is None)
    return answer.describe_status(details, ticket, call.caller, standstill)


async def _find_failed(
    call: Call, failed_of: str, service: str, campaigns: running.Campaigns
) -> tuple[JobFarm, list[str], str]:
    """The service to run on, the test cases that failed in what `failed_of` names, and its revision."""
    if not failed_of:
        return call.lab.one(JobFarm, service), [], ""
    if ":" not in failed_of and "/" not in failed_of:
        campaign = await find_campaign(call, failed_of)
        if campaign.order.bisected:
            raise BadInput("failed_of names a bisection", "It has revisions, not test cases, that failed", "").naming(
                failed_of
            )
        runner = call.lab.one(JobFarm, campaign.order.service)
        return runner, await campaigns.failed_tests(campaign), campaign.revision
    archive, native = call.lab.run_owner(failed_of, RunArchive)
    runs = [run for run in await archive.get_failures(native) if run.outcome != "pass"]
    tests = list(dict.fromkeys(run.test for run in runs))
    return call.lab.one(JobFarm, archive.name), tests, runs[0].revision if runs else ""


async def _choose_nodes(
    call: Call, runner: JobFarm, node_ids: list[str], device_type: str, node_count: int
) -> dict[str, Any]:
    """The fields of an order that say on which nodes it runs."""
    native = [call.lab.native(node_id) for node_id in node_ids]
    listed = await _list_nodes(runner, native)
    _check_durable(call, runner.name)
    orders.check_nodes(listed, runner.name, native, device_type, node_count)
    return {
        "node_ids": tuple(dict.fromkeys(native)),
        "device_type": device_type,
        "node_count": node_count,
        "allowed": None if runner.unscoped is runner else tuple(sorted(runner.native(one.node_id) for one in listed)),
    }


async def _choose_tests(runner: JobFarm, revision: str, named: list[str], all_tests: bool) -> list[str]:
    """The test cases to run, each once, all of them of the revision."""
    if not isinstance(runner, TestPack):
        if all_tests:
            raise Unsupported(f"{runner.name} lists no test cases", "", "Give test_cases.")
        return list(dict.fromkeys(named))
    known = await runner.list_test_cases(revision)
    check_names(named, known)
    return list(dict.fromkeys(known if all_tests else named))


async def _list_nodes(runner: JobFarm, wanted: list[str]) -> list[Node]:
    """The nodes of this caller. Raises Refused for one of the `wanted` that is not among them."""
    listed = await runner.list_nodes()
    known = {runner.native(node.node_id) for node in listed}
    for node_id in [node_id for node_id in wanted if node_id not in known][:1]:
        with suppress(NotFound):  # which is said with the nearest
            await runner.get_node(node_id)
    return listed


def _position(position: object) -> tuple[float, str]:
    match position:
        case [float() | int() as created_at, str() as campaign_id]:
            return float(created_at), campaign_id
        case _:
            raise cursor_error()
