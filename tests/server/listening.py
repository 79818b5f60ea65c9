"""A client of either era that listens to resources, and hears of their changes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
from mcp import Client
from mcp_types import (
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    TextResourceContents,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

MODERN = "2026-07-28"
ERAS = ["legacy", MODERN]


class Listener:
    """A connected client, and what it has heard."""

    def __init__(self, client: Client, mode: str) -> None:
        self.client, self.mode = client, mode
        self.uri = ""
        self.heard: list[str] = []
        self.news = anyio.Event()

    def hear(self, uri: str) -> None:
        self.heard.append(uri)
        self.news.set()

    async def change(self, seconds: float = 10) -> dict[str, Any]:
        """Wait for a change, and read what it is now."""
        with anyio.fail_after(seconds):
            await self.news.wait()
        self.news = anyio.Event()
        return await read(self.client, self.uri)

    @asynccontextmanager
    async def to(self, uri: str) -> AsyncGenerator[None]:
        """Listen to a resource meanwhile; it was acknowledged."""
        self.uri = uri
        if self.mode == "legacy":
            await subscribe(self.client, uri)
            yield
            await unsubscribe(self.client, uri)
            return
        async with (
            anyio.create_task_group() as group,
            self.client.listen(resource_subscriptions=[uri]) as subscription,
        ):
            assert subscription.honored.resource_subscriptions == [uri]
            group.start_soon(self._follow, subscription)
            yield
            group.cancel_scope.cancel()

    async def _follow(self, subscription: Any) -> None:
        async for event in subscription:
            self.hear(event.uri)


@asynccontextmanager
async def connected(server: Any, mode: str) -> AsyncGenerator[Listener]:
    """A client of a server, of its URL or command."""
    listeners: list[Listener] = []

    async def hear(message: object) -> None:
        if mode == "legacy" and isinstance(message, ResourceUpdatedNotification):
            listeners[0].hear(str(message.params.uri))

    async with Client(server, mode=mode, message_handler=hear) as client:
        if mode == "legacy":
            assert client.server_capabilities.resources
            assert client.server_capabilities.resources.subscribe
        listeners.append(Listener(client, mode))
        yield listeners[0]


@asynccontextmanager
async def listening(server: Any, mode: str, uri: str) -> AsyncGenerator[Listener]:
    """As `connected`, listening to a resource."""
    async with connected(server, mode) as listener, listener.to(uri):
        yield listener


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text)


async def subscribe(client: Client, uri: str) -> None:
    asked = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
    await client.session.send_request(asked, EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    asked = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
    await client.session.send_request(asked, EmptyResult)


def uri_of(kind: str, handle: str) -> str:
    return f"testlab://{kind}/{quote(handle, safe='')}"
