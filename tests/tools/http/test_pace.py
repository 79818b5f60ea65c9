"""Reads whose caller has a pace of its own, and requests that are answered late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from testlab_tools.errors import AnswerLost, RateLimited, ServiceDown
from testlab_tools.http import ServiceClient

if TYPE_CHECKING:
    from tests.tools.conftest import Origin


@pytest.mark.parametrize(("status", "error"), [(429, RateLimited), (503, ServiceDown)])
async def test_a_read_that_is_not_to_be_retried_is_asked_once(
    status: int, error: type[Exception], origin: Origin, client_of: Callable[..., ServiceClient], slept: list[float]
) -> None:
    origin.answers(origin.reply(status, Retry_After="7"))
    with pytest.raises(error) as told:
        await client_of(origin.url).get("/job", retry=False)
    assert (len(origin.asked), slept) == (1, [])
    if isinstance(told.value, RateLimited):
        assert told.value.retry_after == 7


async def test_a_connection_that_breaks_is_not_tried_again_either(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(None)
    with pytest.raises(ServiceDown):
        await client_of(origin.url).get("/job", retry=False)
    assert len(origin.asked) == 1


async def test_a_patient_read_is_not_given_an_impatient_ones_failure(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(origin.reply(429), origin.reply(429), origin.reply(200, {"a": 1}))
    client = client_of(origin.url)
    hasty, patient = await asyncio.gather(client.get("/job", retry=False), client.get("/job"), return_exceptions=True)
    assert isinstance(hasty, RateLimited)
    assert not isinstance(patient, BaseException)
    assert patient.status == 200


async def test_late_answers_take_no_place_from_others(origin: Origin, client_of: Callable[..., ServiceClient]) -> None:
    release = asyncio.Event()

    async def answer(asked: Any) -> bytes:
        if asked.method == "PUT":
            await release.wait()
        return origin.reply(200)

    origin.answer = answer
    client = client_of(origin.url, max_concurrency=1)
    stops = [asyncio.create_task(client.poll("/stop", 5, "PUT")) for _ in range(3)]
    await origin.until(lambda: origin.open == 1)
    assert (await client.get("/nodes")).status == 200
    release.set()
    assert {reply.status for reply in await asyncio.gather(*stops)} == {200}
    assert [asked.method for asked in origin.asked] == ["PUT", "GET"]


async def test_a_late_change_whose_connection_breaks_is_lost(
    origin: Origin, client_of: Callable[..., ServiceClient]
) -> None:
    origin.answers(None)
    with pytest.raises(AnswerLost):
        await client_of(origin.url).poll("/stop", 5, "PUT")
