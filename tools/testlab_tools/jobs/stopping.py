"""Stopping a job, and seeing it stopped: bounded, and no harder on the portal than waiting for it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from testlab_tools.capabilities import JobRunner
from testlab_tools.deadline import Deadline
from testlab_tools.errors import AnswerLost, AuthError, BadReply, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.handles import Handle
from testlab_tools.http.policy import Backoff, asked_by
from testlab_tools.models.lab import Job, StoppedJob

LAST_LOOK_SHARE = 0.07
"""Of a call's time, for seeing how far a job had come."""

STOP_AGAIN = Backoff(0.5, 5.0, jitter=lambda: 1.0)
MAX_LOST = 3
"""Answers that say nothing, after which it is not asked again."""


async def check_owner(runner: JobRunner, job: Job, raising: str) -> None:
    """Raises Refused unless the job was certainly started by this user; `raising` is what gives admin access."""
    owner = await runner.get_job_owner(Handle.parse(job.job_uid, [runner.name]).native)
    if owner.yours:
        return
    who = f"by {owner.login}" if owner.login else "by another user"
    raise Refused(
        f"Job {job.job_uid!r} was started {who}"
        if owner.yours is False
        else f"Whose job {job.job_uid!r} is is not known",
        "Below admin access only your own jobs are stopped",
        f"Ask its owner; with {raising} stop_job stops anybody's.",
    )


async def stop_and_watch(runner: JobRunner, job: Job, deadline: Deadline) -> StoppedJob:
    """Ask until the job has stopped, or the call's time is all but up; then say how far it had come.

    Raises:
        LabError: the service took none of the requests.
    """
    native = Handle.parse(job.job_uid, [runner.name]).native
    stopped = await _until_stopped(runner, native, deadline.long_step())
    note = "How far it had come could not be read any more."
    with suppress(RateLimited, ServiceDown, BadReply, AuthError):
        async with deadline.timeout(LAST_LOOK_SHARE, at_least=1.0):
            job = await runner.get_job(native, patient=False)
            stopped, note = job.finished, ""
    return describe_stopped(job, stopped, note)


def describe_stopped(job: Job, stopped: bool, note: str) -> StoppedJob:
    """The job as `stop_job` reports it, with what to call next."""
    uid = job.job_uid
    on = f"It is stopping; get_job(job_uid={uid!r}, wait_seconds=45) waits for its end."
    seen = f"get_failed_cases(run_id={uid!r}) explains what had failed." if job.failed or job.errored else ""
    return StoppedJob(
        job_uid=uid,
        node_id=job.node_id,
        stopped=stopped,
        done=job.done,
        total=job.total,
        note=note,
        next=seen if stopped else on,
    )


async def _until_stopped(runner: JobRunner, native: str, seconds: float) -> bool:
    """Stb-tester, "Stop a job in progress": on 202 "the client should retry the request", and that is idempotent."""
    trouble: LabError | None = None
    taken, losses, asked = False, 0, 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                wanted = 0.0
                try:
                    if await runner.stop_job(native):
                        return True
                    taken = True
                except AnswerLost as lost:
                    try:
                        if (await runner.get_job(native)).finished:
                            return True
                        trouble = _describe_doubt(runner.handle(native), lost, "it still runs")
                    except (ServiceDown, RateLimited, BadReply, AuthError):
                        trouble = _describe_doubt(runner.handle(native), lost, "it cannot be looked up")
                    losses += 1
                    if losses == MAX_LOST and not taken:
                        raise trouble from None
                except (RateLimited, ServiceDown) as down:
                    with suppress(RateLimited, ServiceDown):
                        if (await runner.get_job(native, patient=False)).finished:
                            return True
                    trouble = down
                    wanted = asked_by(down)
                asked += 1
                await asyncio.sleep(STOP_AGAIN.pause(asked, wanted))
    except TimeoutError:
        if trouble is not None and not taken:
            raise trouble from None
        return False


def _describe_doubt(uid: str, lost: AnswerLost, so: str) -> AnswerLost:
    what = f"Whether job {uid} is stopping is not known: the answer was lost, and {so}"
    return AnswerLost(lost.service, what, lost.why, f"get_job(job_uid={uid!r}) shows it; stop_job can be called again.")
