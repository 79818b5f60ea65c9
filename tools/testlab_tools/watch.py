"""Waiting on a job: bounded, with progress, one upstream long poll however many wait."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from testlab_tools.capabilities import JobRunner
from testlab_tools.errors import ServiceDown
from testlab_tools.handles import Handle
from testlab_tools.models import Job
from testlab_tools.registry import Progress

LOOK_EVERY_S = 1.0
"""How often the counts are read for progress. Callers waiting on the same job share the request."""


async def watch(runner: JobRunner, job: Job, wait_seconds: int, progress: Progress) -> Job:
    """The job once it has finished, or as it stands after `wait_seconds`. Cancelling leaves the job alone."""
    if wait_seconds and not job.finished:
        job = await _held(runner, job, _now() + wait_seconds, progress)
    return job.model_copy(update=_what_next(job))


async def _held(runner: JobRunner, job: Job, until: float, progress: Progress) -> Job:
    native = Handle.parse(job.job_uid, [runner.name]).native
    ended = asyncio.ensure_future(_ended(runner, native))
    ended.add_done_callback(_seen)
    try:
        while (left := until - _now()) > 0 and not job.finished:
            await progress(job.done, job.total, f"{job.done} of {job.total} tests done, {job.failed} failed")
            pause = min(LOOK_EVERY_S, left)
            if ended.done():
                ended.result()
                await asyncio.sleep(pause)
            else:
                await asyncio.wait([ended], timeout=pause)
            job = await runner.get_job(native)
        await progress(job.done, job.total, f"{job.done} of {job.total} tests done, {job.failed} failed")
        return job
    finally:
        ended.cancel()


async def _ended(runner: JobRunner, native: str) -> None:
    """Return when the job has ended. A portal that lets go or hangs up at once is not asked again at once.

    Its being down is told by whoever reads the counts meanwhile.
    """
    pause = 0.5
    while True:
        begun = _now()
        with suppress(ServiceDown):
            if await runner.await_job(native):
                return
        if _now() - begun < 1:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 15)


def _seen(ended: asyncio.Future[None]) -> None:
    """Nobody is left to hear of an error that comes after the waiting has ended."""
    if not ended.cancelled():
        ended.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _what_next(job: Job) -> dict[str, str]:
    if not job.finished:
        return {"next": f"Still running: get_job(job_uid={job.job_uid!r}, wait_seconds=45) waits on."}
    if job.done < job.total:
        return {"note": f"Ended before all its tests had run: {job.done} of {job.total}."}
    if job.failed or job.errored:
        return {"next": f"get_failed_cases(run_id={job.job_uid!r}) explains what failed."}
    return {}
