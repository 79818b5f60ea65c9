"""The HTTP client of one service: auth, timeouts, retries, a concurrency limit, shared reads, no secrets in errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2

from testlab_tools.http.credentials import Credentials
from testlab_tools.http.destinations import Unsafe
from testlab_tools.http.endpoint import Endpoint
from testlab_tools.http.failures import (
    failure_of,
    lost,
    overloaded,
    refuse_packing,
    refuse_redirect,
    too_large,
    unsafe_place,
)
from testlab_tools.http.flight import SingleFlight
from testlab_tools.http.pinning import pinned
from testlab_tools.http.reply import Reply
from testlab_tools.http.retry import RETRIED
from testlab_tools.http.stream import MAX_STREAM_BYTES, Stream
from testlab_tools.http.trace import answered

Params = Mapping[str, str | int | list[str]]
MAX_BODY_BYTES = 64 * 2**20


class ServiceClient:
    """One connection pool, one TLS context, for the life of the process; made at the first request."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.service = endpoint.service
        self._credentials = credentials
        self._transport = transport
        self._sleep = sleep
        self._pool: httpx2.AsyncClient | None = None
        self._slots = asyncio.Semaphore(endpoint.max_concurrency)
        self._streams = asyncio.Semaphore(max(1, endpoint.max_concurrency // 2))
        self._reads: SingleFlight[Reply] = SingleFlight()
        self._polls: SingleFlight[Reply] = SingleFlight()

    async def get(
        self, path: str, params: Params | None = None, final: frozenset[int] = frozenset(), *, retry: bool = True
    ) -> Reply:
        """GET, retried unless the caller has a pace of its own; an identical one in flight is shared.

        Statuses in `final` are answers, never retried.
        """
        key = (path, retry, tuple(sorted((k, str(v)) for k, v in (params or {}).items())))
        return await self._reads.run(key, lambda: self._read(path, params, final, retry))

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params | None = None, *, most_bytes: int = MAX_STREAM_BYTES
    ) -> AsyncGenerator[Stream, None]:
        """GET whose body is read as it comes; retried until its first bytes have come, not afterwards.

        It holds one of the places of the concurrency limit for as long as it is open, and streams together at most half
        of them, so that other reads get through. `timeout_seconds` bounds the wait for each chunk, not the whole.

        >>> async with client.stream("/api/v2/results/…/stbt.log") as log:
        ...     async for chunk in log.chunks():
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._streams)
            stream, opened = await self.endpoint.retry.run(lambda: self._opened(path, params, most_bytes), self._sleep)
            await stack.enter_async_context(opened)
            yield stream

    async def poll(self, path: str, hold_seconds: float, method: str = "GET") -> Reply:
        """A request that is answered late: sent once, outside the concurrency limit, never more than one at a time."""
        return await self._polls.run((method, path), lambda: self._once(method, path, None, hold_seconds))

    async def send(self, method: str, path: str, *, params: Params | None = None, body: object = None) -> Reply:
        """A change: sent once. Raises AnswerLost when it was sent and no answer, or only a gateway's, came."""
        async with self._slots:
            reply = await self._once(method, path, params, self.endpoint.timeout_seconds, body)
        if reply.status in _GATEWAY:
            raise lost(self.service, method, f"A gateway in front of it answered (HTTP {reply.status})")
        if reply.status < 300 and reply.is_web_page:
            raise lost(self.service, method, "A web page answered in its place, as a proxy or a sign-in page does")
        return reply

    async def upload(self, url: str, data: bytes, media_type: str) -> Reply:
        """PUT to a presigned URL: no credentials of ours, and the URL stays out of every message.

        Raises:
            BadReply: the service named a place that nothing is sent to; see `destinations`.
        """
        try:
            place = await pinned(url, self.endpoint.url)
        except Unsafe as unsafe:
            raise unsafe_place(self.service, unsafe) from None
        except (OSError, UnicodeError):
            raise failure_of(self.service, httpx2.ConnectError("")) from None
        headers = {"Content-Type": media_type, **place.headers}
        async with self._slots:
            return await self._exchange(
                "PUT",
                place.url,
                self.endpoint.timeout_seconds,
                content=data,
                headers=headers,
                extensions=place.extensions,
            )

    async def aclose(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def _read(self, path: str, params: Params | None, final: frozenset[int], retry: bool) -> Reply:
        async def attempt() -> Reply:
            async with self._slots:
                reply = await self._once("GET", path, params, self.endpoint.timeout_seconds)
            if reply.status in RETRIED and reply.status not in final:
                raise overloaded(self.service, reply.status, reply.headers)
            return reply

        policy = self.endpoint.retry if retry else replace(self.endpoint.retry, attempts=1)
        return await policy.run(attempt, self._sleep)

    async def _opened(self, path: str, params: Params | None, most_bytes: int) -> tuple[Stream, AsyncExitStack]:
        """A stream; opened once more with another token where the first was refused."""
        await self._credentials.ready()
        sent = self._credentials.headers
        stream, opened = await self._open(path, params, most_bytes)
        if stream.status == 401:
            await opened.aclose()
            await self._credentials.renewed(sent)
            return await self._open(path, params, most_bytes)
        return stream, opened

    async def _open(self, path: str, params: Params | None, most_bytes: int) -> tuple[Stream, AsyncExitStack]:
        """One try at a stream: open, its first chunk there, and what to close after it."""
        url, seconds = self.endpoint.at(path), self.endpoint.timeout_seconds
        await self._credentials.ready()
        headers = {**self._credentials.headers, "Accept": "*/*"}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._slots)
            try:
                async with asyncio.timeout(seconds + 1):
                    asked = self._client().stream("GET", url, params=params, headers=headers, timeout=_timeout(seconds))
                    response = await stack.enter_async_context(asked)
                    refuse_packing(self.service, response.headers)
                    stream = Stream(self.service, response, most_bytes)
                    stack.push_async_callback(stream.aclose)
                    await stream.begin()
            except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
                raise failure_of(self.service, error) from None
            answered(self.service, "GET", stream.status, stream.headers)
            refuse_redirect(self.service, stream.status)
            if stream.status in RETRIED:
                raise overloaded(self.service, stream.status, stream.headers)
            return stream, stack.pop_all()

    async def _once(
        self, method: str, path: str, params: Params | None, timeout_s: float, body: object = None
    ) -> Reply:
        """One request; sent once more with another token where 401 says that it was refused, and so nothing done."""
        await self._credentials.ready()
        sent = self._credentials.headers
        reply = await self._sent(method, path, params, timeout_s, body)
        if reply.status == 401 and await self._credentials.renewed(sent):
            return await self._sent(method, path, params, timeout_s, body)
        return reply

    async def _sent(self, method: str, path: str, params: Params | None, timeout_s: float, body: object) -> Reply:
        await self._credentials.ready()
        headers = {**self._credentials.headers, "Accept": "application/json, */*;q=0.5"}
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        url = self.endpoint.at(path)
        return await self._exchange(method, url, timeout_s, params=params, content=content, headers=headers)

    async def _exchange(self, method: str, url: str, timeout_s: float, **request: Any) -> Reply:
        deadline = asyncio.timeout(timeout_s + 1)
        try:
            async with deadline, self._client().stream(method, url, timeout=_timeout(timeout_s), **request) as response:
                answered(self.service, method, response.status_code, response.headers)
                body = await self._body(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL) as error:
            raise failure_of(self.service, error) from None
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
            raise (failure_of(self.service, error) if method == "GET" else lost(self.service, method, error)) from None
        refuse_redirect(self.service, response.status_code)
        return Reply(self.service, response.status_code, response.headers, body)

    async def _body(self, response: httpx2.Response) -> bytes:
        refuse_packing(self.service, response.headers)
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise too_large(self.service, MAX_BODY_BYTES)
            chunks.append(chunk)
        return b"".join(chunks)

    def _client(self) -> httpx2.AsyncClient:
        if self._pool is None:
            self._pool = httpx2.AsyncClient(
                transport=self._transport,
                verify=self.endpoint.tls(),
                trust_env=True,
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self.endpoint.max_concurrency),
                headers={"User-Agent": "testlab-mcp", "Accept-Encoding": "gzip, deflate"},
            )
        return self._pool


def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0), pool=seconds)


_GATEWAY = frozenset({502, 504})
"""Bad Gateway and Gateway Timeout (RFC 9110 sections 15.6.3, 15.6.5): what the service behind it did is not known."""
