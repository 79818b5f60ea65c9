"""Stopping a job, and seeing it stopped: bounded, and no harder on the portal than waiting for it."""

from __future__ import annotations

import asyncio

from testlab_tools.capabilities import JobRunner
from testlab_tools.errors import AnswerLost, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.handles import Handle
from testlab_tools.models import Job, StoppedJob

STOP_SECONDS = 40.0
"""How long a call may see to it that a job has stopped."""

LAST_LOOK_S = 3.0


async def check_owner(runner: JobRunner, job: Job, raising: str) -> None:
    """Raises Refused unless the job was certainly started by this user; `raising` is what gives admin access."""
    owner = await runner.job_owner(Handle.parse(job.job_uid, [runner.name]).native)
    if owner.yours:
        return
    who = f"by {owner.login}" if owner.login else "by another user"
    raise Refused(
        f"Job {job.job_uid} was started {who}" if owner.yours is False else f"Whose job {job.job_uid} is is not known",
        "Below admin access only your own jobs are stopped",
        f"Ask its owner; with {raising} stop_job stops anybody's.",
    )


async def stop(runner: JobRunner, job: Job, until: float) -> StoppedJob:
    """Ask until the job has stopped, or until `until` by the loop's clock; then say how far it had come.

    Raises:
        LabError: the service took none of the requests.
    """
    native = Handle.parse(job.job_uid, [runner.name]).native
    stopped = await _until_stopped(runner, native, until)
    try:
        async with asyncio.timeout(LAST_LOOK_S):
            job = await runner.get_job(native, patient=False)
    except (RateLimited, ServiceDown, TimeoutError):
        note = "How far it had come could not be read any more."
    else:
        stopped, note = stopped or job.finished, ""
    return stopped_noun(job, stopped, note)


def stopped_noun(job: Job, stopped: bool, note: str) -> StoppedJob:
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


async def _until_stopped(runner: JobRunner, native: str, until: float) -> bool:
    """Stb-tester, "Stop a job in progress": on 202 "the client should retry the request", and that is idempotent."""
    pause = 0.5
    trouble: LabError | None = None
    taken = False
    try:
        async with asyncio.timeout_at(until):
            while True:
                asked = 0.0
                try:
                    if await runner.stop_job(native):
                        return True
                    taken = True
                except AnswerLost as lost:
                    if (await runner.get_job(native)).finished:
                        return True
                    trouble = lost
                except (RateLimited, ServiceDown) as down:
                    trouble = down
                    asked = down.retry_after if isinstance(down, RateLimited) else 0.0
                await asyncio.sleep(max(pause, asked))
                pause = min(pause * 2, 5.0)
    except TimeoutError:
        if trouble is not None and not taken:
            raise trouble from None
        return False
