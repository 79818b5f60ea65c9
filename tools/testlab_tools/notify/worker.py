"""Sends each message until it has arrived, or its time is over: then it is parked.

A message whose answer was lost, or whose process died before it was noted, is sent again with the same id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from testlab_tools.durable.engine import Clock
from testlab_tools.durable.steady_clock import SteadyClock
from testlab_tools.errors import ConfigError
from testlab_tools.http.policy import Backoff
from testlab_tools.notify.bodies import write_body
from testlab_tools.notify.receivers import Receiver
from testlab_tools.notify.sending import Outcome, send
from testlab_tools.notify.store import Notice, NoticeStore

if TYPE_CHECKING:
    from testlab_tools.durable.workflows import WorkflowRun

FIRST_S, LONGEST_S = 1.0, 600.0
MAX_AT_ONCE = 4
DATABASE_S = 5.0
logger = logging.getLogger("testlab_tools")


class NoticeWorker:
    """Sends to the receivers of one config."""

    def __init__(self, store: NoticeStore, receivers: Mapping[str, Receiver], clock: Clock) -> None:
        self._store = store
        self._receivers = receivers
        self._clock = SteadyClock(clock)
        self._backoff = Backoff(FIRST_S, LONGEST_S)
        self._slots = {name: asyncio.Semaphore(MAX_AT_ONCE) for name in receivers}

    async def run(self, workflow: WorkflowRun, *inputs: Any) -> None:
        """Send one message."""
        complained = False
        while True:
            try:
                if await self._step(inputs[0]):
                    return
                complained = False
            except Exception:
                if not complained:
                    logger.exception("a message cannot be sent now; it is tried again")
                complained = True
                await asyncio.sleep(DATABASE_S)

    async def aclose(self) -> None:
        """Nothing is open between two requests."""

    async def _step(self, notice_id: str) -> bool:
        """Wait for the next try and make it; returns whether the message needs no more."""
        notice = await asyncio.to_thread(self._store.read, notice_id)
        if notice is None or notice.state != "waiting":
            return True
        self._clock.age(notice_id, notice.written_at)  # seen now, whatever the clock says later
        await asyncio.sleep(min(LONGEST_S, max(0.0, notice.next_at - self._clock.now())))
        receiver = self._receivers.get(notice.receiver)
        if receiver is None:
            outcome = Outcome(False, f"There is no [notify.{notice.receiver}] in the config any more", final=True)
        else:
            async with self._slots[receiver.name]:
                outcome = await self._send(receiver, notice)
        hours = receiver.give_up_hours if receiver else 0.0
        return await self._note(notice, outcome, hours)

    async def _send(self, receiver: Receiver, notice: Notice) -> Outcome:
        try:
            body = write_body(receiver.kind, notice.event, notice.notice_id)
            return await send(receiver, notice.notice_id, body, int(self._clock.now()))
        except ConfigError as error:
            return Outcome(False, str(error))

    async def _note(self, notice: Notice, outcome: Outcome, hours: float) -> bool:
        now, tries = self._clock.now(), notice.tries + 1
        changes: dict[str, Any] = {"tries": tries, "why": outcome.why}
        if outcome.arrived:
            changes["state"] = "sent"
        elif outcome.final or self._clock.age(notice.notice_id, notice.written_at) >= hours * 3600:
            changes["state"] = "parked"
            logger.warning("message %s to %s is parked: %s", notice.notice_id, notice.receiver, outcome.why)
        else:
            changes["next_at"] = now + self._backoff.pause(tries, outcome.pause_s)
        await asyncio.to_thread(lambda: self._store.note(notice.notice_id, **changes))
        return "state" in changes
