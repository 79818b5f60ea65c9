"""Waiting on a job: bounded, with progress, gentle to the portal, and never a hand on the job itself."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from testlab_tools.capabilities import Health, JobRunner
from testlab_tools.errors import BadReply, ServiceDown
from testlab_tools.http import ServiceClient
from testlab_tools.models import Job
from testlab_tools.questions import TestOrder
from testlab_tools.watch import watch

Hurried = Callable[[Coroutine[Any, Any, Any]], Any]
UID = "/node-1/0a23/972"
NEVER = 10_000.0


def now() -> float:
    return asyncio.get_running_loop().time()


class Rack(JobRunner):
    """Runs one job that began with the test: a test case every ten seconds, and ends after `ends_at` seconds."""

    kind = "rack"

    def __init__(self, client: ServiceClient, ends_at: float = NEVER, failed: int = 0, total: int = 100) -> None:
        super().__init__("portal", client)
        self.begun = now()
        self.ends_at = ends_at
        self.failed = failed
        self.total = total
        self.asked: list[str] = []
        self.held_for = 55.0
        self.poll: Callable[[], Awaitable[bool]] = self._held
        self.polls_cancelled = 0

    async def get_job(self, job_uid: str) -> Job:
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

    async def node_job(self, node_id: str) -> Job:
        raise AssertionError("watching asks for the job, not the node")

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


def test_not_waiting_asks_nothing(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"))
        job = await watch(rack, await rack.get_job(UID), 0, quiet)

        assert not job.finished
        assert job.next == "Still running: get_job(job_uid='portal:/node-1/0a23/972', wait_seconds=45) waits on."
        assert rack.asked == [f"get {UID}"]

    hurried(scene())


def test_a_finished_job_is_not_waited_for(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=0)
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert job.finished
        assert rack.polls() == 0

    hurried(scene())


def test_the_end_is_noticed_at_once(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=20.25, total=2)
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert job.finished
        assert now() - rack.begun == pytest.approx(20.25, abs=0.05)
        assert rack.polls() == 1

    hurried(scene())


def test_waiting_ends_after_the_time_given_and_says_what_to_call_next(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"))
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert (job.finished, job.passed, job.total) == (False, 4, 100)
        assert "wait_seconds=45" in job.next
        assert now() - rack.begun == pytest.approx(45, abs=0.1)
        await asyncio.sleep(0)
        assert rack.polls_cancelled == 1

    hurried(scene())


def test_progress_increases_and_ends_with_the_result(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        told = Told()
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=40, failed=1, total=4)
        await watch(rack, await rack.get_job(UID), 45, told)

        done = [step[0] for step in told.steps]
        assert done == sorted(done)
        assert sorted(set(done)) == [0, 1, 2, 3, 4]
        assert told.steps[0] == (0, 4, "0 of 4 tests done, 0 failed")
        assert told.steps[-1] == (4, 4, "4 of 4 tests done, 1 failed")

    hurried(scene())


def test_cancelling_ends_the_waiting_and_leaves_the_job(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"))
        waiting = asyncio.create_task(watch(rack, await rack.get_job(UID), 45, quiet))
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


def test_a_portal_that_lets_go_at_once_is_not_hammered(hurried: Hurried, client_of: Any) -> None:
    async def let_go() -> bool:
        return False

    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"))
        rack.poll = let_go
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert not job.finished
        assert 3 <= rack.polls() <= 8
        assert len(rack.asked) - rack.polls() <= 47

    hurried(scene())


def test_a_portal_that_lets_go_after_its_time_is_asked_again(hurried: Hurried, client_of: Any) -> None:
    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=40.5)
        rack.held_for = 10
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert job.finished
        assert rack.polls() == 5
        assert now() - rack.begun == pytest.approx(40.5, abs=0.05)

    hurried(scene())


def test_a_portal_that_says_ended_before_its_counts_do_is_asked_once_a_second(hurried: Hurried, client_of: Any) -> None:
    async def ended() -> bool:
        return True

    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=5)
        rack.poll = ended
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert job.finished
        assert len(rack.asked) <= 9

    hurried(scene())


def test_a_long_poll_that_breaks_does_not_end_the_waiting(hurried: Hurried, client_of: Any) -> None:
    async def breaks() -> bool:
        raise ServiceDown("portal", "Service portal cannot be reached", "The connection broke")

    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=30)
        rack.poll = breaks
        job = await watch(rack, await rack.get_job(UID), 45, quiet)

        assert job.finished
        assert rack.polls() <= 8

    hurried(scene())


def test_an_outage_during_the_waiting_is_an_error(hurried: Hurried, client_of: Any) -> None:
    class Broken(Rack):
        async def get_job(self, job_uid: str) -> Job:
            if now() - self.begun > 10:
                raise ServiceDown("portal", "Service portal cannot be reached")
            return await super().get_job(job_uid)

    async def scene() -> None:
        rack = Broken(client_of("http://127.0.0.1:9"))
        with pytest.raises(ServiceDown):
            await watch(rack, await rack.get_job(UID), 45, quiet)
        await asyncio.sleep(0)
        assert rack.polls_cancelled == 1

    hurried(scene())


def test_an_answer_to_the_long_poll_that_cannot_be_read_is_an_error(hurried: Hurried, client_of: Any) -> None:
    async def odd() -> bool:
        raise BadReply("portal", "portal answered job with HTTP 418, which its documentation does not list")

    async def scene() -> None:
        rack = Rack(client_of("http://127.0.0.1:9"))
        rack.poll = odd
        with pytest.raises(BadReply):
            await watch(rack, await rack.get_job(UID), 45, quiet)

    hurried(scene())


def test_an_error_that_comes_when_nobody_waits_makes_no_noise(hurried: Hurried, client_of: Any) -> None:
    noise: list[dict[str, Any]] = []

    async def late() -> bool:
        await asyncio.sleep(0.7)
        raise BadReply("portal", "late")

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        rack = Rack(client_of("http://127.0.0.1:9"), ends_at=0.5)
        rack.poll = late
        job = await watch(rack, await rack.get_job(UID), 5, quiet)
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
    hurried: Hurried, client_of: Any, counts: Sequence[int], note: str, following: str
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
        told = await watch(Rack(client_of("http://127.0.0.1:9")), job, 45, quiet)

        assert (told.note, told.next) == (note, following)

    hurried(scene())
