"""Subscriptions to resources: a client that listens to a node, run, job, campaign or watch hears of its changes.

Until 2025-11-25 a client subscribes to one URI at a time, for as long as it is connected; from 2026-07-28 it listens to
several for as long as the answer's stream is open. A caller listens only to what it may read; what it hears is the URI.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ServerEvent
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionFilter,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from testlab_mcp.access.callers import caller_of
from testlab_mcp.access.guard import RequestGuard
from testlab_mcp.protocol.availability import Availability, ToolUnavailable, as_mcp_errors, current_availability
from testlab_mcp.protocol.resources import find_template
from testlab_tools.capabilities import JobRunner, NodeInventory, RunArchive
from testlab_tools.tools.campaigns import campaigns_of, find_campaign
from testlab_tools.tools.watches import find_watch, watches_of
from testlab_tools.watching import Subject, Watcher, has_ended

if TYPE_CHECKING:
    from testlab_mcp.protocol.tasks.extension import Tasks
    from testlab_tools.watching import Seen

MAX_PER_CALLER = 50
Found = tuple[Subject, "Seen"]
_STATE = "testlab.subscriptions"


async def find_node(available: Availability, node_id: str) -> Found:
    """A node, as it stands."""
    farm, native = await available.lab.node_owner(node_id, NodeInventory)
    return Subject(farm.unscoped, "node", native), await farm.get_node(native)


async def find_run(available: Availability, handle: str) -> Found:
    """A run, as it stands."""
    archive, native = available.lab.run_owner(handle, RunArchive)
    return Subject(archive.unscoped, "run", native), await archive.get_run(native)


async def find_job(available: Availability, job_uid: str) -> Found:
    """A job, as it stands."""
    runner, native = available.lab.owner(job_uid, JobRunner, lambda farm, job: farm.owns_job(job))
    return Subject(runner.unscoped, "job", native), await runner.get_job(native)


async def find_stored_campaign(available: Availability, campaign_id: str) -> Found:
    """A campaign, as it stands."""
    found = await find_campaign(available.scope, campaign_id)
    return Subject(campaigns_of(available.scope), "campaign", campaign_id), found


async def find_stored_watch(available: Availability, watch_id: str) -> Found:
    """A watch, as it stands."""
    watches = watches_of(available.scope)
    return Subject(watches, "watch", watch_id), await find_watch(available.scope, watches, watch_id)


FINDERS: Mapping[str, Callable[[Availability, str], Awaitable[Found]]] = {
    "node": find_node,
    "run": find_run,
    "job": find_job,
    "campaign": find_stored_campaign,
    "watch": find_stored_watch,
}
"""By the name of a resource's template: what can be listened to, and reading it as the caller may."""


class Subscriptions:
    """Who listens to what. `guard` keeps a caller's scope open while it listens, `tasks` notifies of tasks."""

    def __init__(self, watcher: Watcher, guard: RequestGuard, tasks: Tasks | None = None) -> None:
        self._watcher = watcher
        self._tasks = tasks
        self._guard = guard
        self._count: Counter[str] = Counter()
        self._streams: set[ListenHandler] = set()

    def close(self) -> None:
        """End every open stream, as a server does that stops: its client is told, and need not find out."""
        for stream in list(self._streams):
            stream.close()

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of `subscriptions/listen`. It is acknowledged without the URIs and tasks that there are not,
        or that the caller may not read. Raises MCPError for a tool that the caller has not, and for a service or
        database that does not answer."""
        uris = list(dict.fromkeys(params.notifications.resource_subscriptions or ()))
        task_ids = _read_task_ids(params.notifications) if self._tasks is not None else []
        mailbox = _Mailbox()
        async with AsyncExitStack() as stack:
            stack.enter_context(self._counting(caller_of(ctx.request).name, len(uris) + len(task_ids)))
            if self._tasks is not None:
                ctx = await stack.enter_async_context(self._tasks.notify(ctx, task_ids))
            honored: list[str] = []
            for uri in uris:
                try:
                    stack.callback(await self._listen(uri, partial(mailbox.put, uri)))
                except MCPError as error:
                    if isinstance(error, ToolUnavailable) or error.error.code != INVALID_PARAMS:
                        raise
                else:
                    honored.append(uri)
            asked = SubscriptionFilter(resource_subscriptions=honored or None)
            stream = ListenHandler(mailbox)
            self._streams.add(stream)
            stack.callback(self._streams.discard, stream)
            return await stream(ctx, params.model_copy(update={"notifications": asked}))

    async def subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        """`resources/subscribe`. Raises MCPError, as reading does."""
        uri, session = str(params.uri), ctx.session
        connection = _connection(session)
        client: _Client | None = connection.state.get(_STATE)
        if client is None:
            client = connection.state[_STATE] = _Client(session)
            connection.exit_stack.push_async_callback(client.aclose)
        if uri in client.stops:
            return EmptyResult()
        async with AsyncExitStack() as stack:
            stack.enter_context(self._counting(caller_of(ctx.request).name, 1))
            await stack.enter_async_context(self._guard.hold(ctx.request))
            stack.callback(await self._listen(uri, partial(client.put, uri)))
            if uri not in client.stops and not client.closed:
                client.stops[uri] = stack.pop_all()
        return EmptyResult()

    async def unsubscribe(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        """`resources/unsubscribe`; what was not subscribed to is no error."""
        client: _Client | None = _connection(ctx.session).state.get(_STATE)
        if client is not None and (stop := client.stops.pop(str(params.uri), None)):
            await stop.aclose()
        return EmptyResult()

    async def _listen(self, uri: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Listen to a resource that the caller may read; of what has ended, that is heard at once. Raises MCPError."""
        available = current_availability()
        template, given = find_template(available, uri)
        if template.name not in FINDERS:
            what = "Only nodes, runs, jobs, campaigns and watches can be listened to."
            raise MCPError(INVALID_PARAMS, what, {"uri": uri})
        async with as_mcp_errors({"uri": uri}), available.reading(template.tool, uri):
            subject, read = await FINDERS[template.name](available, next(iter(given.values())))
            stop = self._watcher.listen(subject, read, heard)
        if has_ended(read):
            heard()
        return stop

    @contextmanager
    def _counting(self, caller: str, more: int) -> Generator[None]:
        """Count a caller's subscriptions while they last. Raises MCPError for too many."""
        if self._count[caller] + more > MAX_PER_CALLER:
            raise MCPError(INVALID_REQUEST, f"Too many subscriptions: each caller may have {MAX_PER_CALLER}.")
        self._count[caller] += more
        try:
            yield
        finally:
            self._count[caller] -= more
            if not self._count[caller]:
                del self._count[caller]


def _read_task_ids(asked: SubscriptionFilter) -> list[str]:
    """The tasks that a filter names, in the field of their extension. Raises MCPError."""
    task_ids: Any = (asked.model_extra or {}).get("taskIds") or []
    if not isinstance(task_ids, list) or not all(isinstance(one, str) for one in cast("list[Any]", task_ids)):
        raise MCPError(INVALID_PARAMS, "taskIds is no list of texts.")
    return list(dict.fromkeys(cast("list[str]", task_ids)))


class _Mailbox(InMemorySubscriptionBus):
    """The bus of one stream. What comes before the stream is ready is delivered then."""

    def __init__(self) -> None:
        super().__init__()
        self._early: dict[str, None] = {}
        self._deliver: Callable[[ServerEvent], None] | None = None

    def put(self, uri: str) -> None:
        """A resource has changed."""
        if self._deliver is None:
            self._early[uri] = None
        else:
            self._deliver(ResourceUpdated(uri))

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Deliver to the stream."""
        self._deliver = listener
        for uri in self._early:
            listener(ResourceUpdated(uri))
        return lambda: None


class _Client:
    """A connection of the older era that has subscribed; `stops` ends each subscription by its URI."""

    def __init__(self, session: ServerSession) -> None:
        self.stops: dict[str, AsyncExitStack] = {}
        self.closed = False
        self._session = session
        self._changed: dict[str, None] = {}
        self._news = asyncio.Event()
        self._sending = asyncio.get_running_loop().create_task(self._send(), context=Context())

    def put(self, uri: str) -> None:
        """A resource has changed."""
        self._changed[uri] = None
        self._news.set()

    async def aclose(self) -> None:
        """The client has gone."""
        self.closed = True
        self._sending.cancel()
        while self.stops:
            await self.stops.popitem()[1].aclose()

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            changed, self._changed = self._changed, {}
            for uri in changed:
                if uri in self.stops:
                    await self._session.send_resource_updated(uri)


def _connection(session: ServerSession) -> Connection:
    """The connection of a request: the SDK's handlers are given its session only."""
    inner: Any = session
    return inner._connection
