"""Waiting on a job: bounded, with progress, gentle to the portal, and never a hand on the job itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from testlab_tools.capabilities import Health, JobOwner, JobRunner
from testlab_tools.errors import AuthError, BadReply, NotFound, RateLimited, ServiceDown
from testlab_tools.jobs import JobPoller
from testlab_tools.models.jobs import Job
from testlab_tools.models.requests import TestOrder

Hurried = Callable[[Coroutine[Any, Any, Any]], Any]
UID = "/node-1/0a23/972"
NEVER = 10_000.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Rack(JobRunner):
    """Runs one job that began with the test: a test case every ten seconds, and ends after `ends_at` seconds."""

    kind = "rack"

    def __init__(self, ends_at: float = NEVER, failed: int = 0, total: int = 100) -> None:
        super().__init__("portal")
        self.begun = now()
        self.ends_at = ends_at
        self.failed = failed
        self.total = total
        self.asked: list[str] = []
        self.held_for = 55.0
        self.poll: Callable[[], Awaitable[bool]] = self._held
        self.polls_cancelled = 0

    async def get_job(self, job_uid: str, patient: bool = True) -> Job:
        self.asked.append(f"get {job_uid}")
        done = min(self.total, int((now() - self.begun) / 10))
        finished = now() - self.begun >= self.ends_at
        failed = min(done, self.failed)
        return Job(
            job_uid=self.handle(UID),
            node_id="portal:node-1",
            finished=finished,
            passed=done - failed,
            failed=failed,
            errored=0,
            total=self.total,
        )

    async def await_job(self, job_uid: str) -> bool:
        self.asked.append(f"await {job_uid}")
        try:
            return await self.poll()
        except asyncio.CancelledError:
            self.polls_cancelled += 1
            raise

    async def _held(self) -> bool:
        left = self.begun + self.ends_at - now()
        await asyncio.sleep(max(0.0, min(left, self.held_for)))
        return left <= self.held_for

    async def probe(self) -> Health:
        return Health("")

    async def run_tests(self, node_id: str, order: TestOrder) -> Job:
        raise AssertionError("watching starts nothing")

    async def get_node_job(self, node_id: str) -> Job:
        raise AssertionError("watching asks for the job, not the node")

    async def stop_job(self, job_uid: str) -> bool:
        raise AssertionError("watching stops nothing")

    async def get_job_owner(self, job_uid: str) -> JobOwner:
        raise AssertionError("watching is for everybody's jobs")

    def polls(self) -> int:
        return sum(line.startswith("await") for line in self.asked)


class Told:
    """The progress that was reported."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float, str]] = []

    async def __call__(self, done: float, total: float, words: str) -> None:
        self.steps.append((done, total, words))


async def quiet(done: float, total: float, words: str) -> None:
    return None


def test_not_waiting_asks_nothing(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack()
        job = await JobPoller().wait(rack, UID, 0, quiet, known=await rack.get_job(UID))

        assert not job.finished
        assert job.next == "Still running: get_job(job_uid='portal:/node-1/0a23/972', wait_seconds=45) waits on."
        assert rack.asked == [f"get {UID}"]

    hurried(scene())


def test_a_finished_job_is_not_waited_for(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack(ends_at=0)
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert job.finished
        assert rack.polls() == 0

    hurried(scene())


def test_the_end_is_noticed_at_once(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack(ends_at=20.25, total=2)
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert job.finished
        assert now() - rack.begun == pytest.approx(20.25, abs=0.05)
        assert rack.polls() == 1

    hurried(scene())


def test_waiting_ends_after_the_time_given_and_says_what_to_call_next(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack()
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert (job.finished, job.passed, job.total) == (False, 4, 100)
        assert "wait_seconds=45" in job.next
        assert now() - rack.begun == pytest.approx(45, abs=0.1)
        await asyncio.sleep(0.01)
        assert rack.polls_cancelled == 1

    hurried(scene())


def test_progress_increases_and_ends_with_the_result(hurried: Hurried) -> None:
    async def scene() -> None:
        told = Told()
        rack = Rack(ends_at=40, failed=1, total=4)
        await JobPoller().wait(rack, UID, 45, told, known=await rack.get_job(UID))

        done = [step[0] for step in told.steps]
        assert done == [0, 1, 2, 3, 4]
        assert told.steps[0] == (0, 4, "0 of 4 tests done, 0 failed")
        assert told.steps[-1] == (4, 4, "4 of 4 tests done, 1 failed")

    hurried(scene())


def test_cancelling_ends_the_waiting_and_leaves_the_job(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack()
        waiting = asyncio.create_task(JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID)))
        await asyncio.sleep(3.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        asked = len(rack.asked)
        await asyncio.sleep(30)

        assert rack.polls_cancelled == 1
        assert len(rack.asked) == asked
        assert set(rack.asked) == {f"get {UID}", f"await {UID}"}
        assert not (await rack.get_job(UID)).finished

    hurried(scene())


def test_a_portal_that_lets_go_at_once_is_not_hammered(hurried: Hurried) -> None:
    async def let_go() -> bool:
        return False

    async def scene() -> None:
        rack = Rack()
        rack.poll = let_go
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert not job.finished
        assert 3 <= rack.polls() <= 8
        assert len(rack.asked) - rack.polls() <= 47

    hurried(scene())


def test_a_portal_that_lets_go_after_its_time_is_asked_again(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack(ends_at=40.5)
        rack.held_for = 10
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert job.finished
        assert rack.polls() == 5
        assert now() - rack.begun == pytest.approx(40.5, abs=0.05)

    hurried(scene())


def test_a_portal_that_says_ended_before_its_counts_do_is_asked_once_a_second(hurried: Hurried) -> None:
    async def ended() -> bool:
        return True

    async def scene() -> None:
        rack = Rack(ends_at=5)
        rack.poll = ended
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert job.finished
        assert len(rack.asked) <= 9

    hurried(scene())


def test_a_long_poll_that_breaks_does_not_end_the_waiting(hurried: Hurried) -> None:
    async def breaks() -> bool:
        raise ServiceDown("portal", "Service portal cannot be reached", "The connection broke")

    async def scene() -> None:
        rack = Rack(ends_at=30)
        rack.poll = breaks
        job = await JobPoller().wait(rack, UID, 45, quiet, known=await rack.get_job(UID))

        assert job.finished
        assert rack.polls() <= 8

    hurried(scene())


def test_an_outage_during_the_waiting_is_ridden_out(hurried: Hurried) -> None:
    class Away(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            if 10 < now() - self.begun < 20:
                raise ServiceDown("portal", "Service portal cannot be reached")
            return await super().get_job(job_uid)

    async def scene() -> None:
        rack = Away(ends_at=30, total=3)
        job = await JobPoller().wait(rack, UID, 45, quiet)

        assert (job.finished, job.passed, job.note) == (True, 3, "")

    hurried(scene())


def test_an_outage_that_lasts_is_told_beside_the_last_counts(hurried: Hurried) -> None:
    class Broken(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            if now() - self.begun > 10.5:
                self.asked.append("broken")
                raise ServiceDown("portal", "Service portal cannot be reached")
            return await super().get_job(job_uid)

    async def scene() -> None:
        rack = Broken()
        job = await JobPoller().wait(rack, UID, 45, quiet)

        assert (job.finished, job.passed) == (False, 1)
        assert job.note == "Counts of 35 s ago. Service portal cannot be reached."
        assert "get_job(job_uid='portal:/node-1/0a23/972', wait_seconds=45)" in job.next
        assert 4 <= rack.asked.count("broken") <= 8
        await asyncio.sleep(0.01)
        assert rack.polls_cancelled == 1

    hurried(scene())


def test_a_service_that_asks_for_a_longer_pause_gets_it(hurried: Hurried) -> None:
    class Limited(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            if not patient:
                self.asked.append("limited")
                raise RateLimited("portal", "Service portal is limiting requests", retry_after=20)
            return await super().get_job(job_uid)

        async def await_job(self, job_uid: str) -> bool:
            self.asked.append(f"await {job_uid}")
            raise RateLimited("portal", "Service portal is limiting requests", retry_after=20)

    async def scene() -> None:
        rack = Limited()
        job = await JobPoller().wait(rack, UID, 45, quiet)

        assert "limiting requests" in job.note
        assert (rack.asked.count("limited"), rack.polls()) == (3, 3)

    hurried(scene())


def test_a_refusal_ends_the_waiting_at_once(hurried: Hurried) -> None:
    class Revoked(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            if now() - self.begun > 10:
                raise AuthError("portal", "portal refuses job (HTTP 403)")
            return await super().get_job(job_uid)

    async def scene() -> None:
        rack = Revoked()
        job = await JobPoller().wait(rack, UID, 45, quiet)

        assert now() - rack.begun == pytest.approx(11, abs=1)
        assert (job.finished, "portal refuses job" in job.note) == (False, True)

    hurried(scene())


def test_a_job_that_was_never_read_is_an_error_for_everybody(hurried: Hurried) -> None:
    class Empty(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            self.asked.append(f"get {job_uid}")
            await asyncio.sleep(0.1)
            raise NotFound("portal has no such job")

    async def scene() -> None:
        rack, watches = Empty(), JobPoller()
        told = await asyncio.gather(*(watches.wait(rack, UID, 45, quiet) for _ in range(5)), return_exceptions=True)

        assert [type(error) for error in told] == [NotFound] * 5
        assert rack.asked == [f"get {UID}"]

    hurried(scene())


def test_a_long_poll_that_cannot_be_read_leaves_the_counts_to_tell_of_the_end(hurried: Hurried) -> None:
    async def odd() -> bool:
        raise BadReply("portal", "portal answered job with HTTP 418, which its documentation does not list")

    async def scene() -> None:
        rack = Rack(ends_at=30)
        rack.poll = odd
        job = await JobPoller().wait(rack, UID, 45, quiet)

        assert job.finished
        assert (rack.polls(), len(rack.asked) <= 34) == (1, True)

    hurried(scene())


def test_all_who_wait_share_one_poll_and_one_look_a_second(hurried: Hurried) -> None:
    async def scene() -> None:
        rack, watches, told = Rack(ends_at=30, total=3), JobPoller(), Told()

        async def late() -> Job:
            await asyncio.sleep(5.5)
            return await watches.wait(rack, UID, 45, told)

        waiting = [watches.wait(rack, UID, 45, told) for _ in range(100)]
        jobs = await asyncio.gather(*waiting, late())

        assert {job.passed for job in jobs} == {3}
        assert all(job.finished for job in jobs)
        assert rack.polls() == 1
        assert len(rack.asked) <= 33
        assert sum(step[0] == 3 for step in told.steps) == 101
        assert now() - rack.begun == pytest.approx(30, abs=0.05)

    hurried(scene())


def test_each_waits_only_as_long_as_it_asked_to(hurried: Hurried) -> None:
    async def scene() -> None:
        rack, watches = Rack(), JobPoller()

        async def waited(seconds: int) -> float:
            await watches.wait(rack, UID, seconds, quiet)
            return now() - rack.begun

        assert await asyncio.gather(waited(3), waited(30), waited(9)) == pytest.approx([3, 30, 9], abs=0.1)

    hurried(scene())


def test_cancelling_one_leaves_the_others_waiting_and_the_last_one_ends_the_poll(hurried: Hurried) -> None:
    async def scene() -> None:
        rack, watches = Rack(), JobPoller()
        first, second = (asyncio.create_task(watches.wait(rack, UID, 45, quiet)) for _ in range(2))
        await asyncio.sleep(3)
        first.cancel()
        await asyncio.sleep(3)
        assert (first.cancelled(), second.done(), rack.polls_cancelled) == (True, False, 0)
        second.cancel()
        await asyncio.sleep(0.01)
        assert (second.cancelled(), rack.polls_cancelled) == (True, 1)
        asked = len(rack.asked)
        await asyncio.sleep(10)
        assert len(rack.asked) == asked
        assert not (await watches.wait(rack, UID, 2, quiet)).finished
        assert rack.polls() == 2

    hurried(scene())


def test_one_whose_client_is_slow_to_take_progress_holds_up_nobody(hurried: Hurried) -> None:
    async def stuck(done: float, total: float, words: str) -> None:
        await asyncio.sleep(1000)

    async def scene() -> None:
        rack, watches = Rack(ends_at=20), JobPoller()
        slow = asyncio.create_task(watches.wait(rack, UID, 45, stuck))
        job = await watches.wait(rack, UID, 45, quiet)

        assert job.finished
        assert now() - rack.begun == pytest.approx(20, abs=0.05)
        slow.cancel()

    hurried(scene())


def test_a_job_whose_total_grows_is_a_soak_and_says_so(hurried: Hurried) -> None:
    class Soaking(Rack):
        async def get_job(self, job_uid: str, patient: bool = True) -> Job:
            job = await super().get_job(job_uid)
            return job.model_copy(update={"total": job.passed + 1})

    async def scene() -> None:
        watches, rack = JobPoller(), Soaking()
        for wait, known in ((0, True), (15, False)):
            job = await watches.wait(rack, UID, wait, quiet, soak=known)
            assert "total grows, until stop_job(job_uid='portal:/node-1/0a23/972')" in job.next

    hurried(scene())


def test_an_error_of_our_own_is_not_taken_for_a_job_that_runs(hurried: Hurried) -> None:
    async def scene() -> None:
        rack = Rack()
        known = await rack.get_job(UID)

        async def broken(job_uid: str, patient: bool = True) -> Job:
            raise ZeroDivisionError

        rack.get_job = broken
        with pytest.raises(ZeroDivisionError):
            await JobPoller().wait(rack, UID, 30, quiet, known=known)

    hurried(scene())


def test_an_error_that_comes_when_nobody_waits_makes_no_noise(hurried: Hurried) -> None:
    noise: list[dict[str, Any]] = []

    async def late() -> bool:
        await asyncio.sleep(0.7)
        raise BadReply("portal", "late")

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        rack = Rack(ends_at=0.5)
        rack.poll = late
        job = await JobPoller().wait(rack, UID, 5, quiet, known=await rack.get_job(UID))
        assert job.finished
        await asyncio.sleep(5)
        del rack, job
        gc.collect()

    hurried(scene())
    assert noise == []


@pytest.mark.parametrize(
    ("counts", "note", "following"),
    [
        ((4, 0, 0, 4), "", ""),
        ((3, 1, 0, 4), "", "get_failed_cases(run_id='portal:/node-1/0a23/972') explains what failed."),
        ((3, 0, 1, 4), "", "get_failed_cases(run_id='portal:/node-1/0a23/972') explains what failed."),
        ((1, 1, 0, 4), "Ended before all its tests had run: 2 of 4.", ""),
    ],
)
def test_a_finished_job_says_what_to_look_at(
    hurried: Hurried, counts: Sequence[int], note: str, following: str
) -> None:
    passed, failed, errored, total = counts

    async def scene() -> None:
        job = Job(
            job_uid=f"portal:{UID}",
            node_id="portal:node-1",
            finished=True,
            passed=passed,
            failed=failed,
            errored=errored,
            total=total,
        )
        told = await JobPoller().wait(Rack(), UID, 45, quiet, known=job)

        assert (told.note, told.next) == (note, following)

    hurried(scene())
