"""What each failure means for a delivery: try again, wait for the operator, or park it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from testlab_tools.errors import (
    AnswerLost,
    AuthError,
    BadInput,
    BadReply,
    ConfigError,
    Conflict,
    LabError,
    NotFound,
    RateLimited,
    Refused,
    ServiceDown,
)
from testlab_tools.models.lab import CreatedRun
from testlab_tools.models.requests import NewMeasurement, NewPhase, NewRun
from testlab_tools.outbox.delivery import Deliverer, RetrySchedule
from testlab_tools.outbox.payload import FileFacts, Progress, RunPayload, run_adapter

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RUN = NewRun("FVT1", "SN-1", "fail", NOON, NOON, "ref-1")
QUICK = RetrySchedule(first_s=0.01, longest_s=0.02, settle_s=0.01)


class Sink:
    """What a delivery needs of a service; `failures` are raised one after another."""

    name = "factory"

    def __init__(self, *failures: LabError, found: bool = False) -> None:
        self.failures = list(failures)
        self.found = found
        self.sent: list[NewRun] = []
        self.looked = 0

    def native(self, handle: str) -> str:
        return handle.removeprefix("factory:")

    async def create_run(self, run: NewRun) -> CreatedRun:
        self.sent.append(run)
        if self.failures:
            raise self.failures.pop(0)
        return CreatedRun(run_id="factory:1", procedure="FVT1")

    async def find_created(self, run: NewRun) -> CreatedRun | None:
        self.looked += 1
        return CreatedRun(run_id="factory:found", procedure="FVT1") if self.found else None


class Keeper(Sink):
    """A service that keeps files with runs."""

    def __init__(self, *kept: str) -> None:
        super().__init__()
        self.kept = list(kept)

    async def list_attached(self, run_id: str) -> list[FileFacts]:
        return [FileFacts(name=name, size=3) for name in self.kept]

    async def attach(self, run_id: str, name: str, data: bytes, keeping: Any) -> None:
        self.kept.append(name)


@pytest.fixture(autouse=True)
def any_sink_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("testlab_tools.outbox.delivery.RunSink", Sink)
    monkeypatch.setattr("testlab_tools.outbox.delivery.AttachmentSink", Keeper)


async def delivered(sink: Any, before: Progress | None = None, run: NewRun = RUN) -> tuple[Progress, list[Progress]]:
    told: list[Progress] = []

    async def tell(progress: Progress) -> None:
        told.append(progress)

    async def nothing(number: int) -> bytes:
        raise AssertionError("it has no files")

    payload = RunPayload(run=run_adapter().dump_python(run, mode="json"))
    async with asyncio.timeout(5):
        done = await Deliverer({"factory": sink}, QUICK).deliver(
            "factory", payload, nothing, before or Progress(), tell
        )
    return done, told


@pytest.mark.parametrize(
    "error",
    [
        ServiceDown("factory", "down"),
        RateLimited("factory", "slower"),
        AuthError("factory", "token"),
        ConfigError("no token"),
        BadReply("factory", "a page"),
        AnswerLost("factory", "lost"),
    ],
)
async def test_what_time_or_the_operator_mends_is_tried_again_and_the_reason_is_told(error: LabError) -> None:
    sink = Sink(error, error)
    done, told = await delivered(sink)
    assert (done.state, done.attempts, len(sink.sent)) == ("delivered", 3, 3)
    waiting = [progress for progress in told if progress.state == "queued"]
    assert [str(progress.failure) for progress in waiting] == [str(error)] * 2
    assert all(progress.next_try_at for progress in waiting)


@pytest.mark.parametrize("error", [BadInput("bad"), Refused("no"), NotFound("none"), Conflict("taken"), LabError("?")])
async def test_what_only_a_correction_mends_is_parked_at_once(error: LabError) -> None:
    sink = Sink(error)
    done, _ = await delivered(sink)
    assert (done.state, len(sink.sent)) == ("parked", 1)
    assert done.failure is not None
    again = done.failure.to_error("factory")
    assert (type(again), str(again)) == (type(error), str(error))


async def test_a_run_is_looked_up_before_it_is_sent_again_once_it_may_have_arrived() -> None:
    sink = Sink(AnswerLost("factory", "lost"), found=True)
    done, _ = await delivered(sink)
    assert done.created is not None
    assert (done.created.run_id, len(sink.sent), sink.looked) == ("factory:found", 1, 1)


async def test_a_run_that_a_dead_process_was_sending_is_looked_up_first() -> None:
    sink = Sink(found=True)
    done, _ = await delivered(sink, Progress(state="sending", attempts=1))
    assert (done.state, sink.sent) == ("delivered", [])


@pytest.mark.parametrize(
    "error",
    [ServiceDown("factory", "down"), RateLimited("factory", "busy"), BadReply("factory", "odd"), LabError("?")],
)
async def test_after_whatever_is_no_refusal_a_run_is_looked_up_before_it_is_sent_again(error: LabError) -> None:
    sink = Sink(error, found=True)
    done, _ = await delivered(sink)
    assert done.unsure
    assert len(sink.sent) == 1
    assert sink.looked == (0 if done.state == "parked" else 1)


@pytest.mark.parametrize("kept", [["a"], ["a", "b"]])
async def test_a_file_that_may_have_arrived_is_looked_up_and_sent_only_if_it_is_not_there(kept: list[str]) -> None:
    keeper: Any = Keeper(*kept)
    created = CreatedRun(run_id="factory:1", procedure="FVT1")
    before = Progress(state="sending", attempts=1, created=created, sent=[0], doubtful=[1])
    payload = RunPayload(run={}, files=[FileFacts(name="a", size=3), FileFacts(name="b", size=3)])

    async def content(number: int) -> bytes:
        return b"abc"

    async def note(progress: Progress) -> None:
        pass

    done = await Deliverer({"factory": keeper}, QUICK).deliver("factory", payload, content, before, note)
    assert (done.state, done.sent, keeper.kept) == ("delivered", [0, 1], ["a", "b"])


async def test_a_run_that_cannot_have_arrived_is_not_looked_up() -> None:
    sink = Sink(AuthError("factory", "no token"))
    await delivered(sink)
    assert (sink.looked, len(sink.sent)) == (0, 2)


async def test_a_run_is_sent_as_it_was_given() -> None:
    points = [[0.0, 1.5], [1.0, 2.5]]
    measured = tuple(
        NewMeasurement(name, "pass", value, lower=4.85) for name, value in (("n", 4.9), ("t", "a"), ("d", points))
    )
    given = NewRun("FVT1", "SN-é", "pass", NOON, NOON, "ref-2", phases=(NewPhase("p", "pass", NOON, NOON, measured),))
    sink = Sink()
    await delivered(sink, run=given)
    assert sink.sent == [given]


def test_pauses_double_up_to_the_longest_and_honour_what_the_service_asks() -> None:
    schedule, down = RetrySchedule(1, 60, 5), ServiceDown("factory", "down")
    assert 0.5 <= schedule.pause(1, down) <= 1
    assert 4 <= schedule.pause(4, down) <= 8
    assert 30 <= schedule.pause(1000, down) <= 60
    assert schedule.pause(1, RateLimited("factory", "slower", retry_after=40)) == 40
    assert schedule.pause(1, RateLimited("factory", "slower", retry_after=90)) == 60, "as long as the config allows"
    assert schedule.pause(1, AnswerLost("factory", "lost")) == 5
    assert schedule.pause(1, AuthError("factory", "token")) == 60
