"""What a job's answer says besides its counts: who started it while it runs, why its runs failed once it has ended, and
that its node is still held."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from testlab_tools.capabilities import Failure, FailureArchive, JobRunner, NodeInventory
from testlab_tools.deadline import Deadline
from testlab_tools.errors import LabError
from testlab_tools.fanout import gather_all
from testlab_tools.models.jobs import FailedTest, Job
from testlab_tools.models.lab import NOT_TOLD
from testlab_tools.models.nodes import Node
from testlab_tools.models.requests import RunQuery
from testlab_tools.untrusted import shorten

MAX_FAILURES = 10
REASON_CHARS = 300
LOOK_SHARE, LAST_LOOK_SHARE = 0.2, 0.07
"""Of a call's time, for these questions; the second also after a wait that has taken all of it."""


async def describe_job(runner: JobRunner, job: Job, deadline: Deadline) -> Job:
    """The job with what its service and node say of it beyond counts. What cannot be read in time is said not to be."""
    node, failed, yours = None, None, False
    with suppress(TimeoutError):
        async with asyncio.timeout(max(deadline.share(LOOK_SHARE), deadline.seconds * LAST_LOOK_SHARE)):
            if job.failed or job.errored:
                node, failed = await gather_all(_read_node(runner, job), _list_failures(runner, job))
            else:  # as of most, and so of many that wait for one job
                node = await _read_node(runner, job)
            yours = not job.finished and _starter(job, node) == NOT_TOLD and await _is_yours(runner, job)
    if job.finished:
        return _describe_ended(job, node, failed)
    return job.model_copy(update={"started_by": "you" if yours else _starter(job, node)})


def _starter(job: Job, node: Node | None) -> str:
    now = node.job if node is not None else None
    return now.started_by if now and now.job_uid == job.job_uid else NOT_TOLD


async def _is_yours(runner: JobRunner, job: Job) -> bool:
    with suppress(LabError):
        return (await runner.get_job_owner(runner.native(job.job_uid))).yours is True
    return False


def _describe_ended(job: Job, node: Node | None, failed: list[Failure] | None) -> Job:
    shown = [_describe_failure(failure) for failure in (failed or [])[:MAX_FAILURES]]
    unread = "Why its runs failed could not be read." if failed is None and job.failed + job.errored else ""
    held = node.reservation if node is not None else None
    end = f"end_reservation(reservation_id={held.reservation_id!r}) gives the node back." if held and held.yours else ""
    return job.model_copy(
        update={
            "failures": shown,
            "more_failures": max(0, job.failed + job.errored - len(shown)),
            "note": f"{job.note} {unread}".strip(),
            "next": f"{job.next} {end}".strip(),
        }
    )


def _describe_failure(failure: Failure) -> FailedTest:
    run = failure.run
    case, reason = failure.case or run.test, shorten(failure.reason or run.reason, REASON_CHARS)
    return FailedTest(run_id=run.run_id, outcome=run.outcome, case=case, reason=reason)


async def _read_node(runner: JobRunner, job: Job) -> Node | None:
    with suppress(LabError):
        if isinstance(runner, NodeInventory):
            return await runner.get_node(runner.native(job.node_id))
    return None


async def _list_failures(runner: JobRunner, job: Job) -> list[Failure] | None:
    """None where the service cannot say."""
    if not job.finished or not (job.failed or job.errored) or not isinstance(runner, FailureArchive):
        return None
    query = RunQuery(job=runner.native(job.job_uid), station=runner.native(job.node_id))
    with suppress(LabError):
        return (await runner.list_failures(query, MAX_FAILURES)).failures
    return None
