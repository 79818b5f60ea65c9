"""Waiting on jobs: bounded, with progress, and one upstream long poll per job however many wait. Stopping jobs, and
seeing them stopped, no harder on the portal than that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from testlab_tools.capabilities import JobRunner
from testlab_tools.deadline import Deadline
from testlab_tools.errors import AnswerLost, AuthError, BadReply, LabError, RateLimited, Refused, ServiceDown
from testlab_tools.fanout import ignore_error
from testlab_tools.http.policy import Backoff, asked_by
from testlab_tools.models.jobs import Job, StoppedJob
from testlab_tools.telemetry import JOBS

Progress = Callable[[float, float, str], Awaitable[None]]
"""Takes what is done, of how much, and both in words."""

POLL_INTERVAL_S = 1.0
"""How often a job's counts are read, all its waiters together."""

LOOK_AGAIN = Backoff(2 * POLL_INTERVAL_S, 8.0, jitter=lambda: 1.0)
"""Between two looks at a job whose service is in trouble."""

POLL_AGAIN = Backoff(0.5, 15.0, jitter=lambda: 1.0)
"""Between two long polls that were let go at once."""


class JobPoller:
    """The jobs that somebody waits for, each watched once. A lab has one."""

    def __init__(self, saw: Callable[[JobRunner, Job], None] | None = None) -> None:
        """`saw` is called with each job that is read."""
        self._saw = saw
        self._watches: dict[tuple[str, str], _Watch] = {}

    async def wait(
        self,
        runner: JobRunner,
        job_uid: str,
        wait_seconds: float,
        progress: Progress,
        known: Job | None = None,
        soak: bool = False,
    ) -> Job:
        """The job once it has finished, or as it stands after `wait_seconds`. Cancelling leaves the job alone.

        `known` is the job as it was just read; `soak` that it repeats its tests for ever. A service that fails
        meanwhile is asked on; what it last said is the answer then, with a note.

        Raises:
            LabError: the job could not be read at all.
        """
        if wait_seconds <= 0 or (known is not None and known.finished):
            job = known or await runner.get_job(job_uid)
            return job.model_copy(update=_suggest_next(job, soak))
        until = _now() + wait_seconds
        key = (runner.name, job_uid)
        watch = self._watches.get(key)
        if watch is None or watch.over:
            watch = self._watches[key] = _Watch(runner, job_uid, known, soak, self._saw)
        watch.waiting += 1
        try:
            return await watch.follow(until, progress)
        finally:
            watch.waiting -= 1
            if not watch.waiting:
                watch.end()
                if self._watches.get(key) is watch:
                    del self._watches[key]


class _Watch:
    """One job, read once a second and polled once, for everybody who waits on it."""

    def __init__(
        self,
        runner: JobRunner,
        job_uid: str,
        known: Job | None,
        soak: bool,
        saw: Callable[[JobRunner, Job], None] | None,
    ) -> None:
        self.waiting = 0
        self._saw = saw
        self._runner = runner
        self._uid = job_uid
        self._job = known
        self._read_at = _now()
        self._soak = soak
        self._trouble: LabError | None = None
        self._news = asyncio.Event()
        JOBS.add(1)
        self._task = asyncio.create_task(self._look_until_finished())
        self._task.add_done_callback(self._end_watch)

    @property
    def over(self) -> bool:
        """Whether the job is no longer looked at."""
        return self._task.done()

    def end(self) -> None:
        """Let go of everything upstream."""
        self._task.cancel()

    async def follow(self, until: float, progress: Progress) -> Job:
        """What one caller waits for; `until` by the loop's clock."""
        reported = -1
        while True:
            news, job = self._news, self._job
            if job is not None and job.done > reported:  # MCP: a progress value "MUST increase" with each notification
                reported = job.done
                await progress(job.done, job.total, f"{job.done} of {job.total} tests done, {job.failed} failed")
            if self.over or (job is not None and _now() >= until):
                return self._answer()
            try:
                async with asyncio.timeout_at(None if job is None else until):
                    await news.wait()
            except TimeoutError:
                continue

    def _answer(self) -> Job:
        if self._job is None or (self.over and not self._job.finished and self._trouble is None):
            self._task.result()
            raise AssertionError("unreachable: a watch that ends too early ends with an error")
        update = _suggest_next(self._job, self._soak)
        if self._trouble is not None and not self._job.finished:
            update["note"] = f"Counts of {_now() - self._read_at:.0f} s ago. {self._trouble}"
        return self._job.model_copy(update=update)

    async def _look_until_finished(self) -> None:
        job = self._job
        if job is None:
            job = self._record(await self._runner.get_job(self._uid))
        poll = asyncio.create_task(self._until_let_go())
        poll.add_done_callback(ignore_error)  # the counts are read meanwhile, and meet the same or go on
        pause, troubles = POLL_INTERVAL_S, 0
        try:
            while not job.finished:
                await (asyncio.sleep(pause) if poll.done() else asyncio.wait([poll], timeout=pause))
                try:
                    job = self._record(await self._runner.get_job(self._uid, patient=False))
                    pause, troubles = POLL_INTERVAL_S, 0
                except (RateLimited, ServiceDown) as trouble:
                    self._trouble, troubles = trouble, troubles + 1
                    pause = LOOK_AGAIN.pause(troubles, asked_by(trouble))
        finally:
            poll.cancel()

    async def _until_let_go(self) -> None:
        """Long polls until the job has ended, or an answer makes no sense: the counts then tell of the end.

        A portal that lets go or fails at once is not asked again at once.
        """
        polls = 0
        while True:
            begun, asked = _now(), 0.0
            try:
                if await self._runner.await_job(self._uid):
                    return
            except (RateLimited, ServiceDown) as trouble:
                asked = asked_by(trouble)
            if _now() - begun >= POLL_INTERVAL_S and not asked:
                polls = 0
                continue
            polls += 1
            await asyncio.sleep(POLL_AGAIN.pause(polls, asked))

    def _record(self, job: Job) -> Job:
        self._soak = self._soak or (self._job is not None and job.total > self._job.total)
        self._job, self._read_at, self._trouble = job, _now(), None
        self._notify()
        if self._saw is not None:
            self._saw(self._runner, job)
        return job

    def _end_watch(self, task: asyncio.Task[None]) -> None:
        JOBS.add(-1)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LabError):
            self._trouble = error
        self._notify()

    def _notify(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _suggest_next(job: Job, soak: bool) -> dict[str, str]:
    if not job.finished:
        on = f"Still running: get_job(job_uid={job.job_uid!r}, wait_seconds=45) waits on."
        forever = f" It repeats its tests, so total grows, until stop_job(job_uid={job.job_uid!r})."
        return {"next": on + forever if soak else on}
    if job.done < job.total:
        return {"note": f"Ended before all its tests had run: {job.done} of {job.total}."}
    if job.failed or job.errored:
        return {"next": f"get_failed_cases(run_id={job.job_uid!r}) explains what failed."}
    return {}


LAST_LOOK_SHARE = 0.1
"""Of a call's time, for seeing how far a job had come."""

STOP_AGAIN = Backoff(0.5, 5.0, jitter=lambda: 1.0)
MAX_LOST = 3
"""Answers that say nothing, after which it is not asked again."""


async def check_owner(runner: JobRunner, job: Job, raising: str) -> None:
    """Raises Refused unless the job was certainly started by this user; `raising` is what gives admin access."""
    owner = await runner.get_job_owner(runner.native(job.job_uid))
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
    native = runner.native(job.job_uid)
    stopped = await _until_stopped(runner, native, deadline.long_step())
    note = "How far it had come could not be read any more."
    with suppress(RateLimited, ServiceDown, BadReply, AuthError):
        async with deadline.timeout(LAST_LOOK_SHARE):
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
