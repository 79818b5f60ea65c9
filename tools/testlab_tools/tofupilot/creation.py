"""A run is created once, whatever becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from testlab_tools.errors import AnswerLost, LabError
from testlab_tools.http import Reply

Send = Callable[[], Awaitable[Reply]]
Find = Callable[[], Awaitable[str]]
LOOKS = (0.0, 1.0, 3.0)
"""Seconds before each look for a run whose answer was lost: the service may still be at it."""
FOUND = "The answer was lost; this is the run as the service has it."


class Sent(NamedTuple):
    """What came of it: the service's `reply`, or the id of the run that was `found` to be there."""

    reply: Reply | None
    found: str = ""


async def with_ref(service: str, send: Send, find: Find) -> Sent:
    """Send a run that the service knows again by its `client_run_ref`: once more when the answer was lost.

    A 409 means the run or something else in it is there already: it is the run if `find` finds it.
    """
    for _ in range(2):
        try:
            reply = await send()
        except AnswerLost:
            continue
        if reply.status == 409 and (found := await find()):
            return Sent(None, found)
        return Sent(reply)
    return await _look(service, find)


async def without_ref(service: str, send: Send, find: Find) -> Sent:
    """Send a run that the service would take twice: once. Where the answer was lost, the run is looked for."""
    try:
        return Sent(await send())
    except AnswerLost:
        return await _look(service, find)


def same_moment(one: datetime, other: datetime) -> bool:
    """Equal to the millisecond, which is all that is sent; either may have been rounded."""
    return abs(one - other) < timedelta(milliseconds=2)


async def _look(service: str, find: Find) -> Sent:
    try:
        for pause in LOOKS:
            await asyncio.sleep(pause)
            if found := await find():
                return Sent(None, found)
    except LabError as error:
        raise AnswerLost(
            service,
            f"Whether {service} recorded the run is not known: the answer was lost",
            f"It could not be looked up: {error.what}",
            "Do not record it again before list_runs(unit=…) has shown whether it is there.",
        ) from None
    raise AnswerLost(
        service,
        f"{service} did not answer, and the run is not there",
        "It was looked for by serial number, procedure and start time",
        "Record it again with the same started_at, once list_runs(unit=…) still does not show it.",
    )
