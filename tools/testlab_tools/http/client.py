"""The HTTP client of one service: auth, timeouts, retries, a concurrency limit, shared reads, no secrets in errors."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import httpx2

from testlab_tools.errors import BadReply
from testlab_tools.http.credentials import Credentials
from testlab_tools.http.direct import DirectAnswer, DirectGets, is_direct
from testlab_tools.http.errors import (
    failure_of,
    lost,
    overloaded,
    refuse_packing,
    refuse_redirect,
    too_large,
    unsafe_place,
)
from testlab_tools.http.policy import RETRIED, Endpoint, FairQueue, SingleFlight
from testlab_tools.http.response import MAX_STREAM_BYTES, Reply, Stream, read_whole
from testlab_tools.http.ssrf import UnsafeUrl, pin_url
from testlab_tools.http.trace import record_answer
from testlab_tools.telemetry import measure_request, measure_try, note_service

_HEADERS = {"User-Agent": "testlab-mcp", "Accept-Encoding": "gzip, deflate"}
Params = Mapping[str, str | int | list[str]]
MAX_BODY_BYTES = 16 * 2**20
"""Of an answer read whole; what may be larger is streamed."""


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
        places, streams = endpoint.max_concurrency, max(1, endpoint.max_concurrency // 2)
        self._slots = FairQueue(places, places - max(1, places // 4))
        self._streams = FairQueue(streams, streams // 2)
        self._reads: SingleFlight[Reply] = SingleFlight()
        self._polls: SingleFlight[Reply] = SingleFlight()

    async def get(
        self, path: str, params: Params | None = None, final: frozenset[int] = frozenset(), *, retry: bool = True
    ) -> Reply:
        """GET, retried unless the caller has a pace of its own; an identical one in flight is shared.

        Statuses in `final` are answers, never retried.
        """
        note_service(self.service)
        key = (path, retry, tuple(sorted((k, str(v)) for k, v in (params or {}).items())))
        return await self._reads.run(key, lambda: self._read(path, params, final, retry))

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params | None = None, *, most_bytes: int = MAX_STREAM_BYTES
    ) -> AsyncGenerator[Stream, None]:
        """GET whose body is read as it comes; retried until its first bytes have come, not afterwards.

        It holds one of the places of the concurrency limit for as long as it is open, and streams together at most half
        of them, one caller's a quarter, so that other reads get through. `timeout_seconds` bounds the wait for each
        chunk, not the whole.

        >>> async with client.stream("/api/v2/results/…/stbt.log") as log:
        ...     async for chunk in log.chunks():
        """
        note_service(self.service)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._streams.place())
            with measure_request(self.service, "GET", self.endpoint.url):
                stream, opened = await self.endpoint.retry.run(
                    lambda: self._open_stream(path, params, most_bytes), self._sleep
                )
            await stack.enter_async_context(opened)
            yield stream

    async def poll(self, path: str, hold_seconds: float, method: str = "GET") -> Reply:
        """A request that is answered late: sent once, outside the concurrency limit, never more than one at a time."""
        note_service(self.service)
        return await self._polls.run((method, path), lambda: self._send_held(method, path, hold_seconds))

    async def send(
        self,
        method: str,
        path: str,
        *,
        settled: Callable[[Reply], bool],
        params: Params | None = None,
        body: object = None,
    ) -> Reply:
        """Send a change, once. `settled` tells whether an answer is a success or a refusal that the service documents.

        Raises:
            AnswerLost: it was sent, and no answer came or one that is not `settled`: a gateway, a proxy, a web page or
                a failing service may answer so after the work was done.
        """
        note_service(self.service)
        async with self._slots.place():
            try:
                with measure_request(self.service, method, self.endpoint.url):
                    reply = await self._send_renewing(method, path, params, self.endpoint.timeout_seconds, body)
            except BadReply as unread:
                raise lost(self.service, method, unread.what) from None
        if reply.is_web_page:
            raise lost(self.service, method, "A web page answered in its place, as a proxy or a sign-in page does")
        if not settled(reply):
            raise lost(self.service, method, "That does not say whether it was done", reply.status)
        return reply

    async def upload(self, url: str, data: bytes, media_type: str) -> Reply:
        """PUT to a presigned URL: no credentials of ours, and the URL stays out of every message.

        Raises:
            BadReply: the service named a place that nothing is sent to; see `destinations`.
        """
        try:
            place = await pin_url(url, self.endpoint.url)
        except UnsafeUrl as unsafe:
            raise unsafe_place(self.service, unsafe) from None
        except (OSError, UnicodeError):
            raise failure_of(self.service, httpx2.ConnectError("")) from None
        headers = {"Content-Type": media_type, **place.headers}
        note_service(self.service)
        seconds = self.endpoint.timeout_seconds
        async with self._slots.place():
            with measure_request(self.service, "PUT"):  # the address is one of those that only the holder may know
                sent = self._open("PUT", place.url, seconds, content=data, headers=headers, extensions=place.extensions)
                return await self._exchange("PUT", sent, seconds)

    async def identify(self) -> str:
        """A hash of the service's address and of what is sent to it as credentials. Raises ConfigError without any."""
        return hashlib.sha256(f"{self.endpoint.url}\n{await self._credentials.identify()}".encode()).hexdigest()

    async def aclose(self) -> None:
        """Close all connections."""
        if (gets := vars(self).get("_gets")) is not None:
            await gets.aclose()
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def _read(self, path: str, params: Params | None, final: frozenset[int], retry: bool) -> Reply:
        async def attempt() -> Reply:
            async with self._slots.place():
                reply = await self._send_renewing("GET", path, params, self.endpoint.timeout_seconds)
            if reply.status in RETRIED and reply.status not in final:
                raise overloaded(self.service, reply.status, reply.headers)
            return reply

        policy = self.endpoint.retry if retry else replace(self.endpoint.retry, attempts=1)
        with measure_request(self.service, "GET", self.endpoint.url):
            return await policy.run(attempt, self._sleep)

    async def _send_held(self, method: str, path: str, hold_seconds: float) -> Reply:
        with measure_request(self.service, method, self.endpoint.url, held=True):
            return await self._send_renewing(method, path, None, hold_seconds)

    async def _open_stream(self, path: str, params: Params | None, most_bytes: int) -> tuple[Stream, AsyncExitStack]:
        """A stream; opened once more with another token where the first was refused."""
        sent = await self._credentials.prepare()
        stream, opened = await self._try_stream(path, params, most_bytes, sent)
        if stream.status == 401:
            await opened.aclose()
            await self._credentials.renew(sent)
            return await self._try_stream(path, params, most_bytes, await self._credentials.prepare())
        return stream, opened

    async def _try_stream(
        self, path: str, params: Params | None, most_bytes: int, token: Mapping[str, str]
    ) -> tuple[Stream, AsyncExitStack]:
        """One try at a stream: open, its first chunk there, and what to close after it."""
        url, seconds = self.endpoint.at(path), self.endpoint.timeout_seconds
        headers = {**token, "Accept": "*/*"}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._slots.place())
            try:
                with measure_try(self.service, "GET") as tried:
                    async with asyncio.timeout(seconds + 1):
                        asked = self._client().stream(
                            "GET", url, params=params, headers=headers, timeout=_timeout(seconds)
                        )
                        response = await stack.enter_async_context(asked)
                        tried.status = response.status_code
                        refuse_packing(self.service, response.headers)
                        stream = Stream(self.service, response, most_bytes)
                        stack.push_async_callback(stream.aclose)
                        await stream.begin()
            except (httpx2.TransportError, httpx2.InvalidURL, TimeoutError) as error:
                raise failure_of(self.service, error) from None
            record_answer(self.service, "GET", stream.status, stream.headers)
            refuse_redirect(self.service, stream.status)
            if stream.status in RETRIED:
                raise overloaded(self.service, stream.status, stream.headers)
            return stream, stack.pop_all()

    async def _send_renewing(
        self, method: str, path: str, params: Params | None, timeout_s: float, body: object = None
    ) -> Reply:
        """One request; sent once more with another token where 401 says that it was refused, and so nothing done."""
        sent = await self._credentials.prepare()
        reply = await self._send_once(method, path, params, timeout_s, body, sent)
        if reply.status == 401 and await self._credentials.renew(sent):
            renewed = await self._credentials.prepare()
            return await self._send_once(method, path, params, timeout_s, body, renewed)
        return reply

    async def _send_once(
        self, method: str, path: str, params: Params | None, timeout_s: float, body: object, token: Mapping[str, str]
    ) -> Reply:
        headers = {**token, "Accept": "application/json, */*;q=0.5"}
        content = None
        if body is not None:
            content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        if method == "GET" and content is None and self._gets is not None:
            return await self._exchange(method, self._gets.get(path, params, headers, timeout_s), timeout_s)
        url = self.endpoint.at(path)
        sent = self._open(method, url, timeout_s, params=params, content=content, headers=headers)
        return await self._exchange(method, sent, timeout_s)

    @asynccontextmanager
    async def _open(self, method: str, url: str, timeout_s: float, **request: Any) -> AsyncGenerator[httpx2.Response]:
        """Send by the general client."""
        async with self._client().stream(method, url, timeout=_timeout(timeout_s), **request) as response:
            yield response

    async def _exchange(
        self, method: str, sent: AbstractAsyncContextManager[httpx2.Response | DirectAnswer], timeout_s: float
    ) -> Reply:
        deadline = asyncio.timeout(timeout_s + 1)
        try:
            with measure_try(self.service, method) as tried:
                async with deadline, sent as response:
                    tried.status = response.status_code
                    record_answer(self.service, method, response.status_code, response.headers)
                    refuse_packing(self.service, response.headers)
                    body = await read_whole(response, MAX_BODY_BYTES)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL) as error:
            raise failure_of(self.service, error) from None
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
            raise (failure_of(self.service, error) if method == "GET" else lost(self.service, method, error)) from None
        if body is None:
            raise too_large(self.service, MAX_BODY_BYTES)
        refuse_redirect(self.service, response.status_code)
        return Reply(self.service, response.status_code, response.headers, body)

    def _client(self) -> httpx2.AsyncClient:
        if self._pool is None:
            self._pool = httpx2.AsyncClient(
                transport=self._transport,
                verify=self._tls if self._transport is None else True,
                trust_env=True,
                follow_redirects=False,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self.endpoint.max_concurrency),
                headers=_HEADERS,
            )
        return self._pool

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context(verify=self.endpoint.tls(), trust_env=True)

    @cached_property
    def _gets(self) -> DirectGets | None:
        """What GETs are sent by; None where something stands between, and the general client sends them."""
        if self._transport is not None or not is_direct(self.endpoint.url):
            return None
        return DirectGets(self.endpoint.url, lambda: self._tls, _HEADERS, self.endpoint.max_concurrency)


def _timeout(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0), pool=seconds)
