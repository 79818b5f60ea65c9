"""Questions asked at once: of every service, keeping each answer or error; or several that must all succeed. And tasks
that nobody may await."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from testlab_tools.capabilities import Service
from testlab_tools.errors import LabError, ServiceDown, ServiceError

A = TypeVar("A")
B = TypeVar("B")
S = TypeVar("S", bound=Service)
T = TypeVar("T")


@dataclass(frozen=True)
class Answers(Generic[T]):
    """What services answered: each name is either in `given` or in `failed`, in the order asked."""

    given: dict[str, T]
    failed: dict[str, LabError]

    def of(self, service: str) -> T | LabError:
        """The answer of one service, or its error."""
        return self.failed[service] if service in self.failed else self.given[service]

    def require_any(self) -> None:
        """Raise the most telling error if all failed: an outage is never an empty list."""
        if self.failed and not self.given:
            raise most_telling(self.failed.values())


def most_telling(errors: Iterable[LabError]) -> LabError:
    """The first error of a service in trouble; where there is none, the first of a service that cannot do it."""
    return min(errors, key=lambda error: not isinstance(error, ServiceError))


async def ask_all(
    services: Iterable[S],
    ask: Callable[[S], Awaitable[T]],
    within_s: float | None = None,
    late: str = "did not answer",
    next_step: str = "Call again later.",
) -> Answers[T]:
    """Ask every service at once. After `within_s` seconds, a ServiceDown says of which service that it was `late`.

    An exception that is no LabError is raised, once the other questions have been cancelled.
    """

    asked = {service.name: service for service in services}

    async def within(name: str) -> T:
        limit = asyncio.timeout(within_s)
        try:
            async with limit:
                return await ask(asked[name])
        except TimeoutError:
            if not limit.expired():
                raise
            raise ServiceDown(name, f"{name} {late} within {within_s:.0f} s", "", next_step) from None

    return await ask_each(asked, within)


async def ask_each(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> Answers[T]:
    """Ask the same about several things at once, by their names, and keep the error of each."""

    async def one(name: str) -> T | LabError:
        try:
            return await ask(name)
        except LabError as error:
            return error.with_traceback(None)  # whose frames hold what the service sent

    asked = list(names)
    answers = dict(zip(asked, await gather_all(*map(one, asked)), strict=True))
    return Answers(
        given={name: answer for name, answer in answers.items() if not isinstance(answer, LabError)},
        failed={name: answer for name, answer in answers.items() if isinstance(answer, LabError)},
    )


@overload
async def gather_all(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B], /) -> tuple[A, B]: ...
@overload
async def gather_all(*questions: Coroutine[Any, Any, A]) -> tuple[A, ...]: ...
async def gather_all(*questions: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Await all; answers in the order of the questions. The first error is raised once the rest is cancelled."""
    if len(questions) == 1:
        return (await questions[0],)
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        tasks.clear()  # an error's traceback holds this frame, and a task its error: a circle, with what was answered


def ignore_error(task: asyncio.Future[Any]) -> None:
    """Mark the error of a task that has ended as seen: asyncio would log it where nobody awaits the task."""
    if not task.cancelled():
        task.exception()
