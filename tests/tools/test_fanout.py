"""Questions asked at once: of services, each answer or error; of several, all answers or the first error."""

from __future__ import annotations

import asyncio

import pytest

from testlab_tools.capabilities import Health, Service
from testlab_tools.errors import BadInput, ServiceDown, Unsupported
from testlab_tools.fanout import ask_all, gather_all


async def test_answers_stand_in_the_order_of_the_questions() -> None:
    second_is_done = asyncio.Event()

    async def first() -> str:
        await second_is_done.wait()
        return "first"

    async def second() -> int:
        second_is_done.set()
        return 2

    assert await gather_all(first(), second()) == ("first", 2)
    assert await gather_all() == ()


@pytest.mark.parametrize("given_up", [False, True])
async def test_nothing_is_left_running_after_an_error_or_when_the_caller_gives_up(given_up: bool) -> None:
    begun, ended = asyncio.Event(), list[str]()

    async def waits() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append("waits")

    async def fails() -> None:
        await begun.wait()
        if given_up:
            await asyncio.Event().wait()
        raise BadInput("wrong")

    asked = asyncio.ensure_future(gather_all(waits(), fails(), waits()))
    await begun.wait()
    if given_up:
        asked.cancel()
    with pytest.raises(asyncio.CancelledError if given_up else BadInput):
        await asked
    assert ended == ["waits", "waits"]


class Desk(Service):
    """Answers with its name, fails, or says nothing."""

    kind = "desk"

    def __init__(self, name: str, error: Exception | None = None, hangs: bool = False) -> None:
        super().__init__(name)
        self.error, self.hangs, self.left = error, hangs, False

    async def probe(self) -> Health:
        try:
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.left = True
        if self.error:
            raise self.error
        return Health(self.name)


async def test_each_service_is_among_those_that_answered_or_those_that_failed() -> None:
    down = ServiceDown("b", "b cannot be reached")
    answers = await ask_all([Desk("a"), Desk("b", down), Desk("c")], Desk.probe)

    assert list(answers.given) == ["a", "c"]
    assert answers.failed == {"b": down}
    assert (answers.of("a"), answers.of("b")) == (Health("a"), down)
    answers.require_any()


async def test_if_all_fail_the_error_of_one_in_trouble_is_raised() -> None:
    services = [Desk("a", Unsupported("a cannot do this")), Desk("b", ServiceDown("b", "b cannot be reached"))]
    answers = await ask_all(services, Desk.probe)

    with pytest.raises(ServiceDown, match="b cannot be reached"):
        answers.require_any()
    (await ask_all(list[Desk](), Desk.probe)).require_any()


async def test_a_service_that_does_not_answer_in_time_has_failed() -> None:
    slow = Desk("slow", hangs=True)
    answers = await ask_all([Desk("a"), slow], Desk.probe, 0.01, "did not list its nodes", "Ask for fewer.")

    assert str(answers.failed["slow"]) == "slow did not list its nodes within 0 s. Ask for fewer."
    assert list(answers.given) == ["a"]
    assert slow.left


async def test_what_is_no_error_of_the_lab_is_raised_and_nothing_is_left_running() -> None:
    slow = Desk("slow", hangs=True)
    with pytest.raises(ValueError, match="unforeseen"):
        await ask_all([slow, Desk("b", ValueError("unforeseen"))], Desk.probe)
    assert slow.left
    with pytest.raises(TimeoutError, match="its own"):
        await ask_all([Desk("b", TimeoutError("its own"))], Desk.probe, 5)
