"""Recognises repeated calls: the same caller, tool and arguments shortly after a call that was cancelled, or whose
answer was lost or is still to come, get the result of that call, and nothing is done twice."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from testlab_tools.errors import AnswerLost, Conflict, LabError, NotFound
from testlab_tools.fanout import ignore_error

T = TypeVar("T")

REPEAT_S = 180.0
"""How long the result of an order that nobody has received is kept for a repeated call."""

MAX_ORDERS = 1000
END_SECONDS = 4.0
"""How long stopping waits for orders under way."""


class OrderResult(NamedTuple, Generic[T]):
    """The result of an order; `again` says that it was an earlier call's."""

    value: T
    again: bool


class Orders:
    """The orders of a lab that are under way, or that ended without anybody receiving or knowing the result."""

    def __init__(self) -> None:
        self._orders: OrderedDict[Hashable, _Order] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether an order is under way."""
        return any(not order.task.done() for order in self._orders.values())

    async def run(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[T]],
        kept: Callable[[T], None] = lambda _: None,
        *,
        join: bool = True,
    ) -> OrderResult[T]:
        """The result of `work`, or of the order of the same key whose result nobody has received. Cancelling the call
        does not cancel the order. `kept` is called once with the result, before anybody gets it. Without `join`, an
        order that another call still waits for is not taken.

        Where the service's answer was lost, the order is looked up at the service before it is sent again.
        """
        order = self._orders.get(key)
        if order is not None and order.waiting and not join:
            key, order = (key, object()), None
        again = order is not None and not order.stale
        if order is None or order.stale:
            order = self._begin(key, _run_and_keep(work, kept))
        elif (lost := order.lost) is not None:
            order = self._begin(key, _look_up_or_run(lost, work, kept))
        order.waiting += 1
        try:
            value = cast(T, await asyncio.shield(order.task))
        except (asyncio.CancelledError, AnswerLost):
            raise
        except BaseException:
            self._forget(key, order)
            raise
        finally:
            order.waiting -= 1
        self._forget(key, order)
        return OrderResult(value, again)

    async def aclose(self) -> None:
        """Wait for the orders under way, and cancel those that take too long."""
        tasks = [order.task for order in self._orders.values() if not order.task.done()]
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=END_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _begin(self, key: Hashable, work: Awaitable[Any]) -> _Order:
        for old in [key for key, order in self._orders.items() if order.stale]:
            del self._orders[old]
        order = self._orders[key] = _Order(asyncio.ensure_future(work))
        while len(self._orders) > MAX_ORDERS:
            self._orders.popitem(last=False)
        return order

    def _forget(self, key: Hashable, order: _Order) -> None:
        if self._orders.get(key) is order:
            del self._orders[key]


class _Order:
    def __init__(self, task: asyncio.Future[Any]) -> None:
        self.task = task
        self.waiting = 0
        self._ended_at = math.inf  # until the callback, which runs a step of the loop after the task's end
        task.add_done_callback(self._note_end)

    @property
    def stale(self) -> bool:
        """Whether the order ended too long ago for a repeated call."""
        return self.task.done() and time.monotonic() - self._ended_at > REPEAT_S

    @property
    def lost(self) -> AnswerLost | None:
        """The error, where the service's answer was lost."""
        if not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        return error if isinstance(error, AnswerLost) else None

    def _note_end(self, task: asyncio.Future[Any]) -> None:
        self._ended_at = time.monotonic()
        ignore_error(task)


async def _run_and_keep(work: Callable[[], Awaitable[T]], kept: Callable[[T], None]) -> T:
    value = await work()
    kept(value)
    return value


async def _look_up_or_run(lost: AnswerLost, work: Callable[[], Awaitable[T]], kept: Callable[[T], None]) -> T:
    """The result of an order whose answer was lost, as the service has it; else of `work`, run again."""
    try:
        found = await lost.look() if lost.look is not None else None
    except (Conflict, NotFound):
        raise
    except LabError:
        raise lost from None
    if found is None:
        return await _run_and_keep(work, kept)
    kept(found)
    return found
